"""Answers in one write: the same bytes as uvicorn's two steps make."""

import asyncio
from collections.abc import Sequence

import pytest
from starlette.types import Receive, Scope, Send

from crypto_checkout.http.entry import whole_answers
from crypto_checkout.http.headers import Header
from tests.support.served import Connection, protocol_of
from tests.support.waiting import WAIT_SECONDS

JSON: list[Header] = [(b"content-length", b"11"), (b"content-type", b"application/json")]
BODY = b'{"a":"\xc3\xa9 "}'


async def answered(request: bytes, status: int, headers: Sequence[Header], *, whole: bool) -> Connection:
    """Return a connection after the answer to its request, written whole where that is possible."""
    ended, body = asyncio.Event(), b"" if status == 304 else BODY

    async def app(scope: Scope, _: Receive, send: Send) -> None:
        answers = whole_answers.take(scope)
        assert answers is not None
        try:
            if not whole or not answers.write(status, headers, body):
                await send({"type": "http.response.start", "status": status, "headers": headers})
                await send({"type": "http.response.body", "body": body})
        finally:
            ended.set()

    connection = Connection()
    protocol = protocol_of(app)
    protocol.connection_made(connection)
    protocol.data_received(request)
    async with asyncio.timeout(WAIT_SECONDS):
        await ended.wait()
    await asyncio.sleep(0)
    protocol.connection_lost(ConnectionResetError())
    return connection


def asked(method: str = "GET", *headers: str, version: str = "1.1") -> bytes:
    return "\r\n".join([f"{method} / HTTP/{version}", "Host: x", *headers, "", ""]).encode()


@pytest.mark.parametrize(
    ("request_", "status", "headers", "writes"),
    [
        (asked(), 200, JSON, 1),
        (asked(), 404, [*JSON, (b"retry-after", b"1"), (b"x-name", "caf\u00e9".encode("latin-1"))], 1),
        (asked("HEAD"), 200, JSON, 1),
        (asked(), 304, [(b"etag", b'"a"')], 1),
        (asked("GET", "Connection: close"), 200, JSON, 2),
        (asked(version="1.0"), 200, JSON, 2),
    ],
)
async def test_a_whole_answer_is_what_two_steps_make(
    request_: bytes, status: int, headers: list[Header], writes: int
) -> None:
    at_once = await answered(request_, status, headers, whole=True)
    in_steps = await answered(request_, status, headers, whole=False)
    assert b"".join(at_once.writes) == b"".join(in_steps.writes)
    assert len([each for each in at_once.writes if each]) == writes
    assert at_once.is_closed == in_steps.is_closed


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: x", b"a\nb", b"a\x00b", b"a\x7f"])
async def test_a_header_that_would_begin_another_is_sent_neither_way(value: bytes) -> None:
    for whole in (True, False):
        connection = await answered(asked(), 200, [*JSON, (b"location", value)], whole=whole)
        assert value not in b"".join(connection.writes)
        assert b"HTTP/1.1 500 " in b"".join(connection.writes) or connection.is_closed


async def test_the_next_request_on_the_connection_is_answered_too() -> None:
    count = 0

    async def app(scope: Scope, _: Receive, __: Send) -> None:
        nonlocal count
        count += 1
        answers = whole_answers.take(scope)
        assert answers is not None
        assert answers.write(200, JSON, BODY)

    connection, protocol = Connection(), protocol_of(app)
    protocol.connection_made(connection)
    for expected in (1, 2):
        protocol.data_received(asked())
        async with asyncio.timeout(WAIT_SECONDS):
            while count < expected:
                await asyncio.sleep(0)
    protocol.data_received(asked() * 2)
    async with asyncio.timeout(WAIT_SECONDS):
        while count < 4:
            await asyncio.sleep(0)
    protocol.connection_lost(ConnectionResetError())
    assert len(connection.writes) == 4
