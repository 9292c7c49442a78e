"""The byte stream of a connection to an endpoint, with bounds that httpcore doesn't have."""

import contextlib
import ssl
from typing import Any

import anyio
import httpcore

# Of one answer, including its head and all framing; at most 64 KiB of its body are kept (`webhooks.send`).
MAX_READ_BYTES = 128 * 1024
_PIECE_BYTES = 4 * 1024
_HEAD_END = b"\r\n\r\n"


class Stream(httpcore.AsyncNetworkStream):
    """A connection that sends the head of a request together with its body: in one packet, by one system call.

    An answer is read in small pieces, and its size is bounded: otherwise thousands of `100 Continue` responses, or of
    one-byte chunks, would keep the whole process busy. The connection is also closed when its TLS handshake is
    cancelled, which httpcore 1.0.9 forgets.
    """

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._head = b""
        self._read_bytes = 0

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """Read a small piece. Raises RemoteProtocolError if an answer exceeds `MAX_READ_BYTES`."""
        if self._head:
            await self.write(b"", timeout)
        if self._read_bytes >= MAX_READ_BYTES:
            raise httpcore.RemoteProtocolError(f"more than {MAX_READ_BYTES} bytes, and no end of the answer")
        piece = await self._stream.read(min(max_bytes, _PIECE_BYTES), timeout)
        self._read_bytes += len(piece)
        return piece

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Write; the head of a request is held until the next write or read."""
        if buffer.endswith(_HEAD_END) and not self._head:
            self._head = buffer
            self._read_bytes = 0
            return
        whole, self._head = self._head + buffer, b""
        if whole:  # httpcore also writes an empty piece after a body
            await self._stream.write(whole, timeout)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        """Return the connection with TLS; it is closed if the handshake fails or is cancelled."""
        async with contextlib.AsyncExitStack() as on_failure:
            on_failure.push_async_callback(self._close_even_when_cancelled)
            secured = await self._stream.start_tls(ssl_context, server_hostname, timeout)
            on_failure.pop_all()
            return Stream(secured)

    def get_extra_info(self, info: str) -> Any:
        """Return a property of the underlying connection."""
        return self._stream.get_extra_info(info)

    async def _close_even_when_cancelled(self) -> None:
        with anyio.CancelScope(shield=True):
            await self._stream.aclose()
