"""Days of a shop in minutes: memory, descriptors, threads and the database's size for each session stay as they are.

The server's wall clock leaps by most of an hour, again and again, and the chain's with it; the clock of its timers
doesn't, so that nothing times out by it. It needs Debian's `faketime`.
"""

import json
import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.anvil import Anvil
from tests.support.leaping_clock import FAKETIME, LeapingClock
from tests.support.process import Observed
from tests.support.receiver import Receiver
from tests.support.server import Server, command, new_database
from tests.support.shop import ANVIL_CHAIN_ID, FRESH_XPUB

pytestmark = pytest.mark.skipif(FAKETIME is None, reason="libfaketime isn't installed (apt-get install faketime)")

CONFIG = """
[test_mode]
enabled = false
[wallet]
xpub = "{xpub}"
[prices]
fixed = {{ "ETH/USD" = "3000.00" }}
[events]
retention_days = 1
[webhooks]
allow_private_networks = true
attempts_retention_days = 1
retry_seconds = {retry_seconds}
[[chains]]
id = {chain_id}
name = "Anvil"
rpc_urls = ["{url}"]
confirmations = 2
poll_seconds = 0.05
"""
PRICE = {"amount": {"value": "3.00", "currency": "USD"}, "expiresInSeconds": 3_600}
RETRY_SECONDS = [60, 600] + [3_600] * 18
"""For longer than the endpoint fails, as long as its dice may have it."""
SESSIONS_A_TURN = 4
TURN_SECONDS = 2.0
LEAP_MINUTES = 45


@dataclass(frozen=True, slots=True)
class Sample:
    """What the server takes at a moment."""

    seconds: float
    memory_mib: float
    descriptors: int
    threads: int
    database_kib: float
    sessions: int


@dataclass
class Soak:
    """A shop that goes on until it is told to end, and what its server took."""

    node: Anvil
    server: Server
    api: httpx.Client
    receiver: Receiver
    clock: LeapingClock
    folder: Path
    minutes: int = 0
    dice: random.Random = field(default_factory=lambda: random.Random(20261201))
    samples: list[Sample] = field(default_factory=list)
    sold: list[dict[str, Any]] = field(default_factory=list)
    paid: set[str] = field(default_factory=set)

    def run(self, turns: int) -> None:
        process, began = Observed(self.server.process.pid), time.monotonic()
        for _ in range(turns):
            elapsed = time.monotonic() - began
            self.turn()
            taken = process.memory_mib(), process.descriptors(), process.threads()
            self.samples.append(Sample(elapsed, *taken, self.stored_kib(), len(self.sold)))
            time.sleep(max(0, TURN_SECONDS - (time.monotonic() - began - elapsed)))  # the pace of the shop

    def turn(self) -> None:
        """Leap; sell, pay some of it, look at pages and lists. The endpoint fails at times."""
        self.minutes += LEAP_MINUTES
        self.clock.set(f"+{self.minutes}m")
        self.receiver.status = self.dice.choice([200, 200, 200, 500])
        for _ in range(SESSIONS_A_TURN):
            self.mine()
            session = self.sell()
            self.sold.append(session)
            if self.dice.random() < 0.5:
                self.paid.add(session["id"])
                self.node.send(self.node.accounts[9], session["address"], int(session["amount"]["wei"]))
            self.api.get(f"{self.server.url}/checkout/{session['id']}", headers={"Accept-Language": "de"})
            self.api.get(f"{self.server.url}/checkout/{session['id']}/status")
        self.mine()
        self.api.get("/events", params={"limit": "100"}).raise_for_status()
        self.api.get("/checkout_sessions", params={"status": "expired", "limit": "100"}).raise_for_status()
        self.api.get(f"{self.server.url}/dashboard/login")

    def stored_kib(self) -> float:
        """Return what the database's rows take: its pages in use, those that are still in the log included."""
        path = (self.folder / "checkout-data" / "checkout.db").as_uri()
        with closing(sqlite3.connect(f"{path}?mode=ro", uri=True)) as connection:
            pages, free, size = (
                connection.execute(f"PRAGMA {each}").fetchone()[0]
                for each in ("page_count", "freelist_count", "page_size")
            )
        return float((pages - free) * size / 1024)

    def sell(self) -> dict[str, Any]:
        answers: list[httpx.Response] = []

        def is_made() -> bool:  # after a leap the chain seems silent until it is read the next time
            answers.append(self.api.post("/checkout_sessions", json=PRICE))
            return answers[-1].status_code == 201

        self.server.wait_until(is_made, "make a session after a leap")
        session: dict[str, Any] = answers[-1].json()
        return session

    def mine(self) -> None:
        """Make a block at the server's time."""
        now = parsedate_to_datetime(self.api.get(f"{self.server.url}/healthz").headers["date"])
        newest = int(self.node.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        self.node.rpc("evm_setNextBlockTimestamp", max(newest + 1, int(now.timestamp())))
        self.node.mine()


# The database grows by pages: with few sessions a page more or less is a fifth of what they take. As many turns as ever
# are taken on a slow machine: fewer would be judged while the server is warming up.
@pytest.mark.parametrize(("turns", "most_growth"), [(22, 2.0), pytest.param(150, 1.3, marks=pytest.mark.heavy)])
def test_days_of_a_shop_leave_memory_descriptors_threads_and_the_database_flat(
    turns: int,
    most_growth: float,
    anvil: Callable[..., Anvil],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    node = anvil(mining="manual")
    config = CONFIG.format(xpub=FRESH_XPUB, chain_id=ANVIL_CHAIN_ID, url=node.url, retry_seconds=RETRY_SECONDS)
    (tmp_path / "checkout.toml").write_text(config, "utf-8")
    new_database(tmp_path)
    made = command(tmp_path, "keys", "create", "--mode", "live", "--name", "shop", "--json").stdout
    clock = LeapingClock(tmp_path)
    with Receiver() as receiver, Server(tmp_path, None, clock.environ) as server:
        api = server.client(json.loads(made)["key"])
        hook = {"url": receiver.url, "events": ["session.paid", "session.expired"]}
        api.post("/webhook_endpoints", json=hook).raise_for_status()
        soak = Soak(node, server, api, receiver, clock, tmp_path)
        soak.run(turns)
        figures = judge(soak)
        for name, figure in figures.items():
            record_property(name, figure)
        print(figures)  # noqa: T201
        receiver.status = 200
        server.wait_until(lambda: is_all_told(soak), "settle what was paid, and tell the shop")
        assert figures["MiB gained after warming up"] < 12
        assert figures["descriptors gained"] < 8
        assert figures["threads gained"] < 4
        assert figures["KiB a session later"] < most_growth * max(8, figures["KiB a session at first"])
        unexpected = [line for line in server.log.splitlines() if '"exception"' in line or "Traceback" in line]
        assert not unexpected, unexpected[:3]


def is_all_told(soak: Soak) -> bool:
    soak.minutes += 10  # a delivery that failed may wait for an hour
    soak.clock.set(f"+{soak.minutes}m")
    soak.mine()
    return {each["data"]["id"] for each in soak.receiver.events("session.paid")} == soak.paid


def judge(soak: Soak) -> dict[str, float]:
    """Return what changed over the later two thirds, by straight lines through the samples."""
    later = soak.samples[len(soak.samples) // 3 :]
    times = [each.seconds for each in later]
    lasted = times[-1] - times[0]
    middle, last = later[: len(later) // 2 + 1], later[len(later) // 2 :]
    return {
        "hours": round(soak.minutes / 60, 1),
        "sessions": len(soak.sold),
        "paid": len(soak.paid),
        "webhooks received": len(soak.receiver.received),
        "MiB": round(later[-1].memory_mib, 1),
        "MiB gained after warming up": round(lasted * slope(times, [each.memory_mib for each in later]), 2),
        "descriptors gained": round(lasted * slope(times, [each.descriptors for each in later]), 2),
        "threads gained": round(lasted * slope(times, [each.threads for each in later]), 2),
        "KiB a session at first": round(kib_a_session(middle), 2),
        "KiB a session later": round(kib_a_session(last), 2),
    }


def kib_a_session(samples: Sequence[Sample]) -> float:
    """Return what the database gained with each session, events and deliveries included."""
    gained = samples[-1].database_kib - samples[0].database_kib
    return gained / max(1, samples[-1].sessions - samples[0].sessions)


def slope(at: Sequence[float], values: Sequence[float]) -> float:
    """Return the slope of the straight line through points, by least squares."""
    middle, mean = sum(at) / len(at), sum(values) / len(values)
    spread = sum((each - middle) ** 2 for each in at)
    return sum((one - middle) * (each - mean) for one, each in zip(at, values, strict=True)) / spread
