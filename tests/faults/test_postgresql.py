"""A PostgreSQL server that restarts, dies, hangs, fills up or can't be reached, under a server of ours that sells on.

What was answered is there afterwards, once; meanwhile the answer is a 503 that says when to ask again, within a bounded
time; and everything goes on without a restart.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support import postgresql
from tests.support.anvil import Anvil
from tests.support.postgresql import PostgresqlServer
from tests.support.receiver import Receiver
from tests.support.server import Server, command
from tests.support.standby import DURABLE, url
from tests.support.storm import EVENTS, Storm, config
from tests.support.tcp_proxy import TcpProxy

SALES_BETWEEN_FAULTS = 4
LONGEST_SECONDS = 45.0
"""The longest wait for an answer, as the guide *Reliability* says, and some for a busy machine."""


@dataclass
class Shop:
    """A server of ours, its shops, and its PostgreSQL server behind a network."""

    database: PostgresqlServer
    network: TcpProxy
    url: str
    server: Server
    storm: Storm
    receiver: Receiver
    folder: Path

    def settle(self) -> dict[str, Any]:
        """Return the figures once all sums are right."""
        figures = self.storm.settle(self.server, self.receiver)
        assert not self.storm.answers.unhelpful
        assert self.storm.answers.longest_seconds < LONGEST_SECONDS
        balanced = command(self.folder, "reconcile", "--mode", "live", environ={"CHECKOUT__DATABASE__URL": self.url})
        assert balanced.returncode == 0, balanced.stdout + balanced.stderr
        assert "Traceback" not in self.server.log
        return figures


@contextmanager
def open_shop(folder: Path, node: Anvil, database: PostgresqlServer, place: str, network: TcpProxy) -> Iterator[Shop]:
    (folder / "checkout.toml").write_text(config(node), "utf-8")
    environ = {"CHECKOUT__DATABASE__URL": place}
    with Receiver() as receiver, Server(folder, environ=environ) as server:
        made = command(folder, "keys", "create", "--mode", "live", "--name", "shop", "--json", environ=environ)
        key = json.loads(made.stdout)["key"]
        hook = {"url": receiver.url, "events": EVENTS}
        server.client(key).post("/webhook_endpoints", json=hook).raise_for_status()
        storm = Storm(node, key, lambda: [server.url])
        yield Shop(database, network, place, server, storm, receiver, folder)


@pytest.fixture
def programs(postgresql_server: PostgresqlServer) -> Path:
    """Return the folder of the server's programs."""
    del postgresql_server  # skips where there is none
    found = postgresql.find()
    assert found is not None
    return found


@pytest.fixture
def shop(programs: Path, anvil: Callable[..., Anvil], tmp_path: Path) -> Iterator[Shop]:
    """Open a shop whose PostgreSQL server confirms what is on its disk."""
    with ExitStack() as stack:
        database = PostgresqlServer(programs, **DURABLE, max_connections="30")
        stack.callback(database.remove)
        database.start()
        database.execute("CREATE DATABASE shop TEMPLATE template0 ENCODING 'UTF8'")
        network = stack.enter_context(TcpProxy(database.socket))
        place = url([network.port], "shop")
        yield stack.enter_context(open_shop(tmp_path, anvil(mining="manual"), database, place, network))


# --- faults ----------------------------------------------------------------------------------------------------------


def restart(shop: Shop, _: float) -> None:
    shop.database.stop()
    shop.database.start()


def restart_at_once(shop: Shop, _: float) -> None:
    shop.database.stop(at_once=True)
    shop.database.start()


def kill(shop: Shop, seconds: float) -> None:
    shop.database.stop(kill=True)
    time.sleep(seconds)
    shop.database.start()


def freeze(shop: Shop, seconds: float) -> None:
    shop.database.freeze()
    time.sleep(seconds)
    shop.database.thaw()


def reset(shop: Shop, _: float) -> None:
    shop.network.reset()


def cut(shop: Shop, seconds: float) -> None:
    shop.network.cut()
    time.sleep(seconds)
    shop.network.mend()


def hang(shop: Shop, seconds: float) -> None:
    shop.network.hang()
    time.sleep(seconds)
    shop.network.mend()


def lose_answers(shop: Shop, seconds: float) -> None:
    shop.network.lose_answers()
    time.sleep(seconds)
    shop.network.reset()
    shop.network.mend()


def slow_down(shop: Shop, seconds: float) -> None:
    shop.network.slow(0.2)
    time.sleep(seconds)
    shop.network.mend()


def take_all_connections(shop: Shop, seconds: float) -> None:
    with ExitStack() as stack:
        shop.network.cut()
        with suppress(psycopg.OperationalError):
            while True:
                stack.enter_context(psycopg.connect(shop.database.url("shop")))
        shop.network.mend()
        time.sleep(seconds)


FAULTS: dict[str, Callable[[Shop, float], None]] = {
    "restarted": restart,
    "restarted at once": restart_at_once,
    "killed": kill,
    "frozen": freeze,
    "connections reset": reset,
    "network refuses": cut,
    "network hangs": hang,
    "answers lost": lose_answers,
    "slow": slow_down,
    "all connections taken": take_all_connections,
}


def run_through(shop: Shop, faults: Sequence[str], seconds: float) -> None:
    """Have one fault after another, with sales between them."""
    with shop.storm.blowing():
        shop.storm.wait_for_sales(SALES_BETWEEN_FAULTS)
        for fault in faults:
            FAULTS[fault](shop, seconds)
            shop.storm.wait_for_sales(SALES_BETWEEN_FAULTS)


def test_faults_of_the_server_and_the_network_lose_nothing_and_repeat_nothing(shop: Shop) -> None:
    run_through(shop, list(FAULTS), 1.5)
    figures = shop.settle()
    print(figures)  # noqa: T201
    assert shop.server.log.count("the database fails") <= 3, "it is logged once a minute"


@pytest.mark.heavy
@pytest.mark.parametrize("fault", ["frozen", "network refuses", "network hangs", "answers lost", "slow", "killed"])
def test_a_fault_that_lasts_loses_nothing_and_leaves_nobody_waiting(fault: str, shop: Shop) -> None:
    run_through(shop, [fault], 40)
    print(shop.settle())  # noqa: T201


def test_it_ends_when_asked_although_the_network_hangs(shop: Shop) -> None:
    with shop.storm.blowing():
        shop.storm.wait_for_sales(2)
    shop.network.hang()
    assert shop.server.stop() == 0
