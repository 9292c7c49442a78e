"""Requests per second of one process and of two that share a PostgreSQL database, on this machine.

    scripts/bench processes [--seconds 2] [--rounds 5] [--cases create,read] [--numbers 1,2]

The numbers of processes take turns, so that a busy machine slows all of them; a ratio to the first is the median of the
rounds'. The load, 16 connections to each process, the processes and the database server share the machine's
processors, so no ratio can be better than what the processor time of a request leaves: it is printed. For `create`, so
is the number of writes that shared a commit, and what the writing sessions did, looked at 50 times a second: *turn*
waits for another process's commit, *process* has its turn and waits for the process's next statement.
"""

import argparse
import contextlib
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import httpx
import psycopg

from scripts.benchmarks import _load
from scripts.benchmarks._figures import cpu_seconds, print_machine
from scripts.benchmarks._postgresql import running_server, server_cpu_seconds
from scripts.benchmarks.requests import BODY, ENVIRONMENT, MADE, OK, WARM_UP_SECONDS, request
from tests.support.postgresql import PostgresqlServer
from tests.support.server import Server

KEY_FILE = "checkout-data/secret.key"
JSON = {"Content-Type": "application/json"}
CONNECTIONS = 16
SESSIONS = 500
_LOOK_EVERY_SECONDS = 0.02
_DOING = """
SELECT
    CASE
        WHEN state = 'idle' THEN 'idle'
        WHEN wait_event = 'advisory' THEN 'turn'
        WHEN wait_event = 'ClientRead' THEN 'process'
        WHEN wait_event_type = 'IO' OR wait_event LIKE 'WAL%' THEN 'disk'
        WHEN wait_event IS NULL THEN 'statements'
        ELSE wait_event
    END
FROM pg_stat_activity
WHERE application_name LIKE 'crypto-checkout writer %'
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """What some processes did together; `*_micros` is processor time for each answer."""

    rate: float
    process_micros: float
    database_micros: float
    busy: float
    writes_per_commit: float
    doing: Counter[str]


class Shop:
    """Processes that share a database."""

    def __init__(self, number: int, postgresql: PostgresqlServer, folder: Path, stack: contextlib.ExitStack) -> None:
        self._postgresql = postgresql
        self._url = postgresql.empty_database(folder).url
        environ = {**ENVIRONMENT, "CHECKOUT__DATABASE__URL": self._url}
        self._servers: list[Server] = []
        for place in (folder / str(each) for each in range(number)):
            (place / "checkout-data").mkdir(parents=True)
            if self._servers:
                shutil.copy2(folder / "0" / KEY_FILE, place / KEY_FILE)
            self._servers.append(stack.enter_context(Server(place, "", environ)))
        first = self._servers[0]
        assert first.key is not None, "a first start prints a test key"
        self._authorization = f"Authorization: Bearer {first.key}"
        made = [first.api.post("/checkout_sessions", content=BODY, headers=JSON) for _ in range(SESSIONS)]
        self._ids = [each.raise_for_status().json()["id"] for each in made]

    def measure(self, case: str, number: int, seconds: float, pool: ProcessPoolExecutor) -> Figures:
        """Apply the load to so many of the processes."""
        servers = self._servers[:number]
        with psycopg.connect(self._url, autocommit=True) as session:
            watch = _Watch(session)
            used, started = self._cpu_seconds(servers), time.perf_counter()
            watch.start()
            jobs = [pool.submit(_load.run, self._load(case, each, seconds)) for each in servers]
            tallies = [each.result() for each in jobs]
            groups = watch.stop()
            now, took = self._cpu_seconds(servers), time.perf_counter() - started
        if wrong := [each for tally in tallies for each in tally.unexpected]:
            raise SystemExit(f"{len(wrong)} unexpected answers: {wrong[0]}")
        answers = sum(each.all_answers for each in tallies)
        by_process, by_database = now[0] - used[0], now[1] - used[1]
        return Figures(
            rate=sum(each.answers / each.seconds for each in tallies),
            process_micros=by_process / answers * 1e6,
            database_micros=by_database / answers * 1e6,
            busy=(by_process + by_database) / took,
            writes_per_commit=answers / max(1, groups),
            doing=watch.seen,
        )

    def _load(self, case: str, server: Server, seconds: float) -> _load.Load:
        if case == "create":
            requests: tuple[bytes, ...] = (
                request("POST", "/api/v1/checkout_sessions", self._authorization, body=BODY),
            )
        else:
            requests = tuple(
                request("GET", f"/api/v1/checkout_sessions/{each}", self._authorization) for each in self._ids
            )
        expected = (MADE if case == "create" else OK,)
        port = httpx.URL(server.url).port or 0
        return _load.Load(port, requests, expected, CONNECTIONS, seconds, WARM_UP_SECONDS)

    def _cpu_seconds(self, servers: Sequence[Server]) -> tuple[float, float]:
        return sum(cpu_seconds(each.process.pid) for each in servers), server_cpu_seconds(self._postgresql)


class _Watch:
    """Looks at what the writing sessions of a database do."""

    def __init__(self, session: "psycopg.Connection[tuple[str]]") -> None:
        self.seen: Counter[str] = Counter()
        self._session = session
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._groups = 0

    def start(self) -> None:
        """Begin to look."""
        self._groups = -self._transactions()
        self._thread.start()

    def stop(self) -> int:
        """Stop, and return the number of transactions that wrote meanwhile."""
        self._is_over.set()
        self._thread.join()
        return self._groups + self._transactions()

    def _look(self) -> None:
        while not self._is_over.wait(_LOOK_EVERY_SECONDS):
            self.seen.update(row[0] for row in self._session.execute(_DOING))

    def _transactions(self) -> int:
        row = self._session.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())").fetchone()
        assert row is not None
        return int(row[0])


def print_figures(case: str, number: int, figures: Sequence[Figures], ratio: float) -> None:
    middle = {name: median(getattr(each, name) for each in figures) for name in Figures.__slots__ if name != "doing"}
    print(
        f"{case:<8}{number:>2} {middle['rate']:>7,.0f} per second  ratio {ratio:.2f}  {middle['process_micros']:>5,.0f}"
        f" + {middle['database_micros']:,.0f} µs of the database server, {middle['busy']:.2f} processors busy"
    )
    if case == "create":
        doing = sum((each.doing for each in figures), Counter[str]())
        shares = ", ".join(f"{kind} {seen / doing.total():.0%}" for kind, seen in doing.most_common(6))
        print(f"{'':<11}{middle['writes_per_commit']:.1f} writes a commit; writing sessions: {shares}")


def cases(text: str) -> list[str]:
    names = text.split(",")
    if set(names) - {"create", "read"}:
        raise argparse.ArgumentTypeError(f"{text}: the cases are create and read")
    return names


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure one process and several on one PostgreSQL database.")
    parser.add_argument("--seconds", type=float, default=2, help="how long each measurement takes")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument("--cases", type=cases, default=["create", "read"], help="create, read or both")
    parser.add_argument("--numbers", default="1,2", help="the numbers of processes")
    arguments = parser.parse_args()
    numbers = [int(each) for each in arguments.numbers.split(",")]
    print_machine()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        postgresql = stack.enter_context(running_server())
        shop = Shop(max(numbers), postgresql, Path(folder), stack)
        pool = stack.enter_context(ProcessPoolExecutor(max(numbers), get_context("spawn")))
        for case in arguments.cases:
            rounds = [
                [shop.measure(case, number, arguments.seconds, pool) for number in numbers]
                for _ in range(arguments.rounds)
            ]
            for number, figures in zip(numbers, zip(*rounds, strict=True), strict=True):
                ratio = median(mine.rate / each[0].rate for mine, each in zip(figures, rounds, strict=True))
                print_figures(case, number, figures, ratio)


if __name__ == "__main__":
    main()
