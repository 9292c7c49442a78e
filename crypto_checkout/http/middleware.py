"""The middleware around every request: id, client address, security headers, log line, metrics, unexpected errors."""

import ipaddress
import time
from collections.abc import Sequence
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crypto_checkout import metrics
from crypto_checkout.core import ids
from crypto_checkout.core.errors import RouteNotFound
from crypto_checkout.core.moments import Clock
from crypto_checkout.entropy import Entropy
from crypto_checkout.log import get_logger

from . import errors

log = get_logger("http")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_QUIET_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
_FORWARDED = frozenset({"forwarded", "via", "x-real-ip", "cf-connecting-ip", "true-client-ip"})

_GONE = 499
"""The status of a request whose client disconnected, in logs and metrics only; as in nginx."""

_MOST_UNREAD_BYTES = 64 * 1024
_MOST_PATH_CHARACTERS = 200


class RequestMiddleware:
    """Gives each request an id and a client address, and makes sure that it is answered.

    Handlers read `scope["request_id"]` and `scope["client_address"]`; headers that they put in
    `scope["answer_headers"]` are added to every response, including errors.
    """

    def __init__(self, app: ASGIApp, *, clock: Clock, trusted_proxies: Sequence[Network]) -> None:
        self._app = app
        self._clock = clock
        self._entropy = Entropy()
        self._trusted_proxies = trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = ids.make(ids.REQUEST, self._clock(), self._entropy.take(ids.ENTROPY_BYTES))
        scope["request_id"] = request_id
        scope["client_address"] = client_address(scope, self._trusted_proxies)
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
                _add_headers(message, scope)
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
        # The patterns of Starlette's routes end with `$`, which also matches before a final line break: `/metrics%0A`
        # would reach the route, and pass a proxy's rule against `/metrics`.
        if scope["path"].endswith("\n"):
            return errors.answer(RouteNotFound("There is nothing at a path with a line break."), scope["request_id"])
        return self._app


def client_address(scope: Scope, trusted_proxies: Sequence[Network]) -> str:
    """Return the client's address: the peer, or, behind trusted proxies, the nearest address that isn't one of them.

    Every proxy appends its client's address, so the chain is read from its end. Anything before the first untrusted
    address was written by that client, and may be forged.
    """
    peer = scope["client"][0] if scope.get("client") else ""
    found = _address(peer)
    if found is None or not _is_in(found, trusted_proxies):
        return str(peer if found is None else found)
    chain = [part.strip() for value in Headers(scope=scope).getlist("x-forwarded-for") for part in value.split(",")]
    for text in reversed(chain):
        previous = _address(text)
        if previous is None:
            break
        found = previous
        if not _is_in(found, trusted_proxies):
            break
    return str(found)


def is_local(scope: Scope) -> bool:
    """Tell whether a request comes from this machine, and not through a proxy on it."""
    address = _address(scope["client_address"])
    if address is None or not address.is_loopback:
        return False
    return not any(name in _FORWARDED or name.startswith("x-forwarded-") for name in Headers(scope=scope))


def _is_long(scope: Scope) -> bool:
    """Tell whether the announced body is too long, or of unknown length, to be read only to be discarded."""
    headers = Headers(scope=scope)
    length = headers.get("content-length", "0")
    return "transfer-encoding" in headers or not length.isdecimal() or int(length[:20]) > _MOST_UNREAD_BYTES


def _add_headers(message: Message, scope: Scope) -> None:
    headers = MutableHeaders(scope=message)
    headers["X-Request-Id"] = scope["request_id"]
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Cache-Control", "no-store")
    headers.setdefault("Referrer-Policy", "no-referrer")
    headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    for name, value in scope["answer_headers"].items():
        headers[name] = value


def _record(scope: Scope, status: int, seconds: float) -> None:
    # The labels must have few values, whatever clients send: known routes and standard methods.
    route = getattr(scope.get("route"), "path", "unknown")
    method = scope["method"] if scope["method"] in _METHODS else "other"
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


def _address(text: str) -> Address | None:
    """Parse an address without its zone; an IPv4-mapped IPv6 address becomes IPv4."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
