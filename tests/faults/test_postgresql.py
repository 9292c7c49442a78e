"""A PostgreSQL server that restarts, dies, hangs, fills up or can't be reached, under a server of ours that sells on.

What was answered is there afterwards, once; meanwhile the answer is a 503 that says when to ask again, within a bounded
time; and everything goes on without a restart.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import psycopg
import pytest

from tests.support.anvil import Anvil
from tests.support.postgresql import DURABLE, PostgresqlServer
from tests.support.shop_on_postgresql import Shop, open_shop
from tests.support.standby import url
from tests.support.tcp_proxy import TcpProxy

SALES_BETWEEN_FAULTS = 4


@pytest.fixture
def shop(postgresql_server: PostgresqlServer, anvil: Callable[..., Anvil], tmp_path: Path) -> Iterator[Shop]:
    """Open a shop whose PostgreSQL server confirms what is on its disk."""
    with ExitStack() as stack:
        programs = postgresql_server.programs
        database = stack.enter_context(PostgresqlServer(programs, **DURABLE, max_connections="30"))
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
    assert shop.server.logs_once_a_minute("the database fails")


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
