"""A PostgreSQL server that is lost, and its standby, which is promoted by hand: our server goes on without a restart.

The URL names both. A commit is confirmed once both have it, so what was answered is on the standby.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.anvil import Anvil
from tests.support.postgresql import PostgresqlServer
from tests.support.shop_on_postgresql import Shop, open_shop
from tests.support.standby import Standby, two_servers, url
from tests.support.tcp_proxy import TcpProxy


@dataclass
class Pair:
    """A shop, and the two servers that its URL names, each behind a network."""

    shop: Shop
    primary: PostgresqlServer
    standby: Standby
    networks: list[TcpProxy]


@pytest.fixture
def pair(postgresql_server: PostgresqlServer, anvil: Callable[..., Anvil], tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        primary, standby = stack.enter_context(two_servers(postgresql_server.programs))
        primary.execute("CREATE DATABASE shop TEMPLATE template0 ENCODING 'UTF8'")
        networks = [stack.enter_context(TcpProxy(each.socket)) for each in (primary, standby)]
        place = url([each.port for each in networks], "shop")
        shop = stack.enter_context(open_shop(tmp_path, anvil(mining="manual"), primary, place, networks[0]))
        yield Pair(shop, primary, standby, networks)


@pytest.mark.parametrize("way", ["killed", "frozen", "cut off"])
def test_a_failover_loses_nothing_and_needs_no_restart(pair: Pair, way: str) -> None:
    storm = pair.shop.storm
    with storm.blowing():
        storm.wait_for_sales(6)
        if way == "killed":
            pair.primary.stop(kill=True)
        elif way == "frozen":
            pair.primary.freeze()
        else:
            pair.networks[0].hang()
        storm.wait_for_refusals()
        if way == "cut off":  # it stands alone, and may confirm nothing
            pair.primary.stop(kill=True)
        pair.standby.promote()
        storm.wait_for_sales(6)
    print(pair.shop.settle())  # noqa: T201
