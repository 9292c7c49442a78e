"""What surrounds every request: its id, its log line and metrics, security headers, and the last resort for faults."""

import ipaddress
import secrets
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crypto_checkout import metrics
from crypto_checkout.core import ids
from crypto_checkout.log import get_logger

from . import errors

log = get_logger("http")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_QUIET_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})


class Surroundings:
    """Gives each request an id and a client address, and sees to it that each gets an answer.

    `scope["request_id"]` and `scope["client_address"]` are there for handlers; what they put in
    `scope["answer_headers"]` is added to the answer, also to an error's.
    """

    def __init__(self, app: ASGIApp, *, clock: Callable[[], datetime], trusted_proxies: Sequence[Network]) -> None:
        self._app = app
        self._clock = clock
        self._trusted_proxies = trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = ids.make(ids.REQUEST, self._clock(), secrets.token_bytes(ids.ENTROPY_BYTES))
        scope["request_id"] = request_id
        scope["client_address"] = client_address(scope, self._trusted_proxies)
        scope["answer_headers"] = {}
        started = time.perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message, scope)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:  # a loop's boundary: the server goes on with the next request
            log.exception("a request failed", request=request_id, method=scope["method"], path=scope["path"])
            if status == 0:
                await errors.internal(request_id)(scope, receive, send_with_headers)
        finally:
            _note(scope, status, time.perf_counter() - started)


def client_address(scope: Scope, trusted_proxies: Sequence[Network]) -> str:
    """Return who asks: the peer, or, behind trusted proxies, the nearest address that isn't one of them."""
    peer = scope["client"][0] if scope.get("client") else ""
    if not trusted_proxies or not _is_in(peer, trusted_proxies):
        return str(peer)
    chain = [part.strip() for value in Headers(scope=scope).getlist("x-forwarded-for") for part in value.split(",")]
    for address in reversed(chain):
        if not _is_address(address):
            break
        peer = address
        if not _is_in(address, trusted_proxies):
            break
    return str(peer)


def is_local(scope: Scope) -> bool:
    """Tell whether a request comes from this machine itself, not through a proxy on it."""
    address = scope["client_address"]
    if not _is_address(address) or not ipaddress.ip_address(address).is_loopback:
        return False
    forwarded = Headers(scope=scope)
    return not any(name in forwarded for name in ("x-forwarded-for", "forwarded", "x-real-ip", "via"))


def _add_headers(message: Message, scope: Scope) -> None:
    headers = MutableHeaders(scope=message)
    headers["X-Request-Id"] = scope["request_id"]
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Cache-Control", "no-store")
    headers.setdefault("Referrer-Policy", "no-referrer")
    headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    for name, value in scope["answer_headers"].items():
        headers[name] = value


def _note(scope: Scope, status: int, seconds: float) -> None:
    route = scope.get("route")
    path = getattr(route, "path", "unknown")
    metrics.REQUESTS.labels(scope["method"] if status != 405 else "other", path, status).inc()  # noqa: PLR2004
    metrics.REQUEST_SECONDS.labels(path).observe(seconds)
    if scope["path"] in _QUIET_PATHS:
        return
    log.debug(
        "request",
        request=scope["request_id"],
        method=scope["method"],
        path=scope["path"],
        status=status,
        duration_ms=round(seconds * 1000),
        address=scope["client_address"],
    )


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_in(address: str, networks: Sequence[Network]) -> bool:
    return _is_address(address) and any(ipaddress.ip_address(address) in network for network in networks)
