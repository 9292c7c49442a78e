"""Limits that uvicorn lacks: on the time of a request, the size of its head, and the number of connections.

Connections are refused early enough to keep file descriptors for the database, the chains and the webhooks.
"""

import asyncio
import resource

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REQUEST_SECONDS = 30.0
MOST_HEAD_BYTES = 128 * 1024
KEPT_DESCRIPTORS = 256

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_TARGET_DESCRIPTORS = 8192


def most_connections() -> int:
    """Raise the limit of file descriptors, and return the number of connections that it allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = _TARGET_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _TARGET_DESCRIPTORS)
    if soft < target:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
        soft = target
    return max(64, soft - KEPT_DESCRIPTORS)


class GuardedProtocol(HttpToolsProtocol):
    """A connection with limits; `most_connections` is set once, at the start of the server."""

    most_connections = 512
    request_seconds = REQUEST_SECONDS

    _deadline: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _has_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the connection, unless there are too many."""
        if len(self.connections) >= self.most_connections:
            transport.abort()
            return
        super().connection_made(transport)
        self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the deadline."""
        self._cancel_deadline()
        if self.transport is not None:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the data, unless the head is too large."""
        if not self._has_head:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES:
                self.transport.write(_TOO_LARGE)
                self.transport.close()
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Start the deadline of the next request on a kept connection."""
        if self._deadline is None:
            self._start_deadline()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop counting the size of the head."""
        self._has_head = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Cancel the deadline: the request is complete."""
        self._cancel_deadline()
        super().on_message_complete()

    def _start_deadline(self) -> None:
        self._head_bytes, self._has_head = 0, False
        self._deadline = self.loop.call_later(self.request_seconds, self._time_out)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._head_bytes, self._has_head = 0, False

    def _time_out(self) -> None:
        """Close a connection whose request didn't arrive in time, even while it is being answered."""
        self._deadline = None
        self.transport.close()
