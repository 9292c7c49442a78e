"""Several of our servers on one database, of which the leader is killed again and again, or frozen: all adds up."""

import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.test_postgresql import programs
from tests.support.anvil import Anvil
from tests.support.fleet import Fleet
from tests.support.postgresql import PostgresqlServer
from tests.support.receiver import Receiver
from tests.support.server import command
from tests.support.standby import DURABLE
from tests.support.storm import EVENTS, Storm, config

__all__ = ["programs"]

SERVERS = 3


@pytest.fixture
def database(programs: Path) -> Iterator[PostgresqlServer]:
    """Start a PostgreSQL server that confirms what is on its disk, with a database for a shop."""
    server = PostgresqlServer(programs, **DURABLE)
    try:
        server.start()
        server.execute("CREATE DATABASE shop TEMPLATE template0 ENCODING 'UTF8'")
        yield server
    finally:
        server.remove()


def settled(fleet: Fleet, storm: Storm, receiver: Receiver) -> dict[str, Any]:
    """Return the figures once all sums are right, whichever server is asked."""
    figures = storm.settle(fleet.running()[-1], receiver)
    assert not storm.answers.unhelpful
    balanced = command(fleet.folders[0], "reconcile", "--mode", "live", environ=fleet.environ)
    assert balanced.returncode == 0, balanced.stdout + balanced.stderr
    for each in fleet.running():
        assert "Traceback" not in each.log
    return figures


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.heavy)])
def test_a_leader_that_is_killed_again_and_again_is_followed_by_another_and_all_adds_up(
    kills: int,
    database: PostgresqlServer,
    anvil: Callable[..., Anvil],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    node, dice = anvil(mining="manual"), random.Random(20261201)
    with Receiver() as receiver, Fleet(tmp_path, config(node), database.url("shop"), SERVERS) as fleet:
        storm = Storm(node, fleet.key, fleet.urls)
        hook = {"url": receiver.url, "events": EVENTS}
        fleet.running()[0].client(fleet.key).post("/webhook_endpoints", json=hook).raise_for_status()
        took = []
        with storm.blowing():
            for _ in range(kills):
                storm.wait_for_sales(dice.randint(0, 4))
                receiver.status = dice.choice([200, 200, 500])
                leader = fleet.leader()
                fleet.kill(leader)
                took.append(fleet.seconds_to_lead())
                fleet.start(leader)
            receiver.status = 200
            storm.wait_for_sales(4)
        figures = settled(fleet, storm, receiver) | {"longest without a leader": round(max(took), 1)}
    for name, figure in figures.items():
        record_property(name, figure)
    print(figures)  # noqa: T201


def test_a_leader_that_hangs_is_replaced_and_does_no_harm_when_it_goes_on(
    database: PostgresqlServer, anvil: Callable[..., Anvil], tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    with Receiver() as receiver, Fleet(tmp_path, config(node), database.url("shop"), SERVERS) as fleet:
        storm = Storm(node, fleet.key, lambda: [fleet.servers[number].url for number in others])
        others = [*range(SERVERS)]
        hook = {"url": receiver.url, "events": EVENTS}
        fleet.running()[0].client(fleet.key).post("/webhook_endpoints", json=hook).raise_for_status()
        with storm.blowing():
            storm.wait_for_sales(4)
            leader = fleet.leader()
            others.remove(leader)
            hung = fleet.servers[leader]
            assert hung is not None
            hung.process.send_signal(signal.SIGSTOP)
            try:
                while fleet.leader() == leader:
                    storm.wait_for_sales(1)
            finally:
                hung.process.send_signal(signal.SIGCONT)
            others.append(leader)
            storm.wait_for_sales(6)
        print(settled(fleet, storm, receiver))  # noqa: T201
