"""Thousands of open pages in one process: connections that ask for the status as the payer's page does."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Self

USUAL_SECONDS = 2.5


class Connection(asyncio.Protocol):
    """A kept connection for one request at a time, with as little work as possible for each."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[bytes, bytes]] | None = None
        self._received = b""

    @classmethod
    async def to(cls, port: int) -> Self:
        """Connect to a port of this machine."""
        _, protocol = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return protocol

    async def ask(self, request: bytes) -> tuple[bytes, bytes]:
        """Return the head and the body of the answer. Raises ConnectionError if the connection ends before."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError
        self._received = b""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or self._answer is None or self._answer.done():
            return
        length = header(head, b"content-length")
        if len(body) >= int(length or 0):
            self._answer.set_result((head, body))

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError())


def header(head: bytes, name: bytes) -> bytes | None:
    """Return the value of a header."""
    _, found, rest = head.lower().partition(b"\r\n" + name + b": ")
    return rest.partition(b"\r\n")[0] if found else None


class OpenPage:
    """A page that polls until it is cancelled; payers behind one proxy have addresses of their own."""

    def __init__(self, port: int, path: str, payer: int) -> None:
        self._port = port
        address = ".".join(str(part) for part in payer.to_bytes(4, "big"))
        self._request = f"GET {path} HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: {address}\r\n"
        self.statuses: dict[bytes, int] = {}
        self.seconds: list[float] = []
        self.pause = USUAL_SECONDS
        self.reconnected = 0

    async def run(self, first_pause: float) -> None:
        tag = b""
        connection = await Connection.to(self._port)
        try:
            await asyncio.sleep(first_pause)
            while True:
                known = f"If-None-Match: {tag.decode()}\r\n" if tag else ""
                began = time.monotonic()
                try:
                    head, _ = await connection.ask(f"{self._request}{known}\r\n".encode())
                except ConnectionError:  # an idle connection was closed, as servers do: browsers ask again
                    connection = await Connection.to(self._port)
                    self.reconnected += 1
                    continue
                self.seconds.append(time.monotonic() - began)
                status = head[9:12]
                self.statuses[status] = self.statuses.get(status, 0) + 1
                tag = header(head, b"etag") or tag
                self.pause = max(USUAL_SECONDS, float(header(head, b"x-poll-seconds") or 0))
                await asyncio.sleep(self.pause)
        finally:
            connection.close()


async def read_for(seconds: float, port: int, key: str) -> list[float]:
    """Read as a shop does, for a while; return how long each answer took."""
    request = f"GET /api/v1/checkout_sessions?limit=1 HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {key}\r\n\r\n"
    took: list[float] = []
    until = time.monotonic() + seconds
    with closing(await Connection.to(port)) as connection:
        while (asked := time.monotonic()) < until:
            head, _ = await connection.ask(request.encode())
            assert head.startswith(b"HTTP/1.1 200")
            took.append(time.monotonic() - asked)
            await asyncio.sleep(0.02)
    return took


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which this share of all values lies."""
    return sorted(values)[int(share * (len(values) - 1))]
