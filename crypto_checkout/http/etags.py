"""Responses with an ETag, without a body if the client has the content already (RFC 9110, section 13)."""

import hashlib
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response


def answer(
    request: Request, body: bytes, headers: Mapping[str, str], *, media_type: str = "application/json"
) -> Response:
    """Return content with its tag, or an empty 304 if the client sent that tag."""
    tagged = {**headers, "ETag": tag(body)}
    if matches(tagged["ETag"], request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=tagged)
    return Response(body, media_type=media_type, headers=tagged)


def tag(body: bytes) -> str:
    """Return the strong ETag of content."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def matches(tag: str, if_none_match: str) -> bool:
    """Compare weakly (section 13.1.2), because compression makes tags weak."""
    candidates = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return tag in candidates or "*" in candidates
