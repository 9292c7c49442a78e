"""`crypto-checkout listen` as a process beside a real server: each event once, in order, whoever is down meanwhile."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from crypto_checkout.client import verify_webhook
from tests.support.ports import free_port
from tests.support.receiver import Receiver
from tests.support.server import PROGRAM, Server, command, environment, new_database
from tests.support.waiting import WAIT_SECONDS, killed_on_failure, wait_until

SECRET = re.compile(r"whsec_[0-9A-Za-z+/]+=*")
LINE = re.compile(r"\d\d:\d\d:\d\d [A-Z0-9+-]+  (live|test)  (\S+) +(evt_\w+)  (.+)")

LOCAL_SERVER = """
import http.server, json, pathlib, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with pathlib.Path(sys.argv[2]).open("a") as heard:
            print(event["data"]["id"], file=heard)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shop")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with Server(folder) as running:
        yield running


class Listener:
    """A running `crypto-checkout listen`, once it has said where events go."""

    def __init__(self, folder: Path, url: str, *more: str) -> None:
        self._out = folder / f"listen-{time.monotonic_ns()}.out"
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(
                [*PROGRAM, "listen", "--forward-to", url, *more],
                cwd=folder,
                env=environment(folder=folder),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        with killed_on_failure(self.process):
            self.wait_until(lambda: "Ctrl-C stops this.\n\n" in self.output, "begin")
        self.secret = SECRET.findall(self.output)[0]

    @property
    def output(self) -> str:
        return self._out.read_text("utf-8")

    @property
    def lines(self) -> list[tuple[str, str, str, str]]:
        """The printed attempts: mode, type, id and result of each."""
        return [match.groups() for match in map(LINE.fullmatch, self.output.splitlines()) if match]  # type: ignore[misc]

    def wait_until(self, is_so: Callable[[], Any], what: str) -> None:
        wait_until(is_so, what, is_running=lambda: self.process.poll() is None, output=lambda: self.output)

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(how)
        return self.process.wait(WAIT_SECONDS)


@contextmanager
def listening(folder: Path, url: str, *more: str) -> Iterator[Listener]:
    listener = Listener(folder, url, *more)
    try:
        yield listener
    finally:
        listener.process.kill()
        listener.process.wait()


@contextmanager
def local_server(port: int, heard: Path) -> Iterator[None]:
    """Run a developer's server, which writes down what it hears, and kill it at the end."""
    with subprocess.Popen([sys.executable, "-c", LOCAL_SERVER, str(port), str(heard)]) as process:
        try:
            yield
        finally:
            process.kill()


def sell(server: Server, key: str | None, times: int = 1) -> list[str]:
    """Make links, and return their ids."""
    api = server.client(key)
    body = {"title": "Tea", "fiatAmount": "3.50"}
    return [str(api.post("/payment_links", json=body).json()["id"]) for _ in range(times)]


def told(receiver: Receiver) -> list[str]:
    """Return the links that the receiver was told of, in order."""
    return [event["data"]["id"] for event in receiver.events("payment_link.created")]


def test_an_event_arrives_signed_in_both_ways_and_is_shown_with_the_answer(server: Server, folder: Path) -> None:
    with Receiver(status=204) as receiver, listening(folder, receiver.url) as listener:
        (link,) = sell(server, server.key)
        listener.wait_until(lambda: listener.lines, "show the event")
        (received,) = receiver.received
        event = verify_webhook(received.body, received.headers, listener.secret)
        assert Webhook(listener.secret).verify(received.body, received.headers) == event
        assert server.api.get(f"/events/{event['id']}").content == received.body
        assert event["data"]["id"] == link
        ((mode, event_type, event_id, result),) = listener.lines
        assert (mode, event_type, event_id) == ("test", "payment_link.created", event["id"])
        assert re.fullmatch(r"204  \d+ ms", result)
        assert max(map(len, listener.output.splitlines())) <= 100


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_well_also_while_nothing_answers(server: Server, folder: Path, how: signal.Signals) -> None:
    with listening(folder, f"localhost:{free_port()}") as listener:
        sell(server, server.key)
        listener.wait_until(lambda: listener.lines, "try")
        assert listener.stop(how) == 0
        assert listener.output.endswith("Stopped.\n")
        assert "Traceback" not in listener.output


def test_a_local_server_that_is_down_or_ends_gets_each_event_in_order_once_it_is_up(
    server: Server, folder: Path, tmp_path: Path
) -> None:
    port = free_port()
    heard = tmp_path / "heard"
    with listening(folder, f"http://127.0.0.1:{port}/hook") as listener:
        links = sell(server, server.key, 3)
        listener.wait_until(lambda: listener.lines, "say that nobody is there")
        assert "nothing listens on that port; trying again" in listener.output
        with local_server(port, heard):
            listener.wait_until(lambda: heard.exists() and heard.read_text().split() == links, "forward all")
        links += sell(server, server.key, 2)
        with local_server(port, heard):
            listener.wait_until(lambda: heard.read_text().split() == links, "go on")


@pytest.mark.sqlite
def test_without_a_server_it_says_which_one_it_waits_for(tmp_path: Path) -> None:
    path = new_database(tmp_path)
    with listening(tmp_path, "localhost:1") as listener:
        listener.wait_until(lambda: f"No server is running on {path}." in listener.output, "say so")
        assert listener.stop() == 0


def test_it_survives_the_end_of_the_server_and_misses_nothing(tmp_path: Path) -> None:
    with Receiver() as receiver:
        with Server(tmp_path) as server:
            key = server.key
            with listening(tmp_path, receiver.url) as listener:
                links = sell(server, key, 2)
                server.kill()
                with Server(tmp_path) as again:
                    links += sell(again, key, 2)
                    assert again.stop() == 0
                with Server(tmp_path) as again:
                    links += sell(again, key, 2)
                    listener.wait_until(lambda: len(told(receiver)) == len(links), "forward all")
        assert told(receiver) == links


@pytest.mark.sqlite
def test_no_database_is_restored_beneath_it(tmp_path: Path) -> None:
    with Receiver() as receiver, Server(tmp_path) as server:
        key = server.key
        assert command(tmp_path, "backup", "copy.db").returncode == 0
        with listening(tmp_path, receiver.url) as listener:
            links = sell(server, key, 5)
            listener.wait_until(lambda: len(told(receiver)) == len(links), "forward what came before")
            assert server.stop() == 0
            refused = command(tmp_path, "restore", "copy.db")
            assert (refused.returncode, "`crypto-checkout listen`" in refused.stderr) == (1, True)
            assert listener.stop() == 0
        assert command(tmp_path, "restore", "copy.db").returncode == 0
        with Server(tmp_path) as again, listening(tmp_path, receiver.url) as listener:
            links += sell(again, key, 2)
            listener.wait_until(lambda: len(told(receiver)) == len(links), "forward what came after")
            assert told(receiver) == links


def test_an_answer_is_the_end_whatever_it_is(server: Server, folder: Path) -> None:
    with Receiver(status=500) as receiver:
        with listening(folder, receiver.url) as listener:
            sell(server, server.key, 2)
            listener.wait_until(lambda: len(listener.lines) == 2, "go on")
            assert [result[:3] for *_, result in listener.lines] == ["500", "500"]
        assert len(receiver.received) == 2


def test_only_the_wanted_events_come_and_a_later_start_may_look_back_with_the_same_secret(
    server: Server, folder: Path
) -> None:
    with Receiver() as receiver:
        with listening(folder, receiver.url, "--events", "payment_link.deleted,customer.created") as first:
            (link,) = sell(server, server.key)
            before = server.api.get(f"/payment_links/{link}").json()["createdAt"]
            assert server.api.delete(f"/payment_links/{link}").is_success
            first.wait_until(lambda: first.lines, "forward the wanted one")
            assert [each.event["type"] for each in receiver.received] == ["payment_link.deleted"]
        (link,) = sell(server, server.key)
        with listening(folder, receiver.url, "--since", before, "--mode", "test") as second:
            assert second.secret == first.secret
            second.wait_until(lambda: link in told(receiver), "forward what came before it")
    secret = folder / "checkout-data" / "listen-secret"
    assert secret.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--forward-to", "ftp://localhost/hook"), "--forward-to"),
        (("--forward-to", "localhost:3000", "--events", "session.payed"), "session.paid"),
        (("--forward-to", "localhost:3000", "--since", "noon"), "with its zone"),
        ((), "--forward-to"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_is_wanted(
    tmp_path: Path, arguments: tuple[str, ...], named: str
) -> None:
    refused = command(tmp_path, "listen", *arguments)
    assert refused.returncode == 2
    assert named in refused.stderr
