"""Recognise a browser that returns to a payment link, so that it gets the same session again.

A cookie for each link holds the id of the visit's session, which the page's URL shows, too. It expires with the
session, is HttpOnly, and isn't sent with other sites' requests.
"""

from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from crypto_checkout.core import ids, moments
from crypto_checkout.core.public.types import SessionResource

_NAME = "visit-"


def recall(request: Request, slug: str, *, is_secure: bool) -> str | None:
    """Return the id of this browser's session of a link, or None."""
    session_id = request.cookies.get(_name(slug, is_secure), "")
    return session_id if ids.is_id(session_id, ids.SESSION) else None


def remember(response: Response, slug: str, session: SessionResource, now: datetime, *, is_secure: bool) -> None:
    """Keep a session's id in the browser until the session expires."""
    seconds = int((moments.from_text(session["expiresAt"]) - now).total_seconds())
    response.set_cookie(
        _name(slug, is_secure), session["id"], max_age=max(0, seconds), secure=is_secure, httponly=True, samesite="lax"
    )


def _name(slug: str, is_secure: bool) -> str:
    # Browsers accept `__Host-` cookies from this very host only, so that no other host of the same domain can plant a
    # session of its own (RFC 6265bis, section 4.1.3.2).
    return f"__Host-{_NAME}{slug}" if is_secure else _NAME + slug
