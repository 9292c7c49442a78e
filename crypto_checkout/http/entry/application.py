"""The one layer between the server and the handlers: routing, errors, headers, compression, metrics and log lines."""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Sequence
from functools import cache
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crypto_checkout import metrics
from crypto_checkout.core import ids
from crypto_checkout.core.errors import CheckoutError, DatabaseFailed, InvalidQuery, RouteNotFound
from crypto_checkout.core.moments import Clock
from crypto_checkout.entropy import Entropy
from crypto_checkout.http import errors
from crypto_checkout.http.errors import PageNotFound
from crypto_checkout.http.headers import Header, fields
from crypto_checkout.log import get_logger

from . import compression, whole_answers
from .client_address import ClientAddresses
from .kept_answers import KeptAnswers
from .routing import RouteTable
from .whole_answers import WholeAnswers

log = get_logger("http")
_lines = logging.getLogger("crypto_checkout.http")
"""Of the same name; it tells at once whether a line is shown."""

_QUIET_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})

_GONE = 499
"""The status of a request whose client disconnected, in logs and metrics only; as in nginx."""

_MOST_UNREAD_BYTES = 64 * 1024
_MOST_PATH_CHARACTERS = 200

_HOST = re.compile(rb"[^\x00-\x20\x7f-\xff,/?#@\\]+")

_DEFAULTS: Sequence[Header] = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_HSTS: Header = (b"strict-transport-security", b"max-age=31536000")
"""A year of https only (RFC 6797) for this host: other names of its domain are not this server's to decide about."""

_CLOSE: Header = (b"connection", b"close")


class Application:
    """The web application: gives each request an id and a client address, and makes sure that it is answered.

    `is_https` tells whether browsers reach the server by https. Handlers read `scope["request_id"]` and
    `scope["client_address"]`; headers that they add to `scope["answer_headers"]` are part of every response, including
    errors. `page_not_found` as in `errors.answer_to`, `version` as in `KeptAnswers`.
    """

    def __init__(
        self,
        routes: Sequence[BaseRoute],
        *,
        clock: Clock,
        addresses: ClientAddresses,
        is_https: bool,
        page_not_found: PageNotFound = lambda _: None,
        version: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.routes = routes
        self._table = RouteTable(routes)
        self._clock = clock
        self._entropy = Entropy()
        self._addresses = addresses
        self._own_headers = [_HSTS] if is_https else []
        self._page_not_found = page_not_found
        self._kept = KeptAnswers(version)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        started = time.perf_counter()
        request_id = ids.make(ids.REQUEST, self._clock(), self._entropy.take(ids.ENTROPY_BYTES))
        scope["request_id"] = request_id
        scope["client_address"] = self._addresses.of(scope)
        scope["answer_headers"] = []
        whole = whole_answers.take(scope)
        exchange = _Exchange(scope, receive, send, whole, self._own_headers, self._kept)
        try:
            kept = None if whole is None else self._kept.find(scope)
            if whole is not None and kept is not None and await kept.give(scope, whole):
                exchange.status = kept.status
                return
            request = Request(scope, exchange.receive)
            try:
                await exchange.send(await self._response(request))
            except (CheckoutError, DatabaseFailed, HTTPException) as error:
                if exchange.status:
                    raise
                await exchange.send(errors.answer_to(request, error, self._page_not_found))
        except ClientDisconnect:
            exchange.status = exchange.status or _GONE
        except asyncio.CancelledError:  # uvicorn does so a while after the server was told to stop
            if exchange.status:
                raise
            await exchange.send(errors.stopping(request_id))
        except Exception:  # a loop's boundary: the server continues with the next request
            log.exception("a request failed", request=request_id, method=scope["method"], path=_path(scope))
            if exchange.status == 0:
                await exchange.send(errors.internal(request_id))
        finally:
            _record(scope, exchange.status, time.perf_counter() - started)

    async def _response(self, request: Request) -> ASGIApp:
        """Return the handler's response, or the application that is mounted at the path."""
        scope = request.scope
        refusal = _refusal(scope)
        if refusal is not None:
            return errors.answer(refusal, scope["request_id"])
        route = self._table.find(scope)
        if route is None:
            raise HTTPException(404)
        if not isinstance(route, Route):
            mounted: ASGIApp = route.app  # type: ignore[attr-defined]  # the only other kind in use
            return mounted
        if route.methods is not None and scope["method"] not in route.methods:
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(route.methods))})
        response: Response = await route.endpoint(request)
        return response


class _Exchange:
    """One request as it arrives, and its answer as it leaves; `status` is 0 until that begins."""

    __slots__ = ("_kept", "_own_headers", "_receive", "_send", "_unread", "_whole", "receive", "scope", "status")

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        whole: WholeAnswers | None,
        own_headers: Sequence[Header],
        kept: KeptAnswers,
    ) -> None:
        self.scope = scope
        self.status = 0
        self._send = send
        self._receive = receive
        self._whole = whole
        self._own_headers = own_headers
        self._kept = kept
        self._unread = _is_long(scope)
        self.receive: Receive = self._receive_long if self._unread else receive

    async def send(self, answer: ASGIApp) -> None:
        """Send a response; one that is whole goes out in one step, any other as it sends itself."""
        body = getattr(answer, "body", None)
        if not isinstance(answer, Response) or body is None or answer.background is not None:
            await compression.compressed(answer)(self.scope, self.receive, self._send_complete)
            return
        headers: Sequence[Header] | None = compression.headers_of_plain(self.scope, answer.raw_headers, body)
        if headers is None:
            headers, body = await compression.compressed_whole(answer, self.scope, self.receive)
        await self._send_whole(answer.status_code, self._complete(headers), body)

    async def _send_whole(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        self.status = status
        whole = self._whole
        if whole is None or self._unread or not whole.write(status, headers, body):
            await self._send({"type": "http.response.start", "status": status, "headers": headers})
            await self._send({"type": "http.response.body", "body": body})
            return
        self._kept.keep(self.scope, status, headers, body)

    async def _send_complete(self, message: Message) -> None:
        """Send a message; complete the headers of the one that begins the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = self._complete(message["headers"])
        await self._send(message)

    def _complete(self, headers: Sequence[Header]) -> list[Header]:
        present = {name for name, _ in headers}
        found = [*headers, (b"x-request-id", self.scope["request_id"].encode())]
        found += [header for header in _DEFAULTS if header[0] not in present]
        found += self._own_headers
        found += self.scope["answer_headers"]
        if self._unread:
            # Otherwise the server would read the whole body before it reuses the connection.
            found.append(_CLOSE)
        return found

    async def _receive_long(self) -> Message:
        message = await self._receive()
        self._unread = self._unread and bool(message.get("more_body"))
        return message


def _refusal(scope: Scope) -> CheckoutError | None:
    """Return the error of a request that no route should see."""
    # The patterns of Starlette's routes end with `$`, which also matches before a final line break: `/metrics%0A`
    # would reach the route, and pass a proxy's rule against `/metrics`.
    if scope["path"].endswith("\n"):
        return RouteNotFound("There is nothing at a path with a line break.")
    found, headers = fields(scope), scope["headers"]
    host = found.get(b"host")
    is_repeated = len(found) < len(headers) and sum(name == b"host" for name, _ in headers) > 1
    # HTTP/1.0 has no such header, and health checks of old load balancers speak it (RFC 9112, section 3.2).
    is_valid = scope["http_version"] == "1.0" if host is None else _HOST.fullmatch(host) is not None
    if is_repeated or not is_valid:
        return InvalidQuery("Host: send this header once, with the server's name and port.", param="Host")
    return None


def _is_long(scope: Scope) -> bool:
    """Tell whether the announced body is too long, or of unknown length, to be read only to be discarded."""
    found = fields(scope)
    length = found.get(b"content-length")
    if length is None:
        return b"transfer-encoding" in found
    return b"transfer-encoding" in found or not length.isdigit() or int(length[:20]) > _MOST_UNREAD_BYTES


def _record(scope: Scope, status: int, seconds: float) -> None:
    # The labels must have few values, whatever clients send: known routes and standard methods.
    route = getattr(scope.get("route"), "path", "unknown")
    method = scope["method"] if scope["method"] in METHODS else "other"
    count, observe = _meters(method, route, status)
    count()
    observe(seconds)
    if not _lines.isEnabledFor(logging.DEBUG) or scope["path"] in _QUIET_PATHS:
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


@cache
def _meters(method: str, route: str, status: int) -> tuple[Callable[[], None], Callable[[float], None]]:
    """Return what counts a request, and its seconds; the library looks the labels up at every call."""
    return metrics.REQUESTS.labels(method, route, status).inc, metrics.REQUEST_SECONDS.labels(route).observe


def _path(scope: Scope) -> str:
    """Return the path, quoted because it may contain escape sequences for terminals."""
    return quote(scope["path"])[:_MOST_PATH_CHARACTERS]
