"""Connections to endpoints, and the exchange of one request for one answer over them; kept ones are used again.

The answer is read by h11, in small pieces, and its size is bounded: otherwise thousands of `100 Continue` responses, or
of one-byte chunks, would keep the whole process busy. Where a connection may lead is `webhooks.guard`.
"""

import asyncio
import ssl
import time
from dataclasses import dataclass, field

import h11
import httpcore

MAX_ANSWER_BYTES = 64 * 1024
MAX_ANSWER_PIECES = 1024  # chunks: a thousand of a byte each cost as much as a thousand of a kilobyte

# Of one answer, including its head and all framing; at most MAX_ANSWER_BYTES of its body are kept.
_MAX_READ_BYTES = 128 * 1024
_MAX_HEAD_BYTES = 32 * 1024
_PIECE_BYTES = 4 * 1024

# Shorter than the usual 5 s after which servers hang up: a connection that closes just as it is reused is a failure.
_KEEPALIVE_SECONDS = 3.0
_MAX_IDLE = 32

# h11 reads an answer once it knows of a request. What is sent is made by the caller.
_REQUEST = h11.Request(method=b"POST", target=b"/", headers=[(b"Host", b"endpoint")])
_END = h11.EndOfMessage()


@dataclass(frozen=True, slots=True)
class Origin:
    """The other end of connections: those to the same origin serve each other's requests."""

    is_tls: bool
    host: str
    port: int


@dataclass(slots=True)
class EndpointAnswer:
    """The part of an answer received so far; it is reported even if the deadline cuts the answer off."""

    status_code: int | None = None
    retry_after: str | None = None
    body: bytearray = field(default_factory=bytearray)


class EndpointConnection:
    """An open connection. `is_idle` when it can serve another exchange."""

    def __init__(self, origin: Origin, stream: httpcore.AsyncNetworkStream) -> None:
        self.origin = origin
        self.stream = stream
        self.is_idle = False
        self._idle_since = 0.0
        self._read_bytes = 0
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)

    def is_old(self) -> bool:
        """Tell whether it has been idle for so long that the endpoint may hang up."""
        return time.monotonic() >= self._idle_since + _KEEPALIVE_SECONDS

    def has_ended(self) -> bool:
        """Tell whether the endpoint has hung up, or said something without being asked."""
        return bool(self.stream.get_extra_info("is_readable"))

    async def exchange(self, request: bytes, answer: EndpointAnswer) -> None:
        """Send a request, and read into `answer` what comes of it.

        Raises:
            h11.RemoteProtocolError, httpcore.RemoteProtocolError: the answer isn't HTTP, too large, or broke off.
            OSError: the connection failed.
        """
        self.is_idle = False
        self._read_bytes = 0
        self._http.send(_REQUEST)
        self._http.send(_END)
        await self.stream.write(request)
        await self._receive()
        pieces = 0
        while not isinstance(event := await self._next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                answer.status_code = event.status_code
                answer.retry_after = _retry_after(event)
            elif isinstance(event, h11.Data):
                pieces += 1
                if pieces > MAX_ANSWER_PIECES:
                    raise httpcore.RemoteProtocolError(f"an answer of more than {MAX_ANSWER_PIECES} pieces")
                answer.body += event.data[: MAX_ANSWER_BYTES - len(answer.body)]
                if len(answer.body) >= MAX_ANSWER_BYTES:
                    return
        is_done = self._http.our_state is h11.DONE and self._http.their_state is h11.DONE
        if is_done and not self._http.trailing_data[0]:
            self._http.start_next_cycle()
            self._idle_since = time.monotonic()
            self.is_idle = True

    async def _next_event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._read_bytes >= _MAX_READ_BYTES:
                raise httpcore.RemoteProtocolError(f"more than {_MAX_READ_BYTES} bytes, and no end of the answer")
            await asyncio.sleep(0)  # whatever else waits comes first, however much this endpoint has sent
            await self._receive()
        return event

    async def _receive(self) -> None:
        piece = await self.stream.read(_PIECE_BYTES)
        self._read_bytes += len(piece)
        self._http.receive_data(piece)


class EndpointConnections:
    """All open connections. They have no limit: the caller limits its exchanges; a queue would let one delay others.

    Args:
        backend: opens connections; it decides where they may go.
        ssl_context: for those with TLS.
    """

    def __init__(self, backend: httpcore.AsyncNetworkBackend, ssl_context: ssl.SSLContext) -> None:
        ssl_context.set_alpn_protocols(["http/1.1"])
        self._backend = backend
        self._ssl_context = ssl_context
        self.connections: list[EndpointConnection] = []
        self.idle: list[EndpointConnection] = []
        """Those among them without an exchange, the last used at the end."""

    async def exchange(self, origin: Origin, request: bytes, answer: EndpointAnswer) -> None:
        """Send a request to an origin, and read what comes of it. Raises as `EndpointConnection.exchange` does."""
        connection = await self._idle_one(origin) or await self._opened(origin)
        try:
            await connection.exchange(request, answer)
        finally:
            if connection.is_idle:
                self.idle.append(connection)
                if len(self.idle) > _MAX_IDLE:
                    await self._close(self.idle.pop(0))
            else:
                await self._close(connection)

    async def aclose(self) -> None:
        """Close them all."""
        self.idle.clear()
        while self.connections:
            await self._close(self.connections[-1])

    async def _idle_one(self, origin: Origin) -> EndpointConnection | None:
        """Return an idle connection to an origin, the last used first, after closing those that have been idle long."""
        while self.idle and self.idle[0].is_old():
            await self._close(self.idle.pop(0))
        while (connection := next((each for each in reversed(self.idle) if each.origin == origin), None)) is not None:
            self.idle.remove(connection)
            if not connection.has_ended():
                return connection
            await self._close(connection)
        return None

    async def _opened(self, origin: Origin) -> EndpointConnection:
        stream = await self._backend.connect_tcp(origin.host, origin.port)
        if origin.is_tls:
            # Certificates name hosts without the root's dot.
            stream = await stream.start_tls(self._ssl_context, origin.host.removesuffix("."))
        connection = EndpointConnection(origin, stream)
        self.connections.append(connection)
        return connection

    async def _close(self, connection: EndpointConnection) -> None:
        self.connections.remove(connection)
        await connection.stream.aclose()


def _retry_after(response: h11.Response) -> str | None:
    return next((value.decode("latin-1") for name, value in response.headers if name == b"retry-after"), None)
