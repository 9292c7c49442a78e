"""Answers with an ETag: who knows the resource already gets no body (RFC 9110, section 13)."""

import hashlib

from starlette.requests import Request
from starlette.responses import Response


def answer(request: Request, body: bytes, *, cache_control: str = "private, no-cache") -> Response:
    """Return JSON with its tag, or an empty 304 where the client names that tag."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": cache_control}
    if _is_known(tag, request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def _is_known(tag: str, if_none_match: str) -> bool:
    """Compare weakly, as section 13.1.2 says: what compresses answers makes their tags weak."""
    given = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return tag in given or "*" in given
