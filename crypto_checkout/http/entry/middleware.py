"""The middleware around every request: id, client address, security headers, log line, metrics, unexpected errors."""

import re
import time
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crypto_checkout import metrics
from crypto_checkout.core import ids
from crypto_checkout.core.errors import CheckoutError, InvalidQuery, RouteNotFound
from crypto_checkout.core.moments import Clock
from crypto_checkout.entropy import Entropy
from crypto_checkout.http import errors
from crypto_checkout.log import get_logger

from .client_address import ClientAddresses

log = get_logger("http")

_QUIET_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})

_GONE = 499
"""The status of a request whose client disconnected, in logs and metrics only; as in nginx."""

_MOST_UNREAD_BYTES = 64 * 1024
_MOST_PATH_CHARACTERS = 200

_HOST = re.compile(rb"[^\x00-\x20\x7f-\xff,/?#@\\]+")
_HSTS = "max-age=31536000"
"""A year of https only (RFC 6797) for this host: other names of its domain are not this server's to decide about."""


class RequestMiddleware:
    """Gives each request an id and a client address, and makes sure that it is answered.

    `is_https` tells whether browsers reach the server by https. Handlers read `scope["request_id"]` and
    `scope["client_address"]`; headers that they put in `scope["answer_headers"]` are added to every response, including
    errors.
    """

    def __init__(self, app: ASGIApp, *, clock: Clock, addresses: ClientAddresses, is_https: bool) -> None:
        self._app = app
        self._clock = clock
        self._entropy = Entropy()
        self._addresses = addresses
        self._is_https = is_https

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = ids.make(ids.REQUEST, self._clock(), self._entropy.take(ids.ENTROPY_BYTES))
        scope["request_id"] = request_id
        scope["client_address"] = self._addresses.of(scope)
        scope["answer_headers"] = {}
        started = time.perf_counter()
        status = 0
        unread = _is_long(scope)

        async def receive_and_track() -> Message:
            nonlocal unread
            message = await receive()
            unread = unread and bool(message.get("more_body"))
            return message

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message, scope, is_https=self._is_https)
                if unread:
                    # Otherwise the server would read the whole body before it reuses the connection.
                    MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        try:
            await self._routed(scope)(scope, receive_and_track, send_with_headers)
        except ClientDisconnect:
            status = status or _GONE
        except Exception:  # a loop's boundary: the server continues with the next request
            log.exception("a request failed", request=request_id, method=scope["method"], path=_path(scope))
            if status == 0:
                await errors.internal(request_id)(scope, receive, send_with_headers)
        finally:
            _record(scope, status, time.perf_counter() - started)

    def _routed(self, scope: Scope) -> ASGIApp:
        refusal = _refusal(scope)
        return self._app if refusal is None else errors.answer(refusal, scope["request_id"])


def _refusal(scope: Scope) -> CheckoutError | None:
    """Return the error of a request that no route should see."""
    # The patterns of Starlette's routes end with `$`, which also matches before a final line break: `/metrics%0A`
    # would reach the route, and pass a proxy's rule against `/metrics`.
    if scope["path"].endswith("\n"):
        return RouteNotFound("There is nothing at a path with a line break.")
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    # HTTP/1.0 has no such header, and health checks of old load balancers speak it (RFC 9112, section 3.2).
    if len(hosts) > 1 or (not hosts and scope["http_version"] != "1.0") or not all(map(_HOST.fullmatch, hosts)):
        return InvalidQuery("Host: send this header once, with the server's name and port.", param="Host")
    return None


def _is_long(scope: Scope) -> bool:
    """Tell whether the announced body is too long, or of unknown length, to be read only to be discarded."""
    headers = Headers(scope=scope)
    length = headers.get("content-length", "0")
    return "transfer-encoding" in headers or not length.isdecimal() or int(length[:20]) > _MOST_UNREAD_BYTES


def _add_headers(message: Message, scope: Scope, *, is_https: bool) -> None:
    headers = MutableHeaders(scope=message)
    headers["X-Request-Id"] = scope["request_id"]
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Cache-Control", "no-store")
    headers.setdefault("Referrer-Policy", "no-referrer")
    headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    if is_https:
        headers["Strict-Transport-Security"] = _HSTS
    for name, value in scope["answer_headers"].items():
        headers[name] = value


def _record(scope: Scope, status: int, seconds: float) -> None:
    # The labels must have few values, whatever clients send: known routes and standard methods.
    route = getattr(scope.get("route"), "path", "unknown")
    method = scope["method"] if scope["method"] in METHODS else "other"
    metrics.REQUESTS.labels(method, route, status).inc()
    metrics.REQUEST_SECONDS.labels(route).observe(seconds)
    if scope["path"] in _QUIET_PATHS:
        return
    log.debug(
        "request",
        request=scope["request_id"],
        method=method,
        path=_path(scope),
        status=status,
        duration_ms=round(seconds * 1000),
        address=scope["client_address"],
    )


def _path(scope: Scope) -> str:
    """Return the path, quoted because it may contain escape sequences for terminals."""
    return quote(scope["path"])[:_MOST_PATH_CHARACTERS]
