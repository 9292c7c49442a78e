"""Requests per second of one process and of two that share a PostgreSQL database, on this machine.

    scripts/bench processes [--seconds 2] [--rounds 5] [--cases create,read]

The two take turns with the one, so that a busy machine slows both; the ratio is the median of the rounds'. The load, 16
connections to each process, the processes and the database server share the machine's processors, so the ratio can't be
better than what one process leaves of them: the last column is how many of them it and the database server kept busy.
"""

import argparse
import contextlib
import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import httpx

from scripts.benchmarks import _load
from scripts.benchmarks._figures import cpu_seconds, print_machine
from scripts.benchmarks._postgresql import running_server, server_cpu_seconds
from scripts.benchmarks.requests import BODY, ENVIRONMENT, MADE, OK, WARM_UP_SECONDS, request
from tests.support.postgresql import PostgresqlServer
from tests.support.server import Server

KEY_FILE = "checkout-data/secret.key"
CONNECTIONS = 16
SESSIONS = 500


def loads(case: str, key: str, ids: Sequence[str], ports: Sequence[int], seconds: float) -> list[_load.Load]:
    """Return the load of each process."""
    authorization = f"Authorization: Bearer {key}"
    if case == "create":
        requests: tuple[bytes, ...] = (request("POST", "/api/v1/checkout_sessions", authorization, body=BODY),)
    else:
        requests = tuple(request("GET", f"/api/v1/checkout_sessions/{each}", authorization) for each in ids)
    expected = (MADE if case == "create" else OK,)
    return [_load.Load(port, requests, expected, CONNECTIONS, seconds, WARM_UP_SECONDS) for port in ports]


def apply(pool: ProcessPoolExecutor, wanted: Sequence[_load.Load]) -> float:
    """Apply the loads at the same time; return the answers per second."""
    tallies = [each.result() for each in [pool.submit(_load.run, load) for load in wanted]]
    for tally in tallies:
        if tally.unexpected:
            raise SystemExit(f"{len(tally.unexpected)} unexpected answers: {tally.unexpected[0]}")
    return sum(tally.answers / tally.seconds for tally in tallies)


def measure(servers: Sequence[Server], postgresql: PostgresqlServer, arguments: argparse.Namespace) -> None:
    """Measure each case on the first of the servers and on all of them, in turns, and print it."""
    key = servers[0].key
    assert key is not None, "a first start prints a test key"
    made = [servers[0].api.post("/checkout_sessions", content=BODY, headers=JSON) for _ in range(SESSIONS)]
    ids = [each.raise_for_status().json()["id"] for each in made]
    ports = [httpx.URL(each.url).port or 0 for each in servers]
    with ProcessPoolExecutor(len(servers), get_context("spawn")) as pool:
        for case in arguments.cases.split(","):
            ones, twos, busy = [], [], []
            for _ in range(arguments.rounds):
                started = time.perf_counter()
                used = -cpu_seconds(servers[0].process.pid) - server_cpu_seconds(postgresql)
                ones.append(apply(pool, loads(case, key, ids, ports[:1], arguments.seconds)))
                used += cpu_seconds(servers[0].process.pid) + server_cpu_seconds(postgresql)
                busy.append(used / (time.perf_counter() - started))
                twos.append(apply(pool, loads(case, key, ids, ports, arguments.seconds)))
            ratio = median(two / one for one, two in zip(ones, twos, strict=True))
            print(
                f"{case:<8} one {median(ones):>7,.0f} per second, two {median(twos):>7,.0f}, ratio {ratio:.2f};"
                f" one kept {median(busy):.2f} processors busy"
            )


JSON = {"Content-Type": "application/json"}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure one process and two on one PostgreSQL database.")
    parser.add_argument("--seconds", type=float, default=2, help="how long each measurement takes")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument("--cases", default="create,read", help="create, read or both")
    arguments = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        postgresql = stack.enter_context(running_server())
        environ = {**ENVIRONMENT, "CHECKOUT__DATABASE__URL": postgresql.empty_database(Path(folder)).url}
        one, two = Path(folder, "one"), Path(folder, "two")
        one.mkdir()
        servers = [stack.enter_context(Server(one, "", environ))]
        (two / "checkout-data").mkdir(parents=True)
        shutil.copy2(one / KEY_FILE, two / KEY_FILE)
        servers.append(stack.enter_context(Server(two, "", environ)))
        measure(servers, postgresql, arguments)


if __name__ == "__main__":
    main()
