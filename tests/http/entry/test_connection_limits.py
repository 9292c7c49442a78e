"""Connections that want too much: a real server, raw sockets."""

import asyncio
import contextlib
import json
import re
import select
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_network
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
import uvicorn
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from crypto_checkout.core import ids
from crypto_checkout.http.entry import connection_limits
from crypto_checkout.http.entry.connection_limits import GuardedProtocol as Guarded
from tests.support.server import Server
from tests.support.waiting import WAIT_SECONDS, until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("shop")) as running:
        yield running


def connect(server: Server) -> socket.socket:
    parts = urlsplit(server.url)
    return socket.create_connection((str(parts.hostname), parts.port or 80), timeout=WAIT_SECONDS)


def read_until(is_whole: Callable[[bytes], bool], connection: socket.socket) -> bytes:
    received = b""
    while not is_whole(received):
        chunk = connection.recv(65536)
        assert chunk, f"it was closed after {received!r}"
        received += chunk
    return received


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
            received = read_until(lambda so_far: b'{"status":"ok"}' in so_far, connection)
            assert received.startswith(b"HTTP/1.1 200 OK")


# --- what is no request ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"BREW /coffee HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        (b"CONNECT shop.example:443 HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        (b"PROPFIND /api/v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET /healthz HTTP/1.1\r\nHost x\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
    ],
)
def test_what_is_no_request_of_ours_is_answered_with_an_id(server: Server, sent: bytes, status: int) -> None:
    with connect(server) as connection:
        connection.sendall(sent)
        head, _, body = read_to_end(connection).decode().partition("\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ")
    headers = dict(line.split(": ", 1) for line in head.splitlines()[1:])
    assert ids.is_id(headers["x-request-id"], ids.REQUEST)
    assert headers["connection"] == "close"
    found = json.loads(body)["error"]
    assert found["requestId"] == headers["x-request-id"]
    assert found["code"] == ("invalid_query" if status == 400 else "method_not_allowed")


def test_garbage_is_logged_once_a_minute(server: Server) -> None:
    before = server.log.count("what came is no HTTP")
    for _ in range(20):
        with connect(server) as connection:
            connection.sendall(b"garbage\r\n\r\n")
            assert read_to_end(connection).startswith(b"HTTP/1.1 400 ")
    assert before <= server.log.count("what came is no HTTP") <= before + 1
    assert "Invalid HTTP" not in server.log


def test_a_request_to_upgrade_is_answered_as_any_other_and_not_logged(server: Server) -> None:
    before = server.log
    with connect(server) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert server.log == before


def test_the_answer_to_a_request_is_never_that_to_the_garbage_behind_it(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\ngarbage\r\n\r\n")
        assert b"HTTP/1.1 400" not in read_to_end(connection)


# --- an answer before the whole request ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"PATCH /api/v1/payment_links/x HTTP/1.0\r\nContent-Length: 600000\r\n\r\n", 401),  # as nginx sends it
        (b"POST /api/v1/payment_links HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 600000\r\n\r\n", 401),
        (b"GET /healthz HTTP/1.1\r\nHost x\r\n", 400),
    ],
    ids=["by HTTP/1.0", "on a connection that ends", "to no request"],
)
def test_an_answer_before_the_whole_request_reaches_a_client_that_sends_on(
    server: Server, head: bytes, status: int
) -> None:
    with connect(server) as connection:
        connection.sendall(head)
        select.select([connection], [], [], WAIT_SECONDS)  # it is answered
        for _ in range(6):
            connection.sendall(b" " * 100_000)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    assert received.startswith(f"HTTP/1.1 {status} ".encode())


def test_who_sends_on_for_too_long_after_an_answer_is_closed() -> None:
    class Lingering(Guarded):
        linger_seconds: float = 10 * WAIT_SECONDS

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def test() -> None:
        async with listening(Lingering, app) as server:
            for Lingering.linger_seconds in (10 * WAIT_SECONDS, 0.2):
                reader, writer = await server.connect()
                writer.write(b"POST / HTTP/1.0\r\nContent-Length: 600000\r\n\r\n")
                assert (await reader.read()).startswith(b"HTTP/1.1 401")
                writer.write(b" ")
                if Lingering.linger_seconds > 1:  # the other time may be over already
                    assert server.state.connections
                    writer.close()
                await until(lambda: not server.state.connections, "close")

    on_uvloop(test)


def test_a_connection_that_lingers_gives_its_place_to_a_new_one() -> None:
    class Few(Guarded):
        most_connections = 1
        trusted_proxies = (ip_network("127.0.0.0/8"),)

    async def test() -> None:
        async with listening(Few) as server:
            reader, writer = await server.connect()
            writer.write(b"garbage\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 400")
            reader, writer = await server.connect()
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 204")

    on_uvloop(test)


# --- too many requests on one connection -----------------------------------------------------------------------------


def test_a_connection_with_more_than_a_few_queued_requests_is_closed_and_few_are_answered(server: Server) -> None:
    def answered() -> float:
        text = server.client(None).get(f"{server.url}/metrics").text
        label = 'checkout_http_requests_total{method="GET",route="/l/{slug}",status="404"}'
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(label))

    before = answered()
    with connect(server) as connection:
        try:
            for _ in range(20):
                connection.sendall(b"GET /l/nothing HTTP/1.1\r\nHost: x\r\n\r\n" * 5_000)
        except (ConnectionResetError, BrokenPipeError):
            pass
        read_to_end(connection)
    assert answered() - before <= 1 + connection_limits.MOST_QUEUED


def test_a_few_queued_requests_are_answered_in_their_order(server: Server) -> None:
    paths = [f"/{number}" for number in range(connection_limits.MOST_QUEUED)]
    heads = [f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n" for path in paths]
    with connect(server) as connection:
        connection.sendall("".join(heads).encode())
        received = read_until(lambda so_far: so_far.count(b"There is nothing at GET ") >= len(paths), connection)
    assert re.findall(r"nothing at GET (/\d)", received.decode()) == paths


# --- one connection at a time, on the event loop of the server -------------------------------------------------------


async def empty(_: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@dataclass
class Listening:
    port: int
    state: ServerState
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        return reader, writer

    @property
    def protocols(self) -> list[Guarded]:
        return [each for each in self.state.connections if isinstance(each, Guarded)]


@asynccontextmanager
async def listening(protocol: type[Guarded], app: ASGIApp = empty) -> AsyncIterator[Listening]:
    config = uvicorn.Config(app, http=protocol, ws="none", lifespan="off", log_config=None, access_log=False)
    config.load()
    state = ServerState()
    made = await asyncio.get_running_loop().create_server(
        lambda: protocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    async with made:
        server = Listening(made.sockets[0].getsockname()[1], state)
        try:
            yield server
        finally:
            for writer in server.writers:
                writer.close()
        await until(lambda: not state.connections, "close all connections")


def on_uvloop(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(test(), 60))


def test_a_request_that_never_ends_is_given_up_and_no_request_is_too() -> None:
    class Hasty(Guarded):
        request_seconds: float = 0.2

    async def test() -> None:
        async with listening(Hasty) as server:
            for sent in (b"", b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n1"):
                reader, writer = await server.connect()
                writer.write(sent)
                assert b"200" not in await reader.read()
                writer.close()
            Hasty.request_seconds = WAIT_SECONDS  # a busy machine may need longer than the others got
            reader, writer = await server.connect()
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 204")
            writer.close()

    on_uvloop(test)


@pytest.mark.parametrize("pieces", [1, 2_000], ids=["at once", "in pieces"])
def test_who_does_not_read_an_answer_is_closed(pieces: int) -> None:
    class Hasty(Guarded):
        write_seconds = 0.05

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(pieces):
            body = b"x" * (64_000_000 // pieces)
            await send({"type": "http.response.body", "body": body, "more_body": number < pieces - 1})

    async def test() -> None:
        async with listening(Hasty, app) as server:
            connection = socket.create_connection(("127.0.0.1", server.port))
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await until(lambda: server.state.total_requests or server.state.tasks, "begin to answer")
            await until(lambda: not server.state.connections and not server.state.tasks, "close")
            connection.close()

    on_uvloop(test)


class Buffer(asyncio.Transport):
    """A transport whose client takes as much as the test says."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 1), "sockname": ("192.0.2.2", 2)})
        self.unsent = 0
        self.is_aborted = False

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def abort(self) -> None:
        self.is_aborted = True

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("sizes", "is_closed"),
    [
        ((0, 0, 0, 0), False),
        ((500, 0, 500, 0, 500), False),
        ((1_000_000, 900_000, 899_999, 100), False),
        ((1_000_000, 1_000_000), True),
        ((1_000_000, 900_000, 900_000), True),
        ((0, 500, 501), True),
    ],
)
async def test_who_takes_something_at_every_check_may_take_their_time(sizes: Sequence[int], is_closed: bool) -> None:
    transport = Buffer()
    protocol = Guarded(config=uvicorn.Config(empty), server_state=ServerState(), app_state={})
    protocol.connection_made(transport)
    for size in sizes:
        transport.unsent = size
        protocol._check_progress()
    assert transport.is_aborted is is_closed
    protocol.connection_lost(None if is_closed else ConnectionResetError())


def test_a_client_has_so_many_connections_and_gets_a_place_back() -> None:
    class Few(Guarded):
        most_per_client = 3
        _open: ClassVar[dict[str, dict[Guarded, None]]] = {}  # of this test alone

    async def is_open(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        try:
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            return bool(await reader.readuntil(b"\r\n\r\n"))
        except (ConnectionResetError, asyncio.IncompleteReadError):
            return False

    async def test() -> None:
        async with listening(Few) as server:
            kept = [await server.connect() for _ in range(3)]
            await until(lambda: len(server.state.connections) == 3, "accept all")
            assert not await is_open(*await server.connect())
            kept[0][1].close()
            await until(lambda: len(server.state.connections) == 2, "notice that one left")
            kept[0] = await server.connect()
            assert all([await is_open(*each) for each in kept])
            assert await is_open(*await server.connect()), "it gets the place of one that waits"
            assert not await is_open(*kept[1]), "the oldest of its client"
            assert await is_open(*kept[0])

    on_uvloop(test)


@pytest.mark.parametrize(("body", "rest"), [(b"Content-Length: 1\r\n", b"x"), (b"", b"\r\n")])
def test_a_connection_waits_for_a_request_whatever_else_came_after_the_answer(body: bytes, rest: bytes) -> None:
    """The rest of a request that was answered without its body, and an empty line, begin no other."""

    class Few(Guarded):
        most_per_client = 3
        _open: ClassVar[dict[str, dict[Guarded, None]]] = {}  # of this test alone

    async def early(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def test() -> None:
        async with listening(Few, early) as server:
            kept = [await server.connect() for _ in range(3)]
            for reader, writer in kept:
                writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n" + body + b"\r\n")
                await reader.readuntil(b"\r\n\r\n")
                writer.write(rest)
            await until(lambda: all(each in Few._idle for each in server.protocols), "wait for requests")
            reader, writer = await server.connect()
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204"), "it gets the place of one"
            for each in server.protocols:
                each.timeout_keep_alive = 0
            kept[1][1].write(b"\r\n")
            assert await kept[1][0].read() == b"", "it is closed as any other that waits"

    on_uvloop(test)


def test_a_trusted_proxy_has_as_many_connections_as_it_likes() -> None:
    class Few(Guarded):
        most_per_client = 3
        _open: ClassVar[dict[str, dict[Guarded, None]]] = {}  # of this test alone
        trusted_proxies = (ip_network("127.0.0.0/8"),)

    async def test() -> None:
        async with listening(Few) as server:
            kept = [await server.connect() for _ in range(20)]
            await until(lambda: len(server.state.connections) == 20, "accept all")
            assert len(kept) == 20

    on_uvloop(test)


def test_a_connection_that_is_reset_while_it_is_answered_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    ended = []

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for protocol in servers[0].protocols:
            protocol.transport.abort()  # as uvloop does with one that was reset, before it says so
        for body in (b"x", b"y", b"z"):
            await send({"type": "http.response.body", "body": body, "more_body": True})
        ended.append(True)

    servers: list[Listening] = []

    async def test() -> None:
        async with listening(Guarded, app) as server:
            servers.append(server)
            reader, writer = await server.connect()
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                await reader.read()
            await until(lambda: bool(ended) and not server.state.tasks, "end")

    on_uvloop(test)
    assert caplog.records == []


def test_connections_leave_descriptors_for_everything_else() -> None:
    most = connection_limits.most_connections()
    assert most >= 64
    assert connection_limits.most_connections() == most


def test_connections_whose_answers_are_not_taken_keep_their_places_and_are_not_replaced() -> None:
    """One that is closed stays open until its answer is taken: a client would have as many as it likes."""

    class Few(Guarded):
        most_per_client = 3
        _open: ClassVar[dict[str, dict[Guarded, None]]] = {}  # of this test alone

    answered: list[bool] = []

    def has_answered(count: int) -> bool:
        return len(answered) == count

    async def large(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(8 * 1024 * 1024)})
        answered.append(True)

    async def test() -> None:
        async with listening(Few, large) as server:
            with contextlib.ExitStack() as held:
                for number in range(6):
                    connection = held.enter_context(socket.socket())
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    connection.setblocking(False)
                    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", server.port))
                    if number < 3:
                        connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                        await until(partial(has_answered, number + 1), "answer")
                    else:
                        await until(partial(is_refused, connection), "refuse it")
                assert len(server.state.connections) == 3

    on_uvloop(test)


def is_refused(connection: socket.socket) -> bool:
    try:
        return not connection.recv(1)
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
