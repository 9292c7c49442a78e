"""The layer around every request: the caller's address, headers of every answer and defence against abuse."""

import json
import re
import socket
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message
from structlog.testing import capture_logs

from crypto_checkout import metrics
from crypto_checkout.core import ids
from crypto_checkout.http.entry.application import Application
from crypto_checkout.http.entry.client_address import ClientAddresses, client_address, is_local
from tests.support.api import LINK, App, error, open_app
from tests.support.server import Server
from tests.support.waiting import WAIT_SECONDS

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
JSON = "application/json"


def scope(peer: str | None, headers: list[tuple[str, str]] | None = None) -> dict[str, Any]:
    return {
        "type": "http",
        "client": None if peer is None else (peer, 50_000),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers or []],
    }


# --- who asks --------------------------------------------------------------------------------------------------------

TRUSTED = [ip_network(network) for network in ("127.0.0.1/32", "10.0.0.0/8", "fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "chain", "expected"),
    [
        # Nobody is believed but a trusted proxy.
        ("198.51.100.7", [], "198.51.100.7"),
        ("198.51.100.7", ["203.0.113.9"], "198.51.100.7"),
        ("198.51.100.7", ["127.0.0.1"], "198.51.100.7"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        # What a client wrote itself stands before what the proxy saw.
        ("127.0.0.1", ["127.0.0.1, 203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["10.1.1.1, 203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["1.1.1.1, 2.2.2.2, 203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["<script>, 203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["1.1.1.1", "203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["1.1.1.1", "203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        # Several proxies in a row.
        ("127.0.0.1", ["203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.3", ["1.1.1.1, 203.0.113.9,10.0.0.2 ,10.0.0.1"], "203.0.113.9"),
        ("127.0.0.1", ["10.0.0.2, 10.0.0.1"], "10.0.0.2"),
        # What is no address ends the chain.
        ("127.0.0.1", ["203.0.113.9, unknown"], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.9, nonsense, 10.0.0.2"], "10.0.0.2"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("127.0.0.1", [","], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.009"], "127.0.0.1"),
        # With a port, in brackets and in quotes, as some proxies write it.
        ("127.0.0.1", ["203.0.113.9:1234"], "203.0.113.9"),
        ("127.0.0.1", ["1.1.1.1, 203.0.113.9:1234, 10.0.0.2:80"], "203.0.113.9"),
        ("127.0.0.1", ["[2001:db8::7]:1234"], "2001:db8::7"),
        ("127.0.0.1", ["[2001:db8::7]"], "2001:db8::7"),
        ("127.0.0.1", ['"[2001:db8::7]:1234"'], "2001:db8::7"),
        ("127.0.0.1", ['"203.0.113.9:1234"'], "203.0.113.9"),
        ("127.0.0.1", ['"203.0.113.9"'], "203.0.113.9"),
        ("127.0.0.1", ["[::ffff:203.0.113.9]:1"], "203.0.113.9"),
        ("127.0.0.1", ["203.0.113.9:"], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.9:x"], "127.0.0.1"),
        ("127.0.0.1", ["[203.0.113.9]:1"], "127.0.0.1"),
        ("127.0.0.1", ["[2001:db8::7"], "2001:db8::7"),
        ("127.0.0.1", ['"203.0.113.9'], "127.0.0.1"),
        ("127.0.0.1", ['"'], "127.0.0.1"),
        # IPv6, also as IPv4 over an IPv6 socket.
        ("fd00::1", ["2001:db8::7"], "2001:db8::7"),
        ("fd00::1", ["2001:0DB8:0:0:0:0:0:7"], "2001:db8::7"),
        ("::ffff:127.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("::ffff:198.51.100.7", ["203.0.113.9"], "198.51.100.7"),
        ("127.0.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
        ("fe80::1%eth0", [], "fe80::1"),
        # A socket of another kind has no address.
        (None, ["203.0.113.9"], ""),
        ("", ["203.0.113.9"], ""),
        ("testclient", ["203.0.113.9"], "testclient"),
    ],
)
def test_a_client_is_the_nearest_address_that_is_no_trusted_proxy(
    peer: str | None, chain: list[str], expected: str
) -> None:
    headers = [("X-Forwarded-For", value) for value in chain]
    assert client_address(scope(peer, headers), TRUSTED) == expected


def test_without_trusted_proxies_nothing_is_believed() -> None:
    assert client_address(scope("127.0.0.1", [("X-Forwarded-For", "203.0.113.9")]), []) == "127.0.0.1"


@pytest.mark.parametrize("peer", ["127.0.0.1", "10.1.2.3", "172.17.0.1", "::1", "fd12::1"])
def test_a_nearby_proxy_that_is_not_trusted_is_named_once(peer: str) -> None:
    met: list[str] = []
    addresses = ClientAddresses([ip_network("192.168.0.0/16")], met.append)
    with capture_logs() as logged:
        for _ in range(3):
            assert addresses.of(scope(peer, [("X-Forwarded-For", "203.0.113.9")])) == peer
    assert met == [peer]
    (line,) = logged
    assert (line["log_level"], line["address"]) == ("warning", peer)
    assert "trusted_proxies" in line["event"]


@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        ("127.0.0.1", []),
        ("127.0.0.1", [("X-Forwarded-For", "nonsense")]),
        ("192.168.1.1", [("X-Forwarded-For", "203.0.113.9")]),  # it is trusted
        ("198.51.100.7", [("X-Forwarded-For", "203.0.113.9")]),  # anybody can write that
        ("testclient", [("X-Forwarded-For", "203.0.113.9")]),
    ],
)
def test_nobody_else_is_taken_for_a_forgotten_proxy(peer: str, headers: list[tuple[str, str]]) -> None:
    met: list[str] = []
    ClientAddresses([ip_network("192.168.0.0/16")], met.append).of(scope(peer, headers))
    assert met == []


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_a_request_of_this_machine_is_local_unless_somebody_forwarded_it(peer: str) -> None:
    def local(*headers: tuple[str, str]) -> bool:
        asked = scope(peer, [*headers])
        return is_local({**asked, "client_address": client_address(asked, TRUSTED)})

    assert local()
    assert local(("User-Agent", "Prometheus"))
    for name in ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "Via", "X-Real-IP"):
        assert not local((name, "127.0.0.1"))


@pytest.mark.parametrize("address", ["10.0.0.1", "192.168.0.1", "203.0.113.9", "2001:db8::7", "", "localhost"])
def test_no_other_address_is_local(address: str) -> None:
    assert not is_local({**scope(address), "client_address": address})


# --- what each answer carries ----------------------------------------------------------------------------------------


async def hello(_: Request) -> Response:
    return PlainTextResponse("hello", headers={"Cache-Control": "max-age=60", "Content-Security-Policy": "img-src *"})


async def limited(request: Request) -> Response:
    request.scope["answer_headers"].append((b"ratelimit-limit", b"5"))
    if "fail" in request.query_params:
        raise RuntimeError("the secret of the inside")
    return PlainTextResponse("hello")


async def half(_: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        yield b"half"
        raise RuntimeError("and no more")

    return StreamingResponse(parts())


async def reading(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def ignoring(_: Request) -> Response:
    return PlainTextResponse("not read")


UNTRUSTED: list[str] = []
WEB = Application(
    [
        Route("/hello", hello),
        Route("/limited", limited),
        Route("/half", half),
        Route("/reading", reading, methods=["POST"]),
        Route("/ignoring/{id}", ignoring, methods=["POST"]),
    ],
    clock=lambda: NOW,
    addresses=ClientAddresses([], UNTRUSTED.append),
    is_https=False,
)


@pytest.fixture
async def web() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=WEB), base_url="http://shop.example") as client:
        yield client


async def test_every_answer_of_the_application_has_an_id_of_its_own_and_is_safe(app: App) -> None:
    seen = set()
    for method, path in (
        ("GET", "/api/v1/events"),
        ("GET", "/api/v1/nothing"),
        ("PUT", "/api/v1/events"),
        ("GET", "/nothing"),
        ("GET", "/"),
        ("GET", "/healthz"),
        ("POST", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
        ("GET", "/static/checkout.css"),
        ("GET", "/static/nothing.css"),
        ("GET", "/static/../app.py"),
        ("GET", "/checkout/cs_1"),
        ("GET", "/checkout/cs_1/status"),
        ("GET", "/l/nothing"),
        ("BREW", "/coffee"),
    ):
        answer = await app.api.request(method, f"http://shop.example{path}")
        assert answer.status_code < 500
        assert ids.is_id(answer.headers["x-request-id"], ids.REQUEST)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "referrer-policy" in answer.headers
        assert "server" not in answer.headers
        seen.add(answer.headers["x-request-id"])
    assert len(seen) == 16


@pytest.mark.parametrize("hosts", [[], ["a", "a"], ["a", "b"], [""], ["a, b"], ["a b"], ["a/b"], ["u@a"]])
async def test_a_request_without_one_host_is_refused(hosts: list[str]) -> None:
    sent, _ = await asked("GET", "/hello", [], hosts=hosts)
    assert sent[0]["status"] == 400
    found = json.loads(sent[1]["body"])["error"]
    assert (found["code"], found["param"]) == ("invalid_query", "Host")


@pytest.mark.parametrize("host", ["shop.example", "shop.example:8080", "127.0.0.1:1", "[::1]:4020", "münchen.example"])
async def test_a_request_to_any_one_host_is_answered(host: str) -> None:
    wanted = 200 if host.isascii() else 400
    assert (await asked("GET", "/hello", [], hosts=[host]))[0][0]["status"] == wanted


async def test_a_health_check_in_http_1_0_needs_no_host() -> None:
    assert (await asked("GET", "/hello", [], hosts=[], http_version="1.0"))[0][0]["status"] == 200
    assert (await asked("GET", "/hello", [], hosts=["a", "b"], http_version="1.0"))[0][0]["status"] == 400


@pytest.mark.parametrize(
    ("public_url", "expected"),
    [("https://pay.example.com", "max-age=31536000"), ("http://127.0.0.1:4020", None)],
)
async def test_browsers_that_came_by_https_stay_with_it(tmp_path: Path, public_url: str, expected: str | None) -> None:
    async with open_app(tmp_path, server={"public_url": public_url}) as app:
        for path in ("/", "/healthz", "/api/v1/events", "/nothing", "/static/checkout.css", "/dashboard"):
            answer = await app.api.get(f"http://shop.example{path}")
            assert answer.headers.get("strict-transport-security") == expected


async def test_an_id_that_the_client_sends_is_not_taken_over(web: httpx.AsyncClient) -> None:
    answer = await web.get("/hello", headers={"X-Request-Id": "mine"})
    assert answer.headers.get_list("x-request-id") != ["mine"]


async def test_headers_of_the_handlers_own_are_kept(web: httpx.AsyncClient) -> None:
    answer = await web.get("/hello")
    assert answer.headers["cache-control"] == "max-age=60"
    assert answer.headers["content-security-policy"] == "img-src *"


async def test_headers_for_the_answer_are_there_after_a_fault_too(web: httpx.AsyncClient) -> None:
    with capture_logs() as logged:
        answer = await web.get("/limited?fail")
    assert answer.status_code == 500
    assert answer.headers["ratelimit-limit"] == "5"
    assert "inside" not in answer.text
    assert error(answer)["requestId"] == answer.headers["x-request-id"] == logged[0]["request"]


async def asked(
    method: str, path: str, messages: list[Message], *, hosts: Sequence[str] = ("a",), http_version: str = "1.1"
) -> tuple[list[Message], list[str]]:
    """Hand a request to the application as a server does; return what it sends, and what it logs but for debugging."""
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    with capture_logs() as logged:
        request = scope("192.0.2.1", [("Host", host) for host in hosts])
        request |= {"method": method, "path": path, "query_string": b"", "http_version": http_version}
        await WEB(request, receive, send)
    return sent, [line["event"] for line in logged if line["log_level"] != "debug"]


async def test_a_fault_after_the_answer_began_is_logged_and_adds_nothing() -> None:
    sent, logged = await asked("GET", "/half", [{"type": "http.request", "body": b""}])
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[1]["more_body"], "so the server closes the connection, and the client sees that something is missing"
    assert logged == ["a request failed"]


async def test_a_client_that_leaves_is_no_fault() -> None:
    before = counted("POST", "/reading", "499")
    messages: list[Message] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]
    assert await asked("POST", "/reading", messages) == ([], [])
    assert counted("POST", "/reading", "499") == before + 1


@pytest.mark.parametrize(
    ("path", "content", "closes"),
    [
        ("/reading", b"x" * 100_000, False),
        ("/ignoring/1", b"x" * 65_536, False),
        ("/ignoring/1", b"x" * 65_537, True),
        ("/nothing", b"x" * 65_537, True),
        ("/ignoring/1", b"", False),
    ],
)
async def test_a_connection_with_a_long_body_that_nobody_read_is_closed(
    web: httpx.AsyncClient, path: str, content: bytes, closes: bool
) -> None:
    answer = await web.post(path, content=content)
    assert (answer.headers.get("connection") == "close") is closes


async def test_a_body_of_unknown_length_that_nobody_read_closes_the_connection(web: httpx.AsyncClient) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"x"

    assert (await web.post("/ignoring/1", content=parts())).headers["connection"] == "close"
    assert "connection" not in (await web.post("/reading", content=parts())).headers


# --- labels and log lines --------------------------------------------------------------------------------------------


def counted(method: str, route: str, status: str) -> float:
    labels = {"method": method, "route": route, "status": status}
    return metrics.REGISTRY.get_sample_value("checkout_http_requests_total", labels) or 0.0


def label_sets() -> set[frozenset[tuple[str, str]]]:
    return {
        frozenset(sample.labels.items())
        for metric in (metrics.REQUESTS, metrics.REQUEST_SECONDS)
        for family in metric.collect()
        for sample in family.samples
    }


async def test_no_client_can_make_labels_without_end(app: App, web: httpx.AsyncClient) -> None:
    async def ask(number: int) -> None:
        for method in ("GET", "PUT", f"M{number}", f"m-{number}"):
            for path in ("/", f"/{number}", "/ignoring/", f"/ignoring/{number}", f"/hello?{number}", "/hello%0A"):
                await web.request(method, f"{path}{number}" if path.endswith("/") else path)
            for path in ("/payment_links", f"/payment_links/{number}", f"/{number}", "/../healthz", "/../static/x"):
                await app.api.request(method, f"{path}?{number}", headers={"Authorization": f"Bearer {number}"})

    await ask(1)
    known = label_sets()
    for number in range(2, 12):
        await ask(number)
    assert label_sets() == known
    routes = {value for labels in known for name, value in labels if name == "route"}
    assert {"/hello", "/ignoring/{id}", "/api/v1/payment_links/{id}", "unknown"} <= routes


async def test_a_request_is_counted_by_its_route(app: App) -> None:
    before = counted("GET", "/api/v1/payment_links/{id}", "404")
    await app.api.get("/payment_links/pl_1")
    assert counted("GET", "/api/v1/payment_links/{id}", "404") == before + 1


async def test_a_log_line_holds_no_escape_sequence_and_no_query(web: httpx.AsyncClient) -> None:
    with capture_logs() as logged:
        await web.get("/hello%1B[2J%0Aforged/" + "x" * 5_000 + "?key=secret")
    (line,) = [line for line in logged if line["event"] == "request"]
    assert line["path"].startswith("/hello%1B%5B2J%0Aforged/xxx")
    assert len(line["path"]) == 200
    assert "secret" not in str(line)


# --- on the wire -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("wire")) as running:
        yield running


def exchanged(server: Server, head: str, headers: Mapping[str, str]) -> tuple[str, bool]:
    """Send the head of a request and nothing more; return the answer, and whether the server closed."""
    url = urlsplit(server.url)
    lines = [f"{head} HTTP/1.1", "Host: shop.example", *(f"{name}: {value}" for name, value in headers.items())]
    with socket.create_connection((url.hostname, url.port), timeout=WAIT_SECONDS) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = b""
        while len(answer.partition(b"\r\n\r\n")[2]) < length(answer):
            chunk = connection.recv(65_536)
            assert chunk, f"it was closed after {answer!r}"
            answer += chunk
        connection.settimeout(WAIT_SECONDS if "connection: close" in answer.decode() else 0.05)
        try:
            is_closed = connection.recv(1) == b""
        except TimeoutError:
            is_closed = False
    return answer.decode(), is_closed


def length(answer: bytes) -> int:
    """Return how long the body is to be; a head that is not complete wants more."""
    found = re.search(rb"content-length: (\d+)", answer)
    return int(found[1]) if found and b"\r\n\r\n" in answer else 1


@pytest.mark.parametrize("body", [{"Content-Length": "1073741824"}, {"Transfer-Encoding": "chunked"}])
@pytest.mark.parametrize("method", ["POST", "DELETE", "GET", "PUT"])
def test_a_gigabyte_without_a_key_is_refused_before_any_of_it_came(
    server: Server, method: str, body: dict[str, str]
) -> None:
    path = "/api/v1/payment_links" + ("/pl_1" if method == "DELETE" else "")
    answer, is_closed = exchanged(server, f"{method} {path}", body)
    assert answer.startswith("HTTP/1.1 405" if method == "PUT" else "HTTP/1.1 401")
    assert is_closed


def test_a_gigabyte_with_a_key_is_refused_before_any_of_it_came(server: Server) -> None:
    headers = {"Authorization": f"Bearer {server.key}", "Content-Type": JSON, "Content-Length": "1073741824"}
    answer, is_closed = exchanged(server, "POST /api/v1/payment_links", headers)
    assert answer.startswith("HTTP/1.1 413")
    assert "ratelimit-limit" in answer
    assert is_closed


def test_a_client_that_sends_anyway_reads_the_refusal_and_is_rid_of_little(server: Server) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += 65_536
            yield b" " * 65_536

    answer = server.client(None).post("/payment_links", content=endless())
    assert answer.status_code == 401
    assert sent < 64 * 1024 * 1024


def test_a_short_body_without_a_key_keeps_the_connection(server: Server) -> None:
    answer, is_closed = exchanged(server, "POST /api/v1/payment_links", {"Content-Length": "0"})
    assert answer.startswith("HTTP/1.1 401")
    assert not is_closed
    client = server.client(None)
    for _ in range(3):
        assert client.post("/payment_links", json=LINK).status_code == 401


def test_the_answer_to_head_has_no_body(server: Server) -> None:
    headers = {"Authorization": f"Bearer {server.key}", "Connection": "close"}
    answer, _ = exchanged(server, "GET /api/v1/events/evt_1", headers)
    assert answer.partition("\r\n\r\n")[2]
    with socket.create_connection(("127.0.0.1", urlsplit(server.url).port), timeout=WAIT_SECONDS) as connection:
        head = f"HEAD /api/v1/events/evt_1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {server.key}\r\n"
        connection.sendall(f"{head}Connection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65_536), b"")).decode()
    assert answer.startswith("HTTP/1.1 404")
    assert answer.endswith("\r\n\r\n")


def test_a_client_that_leaves_in_the_middle_of_a_body_leaves_no_trace_in_the_log(server: Server) -> None:
    before = server.log
    with socket.create_connection(("127.0.0.1", urlsplit(server.url).port), timeout=WAIT_SECONDS) as connection:
        head = f"POST /api/v1/payment_links HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {server.key}\r\n"
        connection.sendall(f"{head}Content-Type: {JSON}\r\nContent-Length: 100\r\n\r\n{{".encode())
    metrics_url = f"{server.url}/metrics"
    left = 'checkout_http_requests_total{method="POST",route="/api/v1/payment_links",status="499"} 1.0'
    server.wait_until(lambda: left in server.client(None).get(metrics_url).text, "notice that the client left")
    assert server.log == before


def test_the_log_has_the_traceback_of_a_fault_under_the_id_that_was_answered(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        with sqlite3.connect(tmp_path / "checkout-data" / "checkout.db", timeout=WAIT_SECONDS) as other:
            other.execute("DROP TABLE payment_links")
        other.close()
        answer = server.api.get("/payment_links")
        assert answer.status_code == 500
        lines = [json.loads(line) for line in server.log.splitlines()]
    (line,) = [line for line in lines if line.get("request") == error(answer)["requestId"]]
    assert line["level"] == "error"
    assert "Traceback" in line["exception"]
    assert "no such table: payment_links" in line["exception"]
    assert "payment_links" not in answer.text
