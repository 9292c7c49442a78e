"""What one connection may take: uvicorn reads requests of any length for any time, from as many clients as come.

Here a request has to arrive whole within a time, its head within a size, and connections are turned away while there
are descriptors left for the database, the chains and the webhooks.
"""

import asyncio
import resource

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REQUEST_SECONDS = 30.0
MOST_HEAD_BYTES = 128 * 1024
KEPT_DESCRIPTORS = 256

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_WANTED_DESCRIPTORS = 8192


def most_connections() -> int:
    """Raise the limit of descriptors as far as the system allows, and return how many connections fit below it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _WANTED_DESCRIPTORS)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return max(64, soft - KEPT_DESCRIPTORS)


class GuardedProtocol(HttpToolsProtocol):
    """One connection, as uvicorn makes it, with its limits; `most_connections` is set once at the start."""

    most_connections = 512
    request_seconds = REQUEST_SECONDS

    _deadline: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _has_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, unless there are too many already."""
        if len(self.connections) >= self.most_connections:
            transport.abort()
            return
        super().connection_made(transport)
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._stop_waiting()
        if self.transport is not None:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless the head is endless."""
        if not self._has_head:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES:
                self.transport.write(_TOO_LARGE)
                self.transport.close()
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Note that a request begins; on a kept connection its time begins now."""
        if self._deadline is None:
            self._await_request()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Note that the head is whole."""
        self._has_head = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that the request is whole."""
        self._stop_waiting()
        super().on_message_complete()

    def _await_request(self) -> None:
        self._head_bytes, self._has_head = 0, False
        self._deadline = self.loop.call_later(self.request_seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._head_bytes, self._has_head = 0, False

    def _give_up(self) -> None:
        """Close a connection whose request did not arrive in time; an answer that is under way goes with it."""
        self._deadline = None
        self.transport.close()
