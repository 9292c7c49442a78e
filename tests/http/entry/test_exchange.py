"""The head of an answer leaves with its body, and all else is as uvicorn does it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from crypto_checkout.http.entry.connection_limits import GuardedProtocol
from tests.support.waiting import until


class Connection(asyncio.Transport):
    """A connection that notes each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.is_closed = False

    def write(self, data: Any) -> None:
        """Note a write."""
        if data:
            self.writes.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        """Return 0: all is taken at once."""
        return 0

    def is_closing(self) -> bool:
        """Tell whether it was closed."""
        return self.is_closed

    def close(self) -> None:
        """Close it."""
        self.is_closed = True

    def resume_reading(self) -> None:
        """Do nothing."""


async def answered(
    kind: Callable[..., HttpToolsProtocol], app: ASGIApp, method: str, *, version: str, more: str = ""
) -> Connection:
    config = uvicorn.Config(app, log_config=None, lifespan="off", ws="none", server_header=False)
    config.load()
    protocol, connection = kind(config=config, server_state=ServerState(), app_state={}), Connection()
    protocol.connection_made(connection)
    protocol.data_received(f"{method} / HTTP/{version}\r\nHost: example.com\r\n{more}\r\n".encode())
    await until(lambda: not protocol.tasks, "the answer")
    protocol.connection_lost(None)
    return connection


def streamed(*, length: str | None) -> ASGIApp:
    async def parts() -> Any:
        yield b"one "
        yield b"two"

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        headers = {} if length is None else {"Content-Length": length}
        await StreamingResponse(parts(), headers=headers)(scope, receive, send)

    return answer


async def failing(_: Scope, __: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    raise LookupError


ANSWERS: dict[str, tuple[ASGIApp, int]] = {
    "whole": (PlainTextResponse("hello"), 1),
    "empty": (PlainTextResponse(""), 1),
    "not modified": (Response(status_code=304, headers={"ETag": '"1"'}), 1),
    "no content": (Response(status_code=204), 1),
    "one that closes": (PlainTextResponse("hello", headers={"Connection": "close"}), 2),
    "parts of a known length": (streamed(length="7"), 3),
    "parts": (streamed(length=None), 4),
    "too short": (streamed(length="9"), 3),
    "too long": (streamed(length="5"), 2),
    "a line break in a header": (PlainTextResponse("hello", headers={"X-Name": "a\nb"}), 0),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_the_bytes_are_those_of_uvicorn(name: str, method: str, version: str) -> None:
    app, writes = ANSWERS[name]
    ours = await answered(GuardedProtocol, app, method, version=version)
    theirs = await answered(HttpToolsProtocol, app, method, version=version)
    assert b"".join(ours.writes) == b"".join(theirs.writes)
    assert ours.is_closed == theirs.is_closed
    if method == "GET" and version == "1.1":
        assert len(ours.writes) == writes


async def test_a_body_that_is_refused_is_not_asked_for_after_the_answer() -> None:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("no")(scope, receive, send)
        await receive()

    expecting = "Content-Length: 5\r\nExpect: 100-continue\r\n"
    ours = await answered(GuardedProtocol, refuse, "POST", version="1.1", more=expecting)
    theirs = await answered(HttpToolsProtocol, refuse, "POST", version="1.1", more=expecting)
    assert ours.writes == [b"".join(theirs.writes)]
    assert b"100 Continue" not in ours.writes[0]


async def test_a_failure_between_head_and_body_closes_the_connection() -> None:
    connection = await answered(GuardedProtocol, failing, "GET", version="1.1")
    assert connection.is_closed
    assert connection.writes == []
