"""Connections that want too much: a real server, raw sockets."""

import asyncio
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from crypto_checkout.http.entry import connection_limits
from tests.support.server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("shop")) as running:
        yield running


def connect(server: Server) -> socket.socket:
    parts = urlsplit(server.url)
    return socket.create_connection((str(parts.hostname), parts.port or 80), timeout=20)


def read_to_end(connection: socket.socket) -> bytes:
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return received


def test_an_endless_header_is_refused(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: ")
        try:
            for _ in range(64):
                connection.sendall(b"a" * 65536)
        except (ConnectionResetError, BrokenPipeError):
            pass
        answer = read_to_end(connection)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")
    assert server.client(None).get(f"{server.url}/healthz").is_success


def test_a_long_but_allowed_header_is_read(server: Server) -> None:
    answer = server.client(None).get(f"{server.url}/healthz", headers={"X-Long": "a" * 30_000})
    assert answer.is_success


def test_a_body_of_the_allowed_size_is_read_in_pieces(server: Server) -> None:
    body = b'{"title": "' + b"a" * 60_000 + b'"}'
    answer = server.api.post(
        "/payment_links",
        content=iter([body[:10], body[10:40_000], body[40_000:]]),
        headers={"Content-Type": "application/json"},
    )
    assert answer.json()["error"]["param"] == "title"


def test_many_requests_on_one_connection_each_have_their_own_time(server: Server) -> None:
    with connect(server) as connection:
        for _ in range(50):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            received = b""
            while b'{"status":"ok"}' not in received:
                received += connection.recv(65536)
            assert received.startswith(b"HTTP/1.1 200 OK")


async def test_a_request_that_never_ends_is_given_up_and_no_request_is_too() -> None:
    class Hasty(connection_limits.GuardedProtocol):
        request_seconds = 0.2

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(app, http=Hasty, ws="none", lifespan="off", log_config=None)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Hasty(config=config, server_state=state, app_state={}), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        for sent in (b"", b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n1"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            async with asyncio.timeout(10):
                assert b"200" not in await reader.read()
            writer.close()
            await writer.wait_closed()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 204")
        writer.close()
        await writer.wait_closed()


def test_connections_leave_descriptors_for_everything_else() -> None:
    most = connection_limits.most_connections()
    assert most >= 64
    assert connection_limits.most_connections() == most
