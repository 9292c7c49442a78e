"""Several of our servers on one database, of which the leader is killed again and again, or frozen: all adds up."""

import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.http.docs.contents import guide_text
from tests.conftest import found
from tests.http.docs.test_guides import blocks
from tests.support import nginx
from tests.support.anvil import Anvil
from tests.support.fleet import Fleet
from tests.support.nginx import Nginx
from tests.support.postgresql import DURABLE, PostgresqlServer
from tests.support.receiver import Receiver
from tests.support.server import command
from tests.support.storm import EVENTS, Storm, config

SERVERS = 3


@pytest.fixture
def database(postgresql_server: PostgresqlServer) -> Iterator[PostgresqlServer]:
    """Start a PostgreSQL server that confirms what is on its disk, with a database for a shop."""
    with PostgresqlServer(postgresql_server.programs, **DURABLE) as server:
        server.execute("CREATE DATABASE shop TEMPLATE template0 ENCODING 'UTF8'")
        yield server


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
        others = [*range(SERVERS)]

        def urls() -> list[str]:
            return [f"http://127.0.0.1:{fleet.ports[number]}" for number in others]

        storm = Storm(node, fleet.key, urls, timeout_seconds=5)  # all shops may have asked the one that hangs
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


@pytest.mark.heavy
@pytest.mark.parametrize("seconds", [60, 1_200])
def test_behind_nginx_servers_that_end_die_and_come_back_are_not_missed(
    seconds: float, database: PostgresqlServer, anvil: Callable[..., Anvil], tmp_path: Path
) -> None:
    """The proxy is set up as in the guide *Past one machine*: it repeats no POST, the shop does."""
    program = found("nginx", nginx.find(), "there is no nginx: apt-get install nginx")
    node, dice = anvil(mining="manual"), random.Random(20261201)
    with Receiver() as receiver, Fleet(tmp_path, config(node), database.url("shop"), SERVERS) as fleet:
        upstream, site = proxy_of_the_guide([f"127.0.0.1:{port}" for port in fleet.ports])
        with Nginx(program, tmp_path, {"shop": site}, upstream=upstream) as proxy:
            pause = seconds / 1_000  # each payment makes a block, and the node can't keep tens of thousands
            storm = Storm(node, fleet.key, lambda: [proxy.urls["shop"]], pause_seconds=pause)
            hook = {"url": receiver.url, "events": EVENTS}
            fleet.running()[0].client(fleet.key).post("/webhook_endpoints", json=hook).raise_for_status()
            until, turns = time.monotonic() + seconds, 0
            with storm.blowing():
                while time.monotonic() < until:
                    storm.wait_for_sales(dice.randint(5, 30))
                    number = fleet.leader() if dice.random() < 0.5 else dice.randrange(SERVERS)
                    if dice.random() < 0.5:
                        fleet.kill(number)
                    else:
                        fleet.stop(number)
                    storm.wait_for_sales(dice.randint(0, 5))
                    fleet.start(number)
                    turns += 1
            print({"ended and started": turns} | settled(fleet, storm, receiver))  # noqa: T201


def proxy_of_the_guide(servers: list[str]) -> tuple[str, str]:
    """Return the guide's upstream with these servers, and its site."""
    lines = dict(blocks(guide_text("past-one-machine", "")))
    first, *_ = [line for line in lines["nginx upstream"].splitlines() if "server " in line]
    here = [re.sub(r"server \S+", f"server {each}", first) for each in servers]
    site = f"location / {{ proxy_pass http://checkout; proxy_http_version 1.1; {lines['nginx location']} }}"
    return "\n".join(["upstream checkout {", *here, "}"]), site
