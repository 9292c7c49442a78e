"""Responses with an ETag, without a body if the client has the content already (RFC 9110, section 13)."""

import hashlib
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from crypto_checkout.http.headers import Header, header


def answer(
    request: Request, body: bytes, headers: Sequence[Header], *, media_type: bytes = b"application/json"
) -> Response:
    """Return content with its tag, or an empty 304 if the client sent that tag; `headers` are named in lower case."""
    found = tag(body)
    tagged = [*headers, (b"etag", found.encode())]
    known = header(request.scope, b"if-none-match")
    if known and matches(found, known):
        return WholeResponse(b"", 304, tagged)
    return WholeResponse(body, 200, [*tagged, (b"content-length", b"%d" % len(body)), (b"content-type", media_type)])


class WholeResponse(Response):
    """A response whose headers are complete, and given as they are sent."""

    def __init__(self, body: bytes, status_code: int, raw_headers: list[Header]) -> None:
        self.body = body
        self.status_code = status_code
        self.raw_headers = raw_headers
        self.background = None


def tag(body: bytes) -> str:
    """Return the strong ETag of content."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def matches(tag: str, if_none_match: str) -> bool:
    """Compare weakly (section 13.1.2), because compression makes tags weak."""
    candidates = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return tag in candidates or "*" in candidates
