"""Requests per second and CPU of a real server, as shares of what Starlette and uvicorn could do at all.

    scripts/bench requests [--only read,create] [--seconds 2] [--rounds 5] [--beside FOLDER] [--engine postgresql]

Quick, while you work: `scripts/bench requests --only read,create --seconds 1 --rounds 3 --beside ../old`, where ../old
is another checkout of the project (`git worktree add ../old COMMIT`), which runs with this one's packages. Each round
measures the ceiling of a case (see _bare.py) and the servers one after the other, so that a busy machine slows all of
them; a ratio is the median of the rounds' ratios. CPU is that of the server's process, with the kernel's part, divided
by the answers; where the machine is busy, the ratio by CPU says more. The load is 32 kept-alive connections from a
process of its own; a case in which that was the limit is marked.

`read` gets one session over and over, nothing changing; `read-changing` has the session change 100 times a second, and
`list-changing` some thousand times, by another process's commits; `read-random` gets 1,000 sessions; `read-beside` too,
while four connections create others, whose CPU is in the figure; `poll` is what open pages ask, by 1,000 visitors;
`create-webhook` is over when the endpoint, past its slow start, has every event; `page` is the first view of a new
session in ETH. `--engine postgresql` measures another server in each round, whose data is on a PostgreSQL server
of this machine, started for it, and the processor time of that one, too. `--with wrk` has wrk make the load.
"""

import argparse
import contextlib
import functools
import ipaddress
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import psycopg

from scripts.benchmarks import _load
from scripts.benchmarks._figures import cpu_seconds, print_machine
from scripts.benchmarks._postgresql import running_server, server_cpu_seconds
from scripts.benchmarks.deliveries import SLOW_START_SECONDS, number_of, receiver
from scripts.benchmarks.startup import answers, free_port
from tests.support.postgresql import PostgresqlServer
from tests.support.server import Server

ROOT = Path(__file__).parent.parent.parent
SESSIONS, CONNECTIONS, CREATORS, VIEWS = 1_000, 32, 4, 200
WARM_UP_SECONDS = 0.3
BODY = b'{"amount": {"value": "49.90", "currency": "USD"}, "asset": "ETH"}'
OK, MADE, UNCHANGED = b"HTTP/1.1 200 ", b"HTTP/1.1 201 ", b"HTTP/1.1 304 "
# The sessions are in test mode, which sends a quarter of these at once: as many as live mode does by default.
CONFIGURATION = "[webhooks]\nallow_private_networks = true\nconcurrency = 64\n"
ENVIRONMENT = {
    # Each payer has an address, and so a limit, of their own.
    "CHECKOUT__SERVER__TRUSTED_PROXIES": '["127.0.0.1"]',
    "CHECKOUT__RATE_LIMIT__PER_SECOND": "100000",
    "CHECKOUT__RATE_LIMIT__BURST": "100000",
}


def request(method: str, path: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def address(number: int) -> str:
    """Return a visitor's address."""
    return str(ipaddress.IPv4Address("10.0.0.0") + number)


class Shop:
    """A server of one checkout of the project, with 1,000 sessions, in a file or a database of a server."""

    def __init__(
        self,
        name: str,
        tree: Path,
        folder: Path,
        stack: contextlib.ExitStack,
        postgresql: PostgresqlServer | None = None,
    ) -> None:
        folder.mkdir()
        self.postgresql = postgresql
        self._url = "" if postgresql is None else postgresql.empty_database(folder).url
        place = {"CHECKOUT__DATABASE__URL": self._url} if self._url else {}
        environ = {**ENVIRONMENT, **place, "PYTHONPATH": str(tree)}
        self.server = stack.enter_context(Server(folder, CONFIGURATION, environ))
        self.name = name
        self.pid = self.server.process.pid
        self.port = httpx.URL(self.server.url).port or 0
        self.database = folder / "checkout-data" / "checkout.db"
        self.ids = self.new_sessions(SESSIONS)
        self._endpoint_id: str | None = None

    def api(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Return a request of the API."""
        return request(method, f"/api/v1{path}", f"Authorization: Bearer {self.server.key}", body=body)

    @property
    def create(self) -> bytes:
        """The request that creates a session."""
        return self.api("POST", "/checkout_sessions", BODY)

    def new_sessions(self, number: int) -> list[str]:
        """Create sessions; return their IDs, newest first."""
        tally = _load.run(_load.Load(self.port, (self.create,) * number, (MADE,), CREATORS))
        assert not tally.unexpected, tally.unexpected[0]
        with contextlib.closing(self._connect()) as connection:
            rows = connection.execute(f"SELECT id FROM checkout_sessions ORDER BY seq DESC LIMIT {number}")  # noqa: S608
            return [session_id for (session_id,) in rows.fetchall()]

    def _connect(self) -> Any:
        """Open a connection of another process's kind, which commits each statement."""
        if self._url:
            return psycopg.connect(self._url, autocommit=True)
        return sqlite3.connect(self.database, isolation_level=None)

    def cpu_seconds(self) -> tuple[float, float]:
        """Return the processor time of the server, and of the database server."""
        return cpu_seconds(self.pid), 0.0 if self.postgresql is None else server_cpu_seconds(self.postgresql)

    def reads(self) -> list[bytes]:
        """Return the requests that read each session."""
        return [self.api("GET", f"/checkout_sessions/{session_id}") for session_id in self.ids]

    @functools.cached_property
    def polls(self) -> list[bytes]:
        """The requests of open pages: each has seen the session as it is."""
        requests = []
        with httpx.Client(base_url=self.server.url, trust_env=False) as payer:
            for number, session_id in enumerate(self.ids):
                path, visitor = f"/checkout/{session_id}/status", address(number)
                answer = payer.get(path, headers={"X-Forwarded-For": visitor}).raise_for_status()
                headers = (f"X-Forwarded-For: {visitor}", f"If-None-Match: {answer.headers['etag']}")
                requests.append(request("GET", path, *headers))
        return requests

    def first_views(self) -> list[bytes]:
        """The requests of pages that nobody has seen yet."""
        return [
            request("GET", f"/checkout/{one}", "Accept-Encoding: gzip", f"X-Forwarded-For: {address(place)}")
            for place, one in enumerate(self.new_sessions(VIEWS))
        ]

    @contextlib.contextmanager
    def changing(self, pause_seconds: float) -> Iterator[None]:
        """Have the newest of the sessions change all the time, by commits from outside the server."""
        ended = threading.Event()

        def change() -> None:
            with contextlib.closing(self._connect()) as connection:
                unsafe = "SET synchronous_commit = off" if self._url else "PRAGMA synchronous = OFF"
                connection.execute(unsafe)
                count = 0
                while not ended.wait(pause_seconds):
                    count += 1
                    changed = f"""metadata = '{{"order": "{count}"}}'"""
                    connection.execute(f"UPDATE checkout_sessions SET {changed} WHERE id = '{self.ids[0]}'")  # noqa: S608

        thread = threading.Thread(target=change)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    @contextlib.contextmanager
    def endpoint(self, url: str, events: Sequence[str] = ("session.created",)) -> Iterator[None]:
        """Have a webhook endpoint for these events of each session; it is the same one every time."""
        if self._endpoint_id is None:
            made = self.server.api.post("/webhook_endpoints", json={"url": url, "events": ["customer.created"]})
            self._endpoint_id = made.raise_for_status().json()["id"]
        self._subscribe(events)
        yield
        self._subscribe(["customer.created"])

    def _subscribe(self, events: Sequence[str]) -> None:
        path = f"/webhook_endpoints/{self._endpoint_id}"
        self.server.api.patch(path, json={"events": list(events)}).raise_for_status()


@dataclass(frozen=True)
class Case:
    """A kind of request. `ceiling` is the bare endpoint's, and `target` the least share of it."""

    title: str
    requests: Callable[[Shop], Sequence[bytes]]
    ceiling: tuple[str, str] | None = ("GET", "/row")
    target: float | None = None
    expected: tuple[bytes, ...] = (OK,)
    change_pause_seconds: float | None = None
    creators: int = 0
    is_delivered: bool = False


READ_ONE: Callable[[Shop], Sequence[bytes]] = lambda shop: shop.reads()[:1]  # noqa: E731
LIST: Callable[[Shop], Sequence[bytes]] = lambda shop: [shop.api("GET", "/checkout_sessions?limit=25")]  # noqa: E731
CREATE: Callable[[Shop], Sequence[bytes]] = lambda shop: [shop.create]  # noqa: E731
IN_MEMORY, DURABLE = ("GET", "/list"), ("POST", "/row")
CASES = {
    "read": Case("read one session", READ_ONE, target=0.75),
    "read-changing": Case("… that changes", READ_ONE, target=0.6, change_pause_seconds=0.01),
    "read-random": Case("read 1,000 sessions", Shop.reads, target=0.5),
    "read-beside": Case("… beside 4 creators", Shop.reads, target=0.4, creators=CREATORS),
    "poll": Case("a payer's page asks", lambda shop: shop.polls, target=0.5, expected=(UNCHANGED, OK)),
    "list": Case("list 25 sessions", LIST, IN_MEMORY, 0.6),
    "list-changing": Case("… after a change", LIST, IN_MEMORY, 0.12, change_pause_seconds=0.0003),
    "create": Case("create a session", CREATE, DURABLE, 0.3, (MADE,)),
    "create-webhook": Case("… and send its event", CREATE, DURABLE, 0.18, (MADE,), is_delivered=True),
    "page": Case("first view of a page", Shop.first_views, None),
}


@dataclass
class Figures:
    """What was measured of a case on one server, a value a round."""

    per_second: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    database_us: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)


@dataclass
class Bench:
    """The servers, the generator of load, and the figures so far, by case and server."""

    bare_port: int
    bare_pid: int
    shops: list[Shop]
    pool: ProcessPoolExecutor
    run: Callable[[_load.Load], _load.Tally]
    receiver_url: str
    figures: dict[tuple[str, str], Figures] = field(default_factory=dict)

    def measure(self, name: str, seconds: float) -> None:
        """Measure a case once: its ceiling, then each server."""
        case = CASES[name]
        if case.ceiling is not None:
            method, path = case.ceiling
            bare = request(method, path, body=BODY if method == "POST" else b"")
            expected = (MADE if method == "POST" else OK,)
            load = _load.Load(self.bare_port, (bare,), expected, CONNECTIONS, seconds, WARM_UP_SECONDS)
            bare_cpu = lambda: (cpu_seconds(self.bare_pid), 0.0)  # noqa: E731
            self._note(name, "ceiling", bare_cpu, lambda: self.pool.submit(self.run, load).result())
        for shop in self.shops:
            with contextlib.ExitStack() as during:
                if case.change_pause_seconds is not None:
                    during.enter_context(shop.changing(case.change_pause_seconds))
                if case.is_delivered:
                    during.enter_context(shop.endpoint(self.receiver_url))
                requests = tuple(case.requests(shop))
                if case.ceiling is None:
                    load = _load.Load(shop.port, requests, case.expected, CREATORS)
                else:
                    load = _load.Load(shop.port, requests, case.expected, CONNECTIONS, seconds, WARM_UP_SECONDS)
                if case.is_delivered and (name, shop.name) not in self.figures:
                    self._apply(case, shop, replace(load, seconds=SLOW_START_SECONDS))
                self._note(name, shop.name, shop.cpu_seconds, functools.partial(self._apply, case, shop, load))

    def _apply(self, case: Case, shop: Shop, load: _load.Load) -> _load.Tally:
        delivered, started = number_of(self.receiver_url), time.perf_counter()
        running = self.pool.submit(_load.run if load.seconds is None else self.run, load)
        if case.creators:
            create = _load.Load(
                shop.port, (shop.create,), (MADE,), case.creators, (load.seconds or 0) + WARM_UP_SECONDS
            )
            others = self.pool.submit(_load.run, create).result()
        tally = running.result()
        if case.creators:
            tally.unexpected += others.unexpected
        if case.is_delivered:
            while number_of(self.receiver_url) < delivered + tally.all_answers:
                time.sleep(0.02)
            tally.answers, tally.seconds = tally.all_answers, time.perf_counter() - started
        return tally

    def _note(
        self, name: str, server: str, cpu: Callable[[], tuple[float, float]], apply: Callable[[], _load.Tally]
    ) -> None:
        before = cpu()
        tally = apply()
        used, used_by_database = (now - then for now, then in zip(cpu(), before, strict=True))
        if tally.unexpected or not tally.answers:
            raise SystemExit(f"{name}, {server}: {len(tally.unexpected)} unexpected answers: {tally.unexpected[:1]}")
        figures = self.figures.setdefault((name, server), Figures())
        figures.per_second.append(tally.answers / tally.seconds)
        figures.cpu_us.append(1e6 * used / tally.all_answers)
        figures.database_us.append(1e6 * used_by_database / tally.all_answers)
        figures.p99_ms.append(1e3 * tally.p99_seconds)
        figures.busy.append(tally.busy or 0)

    def show(self, name: str) -> None:
        """Print a line for each server."""
        case, ceiling = CASES[name], self.figures.get((name, "ceiling"))
        title = f"{name:<15} {case.title:<22}"
        if ceiling is not None:
            print(f"{title} {'ceiling':<8} {line(ceiling)}")
        for shop in self.shops:
            figures = self.figures[name, shop.name]
            ratio = ""
            if ceiling is not None:
                share = median(a / b for a, b in zip(figures.per_second, ceiling.per_second, strict=True))
                by_cpu = median(ceiling.cpu_us) / median(figures.cpu_us)
                ratio = f"ratio {share:5.3f}, by CPU {by_cpu:5.3f}"
                if case.target is not None and shop.name == "now":
                    ratio += f" (target {case.target:g}{', MISSED' if share < case.target else ''})"
            print(f"{title if ceiling is None else ' ' * len(title)} {shop.name:<8} {line(figures)} {ratio}")
        if self.shops[-1].postgresql is not None:
            of_file, of_server = (self.figures[name, shop.name].per_second for shop in self.shops[-2:])
            share = median(a / b for a, b in zip(of_server, of_file, strict=True))
            print(f"{' ' * len(title)} {'':<8} on PostgreSQL {share:.2f} of what SQLite gives")


def line(figures: Figures) -> str:
    per_second, cpu_us, p99_ms = median(figures.per_second), median(figures.cpu_us), median(figures.p99_ms)
    limit = " (load at its limit)" if median(figures.busy) > 0.9 else ""  # noqa: PLR2004
    database_us = median(figures.database_us)
    apart = f" + {database_us:,.0f} µs of the database server" if database_us else ""
    return f"{per_second:>9,.0f} per second {cpu_us:>8,.0f} µs CPU {p99_ms:>7.1f} ms p99{limit}{apart}"


@contextlib.contextmanager
def bare(folder: Path, shop: Shop) -> Iterator[tuple[int, int]]:
    """Run the bare endpoints, with two answers of the product; give their port and process."""
    port = free_port()
    folder.mkdir()
    for name, path in {"session": f"/checkout_sessions/{shop.ids[0]}", "list": "/checkout_sessions?limit=25"}.items():
        answer = shop.server.api.get(path).raise_for_status()
        (folder / f"{name}.json").write_bytes(answer.content)
    process = subprocess.Popen([sys.executable, "-m", "scripts.benchmarks._bare", str(port), str(folder)])
    try:
        while not answers(port, "/row"):
            if process.poll() is not None:
                raise SystemExit("the bare endpoints did not start")
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def chosen(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(CASES):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: the cases are {', '.join(CASES)}")
    return names


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure requests per second, and the CPU of each.")
    parser.add_argument("--only", type=chosen, default=list(CASES), help=f"some of {', '.join(CASES)}")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument("--seconds", type=float, default=2, help="how long each measurement takes")
    parser.add_argument("--beside", type=Path, help="another checkout of the project, measured in turn")
    parser.add_argument("--engine", choices=["postgresql"], help="measure a server with its data there, too")
    parser.add_argument("--with", dest="tool", choices=["wrk"], help="the generator of the load, in place of our own")
    arguments = parser.parse_args()
    if arguments.tool and shutil.which(arguments.tool) is None:
        raise SystemExit("there is no wrk: apt-get install wrk")
    print_machine()
    trees = {"before": arguments.beside.resolve(), "now": ROOT} if arguments.beside else {"now": ROOT}
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.ExitStack() as stack,
        receiver(0) as receiver_url,
        ProcessPoolExecutor(2, get_context("spawn")) as pool,
    ):
        shops = [Shop(name, tree, Path(folder, name), stack) for name, tree in trees.items()]
        port, pid = stack.enter_context(bare(Path(folder, "bare"), shops[-1]))
        if arguments.engine is not None:
            server = stack.enter_context(running_server())
            shops.append(Shop("server", ROOT, Path(folder, "server"), stack, server))
        bench = Bench(port, pid, shops, pool, _load.run_wrk if arguments.tool else _load.run, receiver_url)
        for _ in range(arguments.rounds):
            for name in arguments.only:
                bench.measure(name, arguments.seconds)
        for name in arguments.only:
            bench.show(name)


if __name__ == "__main__":
    main()
