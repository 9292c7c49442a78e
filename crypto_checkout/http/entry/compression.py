"""Compress responses that are long enough to gain from it."""

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# A response that fits into one packet arrives as fast without it.
_LEAST_BYTES = 1400
_LEVEL = 6
# A weight of 0 refuses a coding (RFC 9110, section 12.5.3); Starlette's middleware checks the name alone.
_REFUSED = re.compile(r"\bgzip\s*;\s*q=0(\.0*)?\s*(,|$)", re.IGNORECASE)


class Compression:
    """Gzip for clients that accept it. The ETag of a compressed response becomes weak, because its bytes differ."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = GZipMiddleware(app, minimum_size=_LEAST_BYTES, compresslevel=_LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _REFUSED.search(Headers(scope=scope).get("accept-encoding", "")):
            scope = {**scope, "headers": [each for each in scope["headers"] if each[0] != b"accept-encoding"]}

        async def send_weak(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                tag = headers.get("etag", "")
                if "content-encoding" in headers and tag.startswith('"'):
                    headers["ETag"] = f"W/{tag}"
            await send(message)

        await self._app(scope, receive, send_weak)
