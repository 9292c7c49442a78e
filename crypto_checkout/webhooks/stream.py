"""TCP connections as byte streams, with or without TLS, in the shape of httpcore's network backends.

They are asyncio's own transports: between a delivery and its socket is nothing else. Addresses are judged in
`webhooks.guard`, HTTP is in `webhooks.connections`.
"""

import asyncio
import select
import ssl
from collections.abc import Iterable
from typing import Any, cast

import httpcore

_MOST_HELD_BYTES = 64 * 1024


class Stream(httpcore.AsyncNetworkStream, asyncio.Protocol):
    """A connection. An endpoint that sends more than is read waits: little of it is held in memory."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._held = bytearray()
        self._is_paused = False
        self._is_over = False
        self._error: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        self._waiting = select.poll()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's don't inherit from it
        self._waiting.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        """Hold what came until it is read."""
        self._held += data
        if len(self._held) > _MOST_HELD_BYTES and not self._is_paused:
            self._open_transport().pause_reading()
            self._is_paused = True
        self._wake()

    def eof_received(self) -> None:
        """Note that nothing more comes; the transport closes itself."""
        self._is_over = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end of the connection, and its cause."""
        self._is_over = True
        self._error = exc
        self._wake()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109
        """Return what came, or wait for it; empty at the end. Raises OSError, such as ssl.SSLError."""
        while not self._held:
            if self._error is not None:
                raise self._error
            if self._is_over:
                return b""
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        piece = bytes(self._held[:max_bytes])
        del self._held[:max_bytes]
        if self._is_paused and not self._held and not self._is_over:
            self._open_transport().resume_reading()
            self._is_paused = False
        return piece

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109
        """Send without waiting: an event is short, and an endpoint that doesn't read it will not answer in time."""
        self._open_transport().write(buffer)

    async def aclose(self) -> None:
        """Close the connection at once, sent or not."""
        self._open_transport().abort()
        await asyncio.sleep(0)  # an aborted connection is closed at the loop's next turn

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        """Return the connection with TLS; it is closed if the handshake fails or is cancelled."""
        plain, secured = self._open_transport(), None
        try:
            if self._held:
                # Read after the handshake it would pass for an answer under TLS, whoever wrote it.
                raise ssl.SSLError("the endpoint spoke before the handshake")
            secured = await asyncio.get_running_loop().start_tls(
                plain, self, ssl_context, server_hostname=server_hostname
            )
        finally:
            if secured is None:
                plain.abort()
        self._transport = secured
        return self

    def get_extra_info(self, info: str) -> Any:
        """Return a property of the connection; `is_readable` once there is something to read, or its end."""
        if info == "is_readable":
            return bool(self._held) or self._is_over or self._has_more()
        return self._open_transport().get_extra_info(info)

    def _has_more(self) -> bool:
        """Tell whether the system holds something, or the connection's end, that the event loop hasn't seen yet."""
        return bool(self._waiting.poll(0))

    def _open_transport(self) -> asyncio.Transport:
        assert self._transport is not None, "a stream is used once it is connected"
        return self._transport

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


class Dialer(httpcore.AsyncNetworkBackend):
    """Opens connections to addresses."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        """Connect to an IP address. Raises httpcore.ConnectError and httpcore.ConnectTimeout."""
        try:
            async with asyncio.timeout(timeout):
                _, stream = await asyncio.get_running_loop().create_connection(Stream, host, port)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(error) from error
        except OSError as error:
            raise httpcore.ConnectError(error) from error
        return stream
