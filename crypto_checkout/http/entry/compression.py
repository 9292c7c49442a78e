"""Compress responses that are long enough to gain from it, for clients that accept gzip."""

import re
from collections.abc import Sequence
from functools import lru_cache

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crypto_checkout.http.headers import Header, fields

# A response that fits into one packet arrives as fast without it.
_LEAST_BYTES = 1400
_LEVEL = 6
# A weight of 0 refuses a coding (RFC 9110, section 12.5.3); Starlette's middleware checks the name alone.
_REFUSED = re.compile(r"\bgzip\s*;\s*q=0(\.0*)?\s*(,|$)", re.IGNORECASE)

_ACCEPT_ENCODING = b"accept-encoding"
_VARY: Header = (b"vary", b"Accept-Encoding")


def headers_of_plain(scope: Scope, headers: Sequence[Header], body: bytes | memoryview) -> Sequence[Header] | None:
    """Return the headers of a whole body that is sent as it is; None where `compressed` has to decide."""
    if len(body) < _LEAST_BYTES:
        return headers
    own = dict(headers)
    if b"vary" in own or b"content-encoding" in own or _accepts_gzip(scope):
        return None
    return [*headers, _VARY] if _is_compressible(own.get(b"content-type", b"")) else headers


def compressed(app: ASGIApp) -> ASGIApp:
    """Return an application that compresses; a compressed response has a weak ETag, because its bytes differ."""
    gzip = GZipMiddleware(app, minimum_size=_LEAST_BYTES, compresslevel=_LEVEL)

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_weak(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                tag = headers.get("etag", "")
                if "content-encoding" in headers and tag.startswith('"'):
                    headers["ETag"] = f"W/{tag}"
            await send(message)

        if _REFUSED.search(Headers(scope=scope).get("accept-encoding", "")):
            scope = {**scope, "headers": [each for each in scope["headers"] if each[0] != _ACCEPT_ENCODING]}
        await gzip(scope, receive, send_weak)

    return handle


async def compressed_whole(answer: Response, scope: Scope, receive: Receive) -> tuple[Sequence[Header], bytes]:
    """Return the headers and the body of a whole response as `compressed` sends it."""
    messages: list[Message] = []

    async def note(message: Message) -> None:
        messages.append(message)

    await compressed(answer)(scope, receive, note)
    start, end = messages
    return start["headers"], end["body"]


def _accepts_gzip(scope: Scope) -> bool:
    """Tell whether a client may accept it; `compressed` looks closer."""
    if _ACCEPT_ENCODING not in fields(scope):
        return False
    return any(name == _ACCEPT_ENCODING and b"gzip" in value for name, value in scope["headers"])


@lru_cache(maxsize=64)
def _is_compressible(content_type: bytes) -> bool:
    media_type = content_type.decode("latin-1").partition(";")[0].strip().lower()
    return not {media_type, media_type.partition("/")[0] + "/*"} & {*DEFAULT_EXCLUDED_CONTENT_TYPES}
