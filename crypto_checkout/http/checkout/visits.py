"""Know a browser that comes back to a payment link, so that it finds its session again and no new one is made.

A cookie for each link holds the id of the session that the visit made: no more than the page's own address tells. It
ends with the session's time, scripts can't read it, and other sites' requests don't carry it.
"""

from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from crypto_checkout.core import ids, moments
from crypto_checkout.core.public.types import SessionResource

_NAME = "visit-"


def known(request: Request, slug: str, *, is_secure: bool) -> str | None:
    """Return the id of the session that this browser was given for a link; None for none."""
    session_id = request.cookies.get(_name(slug, is_secure), "")
    return session_id if ids.is_id(session_id, ids.SESSION) else None


def remember(response: Response, slug: str, session: SessionResource, now: datetime, *, is_secure: bool) -> None:
    """Have the browser remember its session for as long as it can be paid."""
    seconds = int((moments.from_text(session["expiresAt"]) - now).total_seconds())
    response.set_cookie(
        _name(slug, is_secure), session["id"], max_age=max(0, seconds), secure=is_secure, httponly=True, samesite="lax"
    )


def _name(slug: str, is_secure: bool) -> str:
    # With this prefix a browser takes the cookie from this very host only, not from a neighbour under the same domain
    # who would have people pay for a session of his own (RFC 6265bis, section 4.1.3.2).
    return f"__Host-{_NAME}{slug}" if is_secure else _NAME + slug
