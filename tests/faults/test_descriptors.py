"""A server that may open few files and connections, or no more at all for a while."""

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.process import Observed
from tests.support.receiver import Receiver
from tests.support.server import Server, started
from tests.support.waiting import WAIT_SECONDS

PRICE = {"amount": {"value": "30.00", "currency": "USD"}}
CONFIG = "[webhooks]\nallow_private_networks = true\nretry_seconds = [1, 1, 1, 1, 1]\n"
WATCHED_SECONDS = 2.0
MOST_OF_A_CORE = 0.5


def limited_to(descriptors: int) -> tuple[str, ...]:
    """Return a program that lowers both limits and runs another."""
    return ("sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "limited")


def connect(server: Server, source: str = "127.0.0.1") -> socket.socket:
    parts = urlsplit(server.url)
    return socket.create_connection((str(parts.hostname), parts.port or 80), WAIT_SECONDS, (source, 0))


@contextmanager
def crowd(server: Server, connections: int, clients: int = 1) -> Iterator[None]:
    """Open connections whose requests never end."""
    with ExitStack() as stack:
        for number in range(connections):
            each = stack.enter_context(connect(server, f"127.0.1.{number % clients + 1}"))
            with suppress(OSError):  # refused
                each.sendall(b"GET /healthz HTTP/1.1\r\n")
        yield


def rests(server: Server) -> bool:
    """Tell whether the server takes little of the processor for some seconds; it may have to finish something first."""
    process = Observed(server.process.pid)
    before, began = process.cpu_seconds(), time.monotonic()
    time.sleep(WATCHED_SECONDS)  # what is measured is that nothing happens
    return (process.cpu_seconds() - before) / (time.monotonic() - began) < MOST_OF_A_CORE


@pytest.mark.parametrize("descriptors", [40, 63])
def test_with_too_few_descriptors_it_refuses_to_start_and_says_what_to_do(tmp_path: Path, descriptors: int) -> None:
    out, err = tmp_path / "out", tmp_path / "err"
    process = started(tmp_path, "serve", out=out, err=err, under=limited_to(descriptors))
    assert process.wait(WAIT_SECONDS) == 1
    said = err.read_text("utf-8")
    assert f"may open {descriptors} files and connections" in said
    assert "LimitNOFILE=" in said
    assert "Traceback" not in said
    assert not (tmp_path / "checkout-data" / "checkout.db").exists()


@pytest.mark.parametrize("descriptors", [64, 128])
def test_with_few_descriptors_a_crowd_leaves_places_to_others_and_files_to_the_database(
    tmp_path: Path, descriptors: int
) -> None:
    with Receiver() as receiver, Server(tmp_path, CONFIG, under=limited_to(descriptors)) as server:
        assert "few connections at once are possible" in server.log
        api = server.api
        api.post("/webhook_endpoints", json={"url": receiver.url, "events": ["session.created"]}).raise_for_status()
        with crowd(server, descriptors):
            made = [api.post("/checkout_sessions", json=PRICE) for _ in range(5)]
            assert [each.status_code for each in made] == [201] * 5
            assert api.get(f"{server.url}/readyz").status_code == 200
            server.wait_until(lambda: len(receiver.events("session.created")) == 5, "deliver beside the crowd")
        with crowd(server, 2 * descriptors, clients=64):
            server.wait_until(lambda: "all connections are taken" in server.log, "refuse some")
            assert Observed(server.process.pid).descriptors() <= descriptors
            server.wait_until(lambda: rests(server), "rest")
        server.wait_until(lambda: is_ready(server), "accept connections again")
        assert api.post("/checkout_sessions", json=PRICE).status_code == 201
        server.wait_until(lambda: len(receiver.events("session.created")) == 6, "deliver the next")
        assert "Traceback" not in server.log


def test_connections_that_idle_give_their_places_to_new_ones(tmp_path: Path) -> None:
    with Server(tmp_path, CONFIG, under=limited_to(64)) as server, ExitStack() as stack:
        for number in range(48):
            each = stack.enter_context(connect(server, f"127.0.1.{number % 16 + 1}"))
            each.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert each.recv(4096).startswith(b"HTTP/1.1 200 ")


def is_ready(server: Server) -> bool:
    try:
        return server.client(None).get(f"{server.url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_without_any_descriptor_it_says_so_stores_on_and_blames_no_endpoint(tmp_path: Path) -> None:
    with Receiver() as receiver, Server(tmp_path, CONFIG, under=("env",)) as server:
        api = server.api
        made = api.post("/webhook_endpoints", json={"url": receiver.url, "events": ["customer.created"]}).json()
        process = Observed(server.process.pid)
        before = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (process.descriptors(), before[1]))
        ready = api.get(f"{server.url}/readyz")  # on a connection that is open already
        assert (ready.status_code, ready.json()["checks"]["descriptors"]) == (503, "hardly any is left")
        stored = [api.post("/customers", json={"email": f"{number}@example.com"}) for number in range(5)]
        assert [each.status_code for each in stored] == [201] * 5
        with ExitStack() as stack:
            for _ in range(30):
                stack.enter_context(connect(server))
            server.wait_until(lambda: rests(server), "rest")
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, before)
        server.wait_until(lambda: is_ready(server), "be ready again")
        path = f"/webhook_endpoints/{made['id']}/deliveries"

        def codes() -> list[list[int | None]]:
            return [[each["statusCode"] for each in one["attempts"]] for one in server.api.get(path).json()["data"]]

        server.wait_until(lambda: all(codes()), "deliver what waited")
        assert codes() == [[200]] * 5
        assert len(receiver.events("customer.created")) == 5
        assert "Traceback" not in server.log
