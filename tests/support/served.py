"""An application behind the server's own protocol, on a connection in memory."""

import asyncio
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from crypto_checkout.http.entry.connection_limits import GuardedProtocol
from tests.support.waiting import WAIT_SECONDS

Header = tuple[bytes, bytes]

DATE = b"Tue, 01 Dec 2026 00:00:00 GMT"


class Connection(asyncio.Transport):
    """A connection that notes what is written to it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("203.0.113.7", 50_000), "sockname": ("203.0.113.1", 80)})
        self.writes: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


def protocol_of(app: ASGIApp) -> GuardedProtocol:
    """Return the protocol of one connection to an application."""
    config = uvicorn.Config(app, http=GuardedProtocol, ws="none", lifespan="off", log_config=None, access_log=False)
    config.load()
    state = ServerState()
    state.default_headers = [(b"date", DATE)]  # as uvicorn sets them each second
    return GuardedProtocol(config=config, server_state=state, app_state={})


@dataclass(frozen=True)
class Answer:
    """An answer as it was sent."""

    status: int
    headers: list[Header]
    body: bytes

    def header(self, name: bytes) -> bytes:
        """Return a header's value; "" where it isn't there."""
        return dict(self.headers).get(name, b"")


async def ask(app: ASGIApp, *lines: str, body: bytes = b"") -> Answer:
    """Send a request on a connection of its own: its first line, its headers, and a body of JSON."""
    if body:
        lines = (*lines, "Content-Type: application/json", f"Content-Length: {len(body)}")
    connection, protocol = Connection(), protocol_of(app)
    protocol.connection_made(connection)
    protocol.data_received("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
    async with asyncio.timeout(WAIT_SECONDS):
        while not protocol.cycle.response_complete:
            await asyncio.sleep(0)
    protocol.connection_lost(ConnectionResetError())
    head, _, answered = b"".join(connection.writes).partition(b"\r\n\r\n")
    first, *others = head.split(b"\r\n")
    headers = [(name, value) for name, _, value in (line.partition(b": ") for line in others)]
    return Answer(int(first.split(b" ")[1]), headers, answered)
