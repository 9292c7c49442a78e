"""The disk of the PostgreSQL server fills up, under a server of ours that sells on."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from tests.support.anvil import Anvil
from tests.support.disks import Disk, small_disk
from tests.support.postgresql import DURABLE, USER, PostgresqlServer
from tests.support.server import command
from tests.support.shop_on_postgresql import Shop, open_shop
from tests.support.standby import url
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import wait_until

MEGABYTES = 96
SMALL_LOG = {"max_wal_size": "16MB", "min_wal_size": "2MB"}
NEEDS_ROOM = {"data": "CHECKPOINT", "log": "SELECT pg_switch_wal()"}
"""What takes room on either part: until sales alone do, a slow machine would need minutes."""


@contextmanager
def shop_on_small_disk(programs: Path, node: Anvil, folder: Path, part: str) -> Iterator[tuple[Shop, Disk]]:
    """Open a shop whose PostgreSQL server has a part of its data on a small disk of its own."""
    database = PostgresqlServer(programs, **DURABLE, **SMALL_LOG)
    try:
        with small_disk(database.folder / "disk", MEGABYTES) as disk:
            there = disk.folder / part
            there.mkdir()
            shutil.chown(there, USER, USER)
            if part == "data":
                (database.folder / part).symlink_to(there)
            database.initialize("--wal-segsize=1", *([] if part == "data" else [f"--waldir={there}"]))
            with database, TcpProxy(database.socket) as network:
                database.execute("CREATE DATABASE shop TEMPLATE template0 ENCODING 'UTF8'")
                with open_shop(folder, node, database, url([network.port], "shop"), network) as shop:
                    yield shop, disk
    finally:
        database.remove()


def wait_until_refused(shop: Shop) -> None:
    """Wait until shops are told to come back, and the server says that it isn't ready."""
    before, answers = shop.storm.answers.refusals["internal_error"], shop.storm.answers
    wait_until(lambda: answers.refusals["internal_error"] > before, "refuse", output=lambda: shop.server.log)
    wait_until(lambda: readiness(shop) == "can't be written", "be unready", output=lambda: shop.server.log)


def readiness(shop: Shop) -> str:
    found: str = shop.server.client(None).get(f"{shop.server.url}/readyz").json()["checks"]["database"]
    return found


def examined(shop: Shop) -> str:
    """Return what `doctor` says."""
    found = command(shop.folder, "doctor", environ={"CHECKOUT__DATABASE__URL": shop.url})
    assert found.returncode == 1
    assert "Traceback" not in found.stderr
    return " ".join(found.stdout.split())


def test_a_database_that_can_not_grow_goes_on_once_there_is_room(
    postgresql_server: PostgresqlServer, anvil: Callable[..., Anvil], tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    with shop_on_small_disk(postgresql_server.programs, node, tmp_path, "data") as (shop, disk):
        with shop.storm.blowing():
            shop.storm.wait_for_sales(4)
            disk.fill()
            wait_until_refused(shop)
            assert shop.database.is_running
            assert "Its disk is full" in examined(shop)
            some = next(iter(shop.storm.sold.values()))
            assert shop.server.client(None).get(f"{shop.server.url}/checkout/{some['id']}").is_success
            disk.make_room()
            shop.storm.wait_for_sales(4)
        print(shop.settle())  # noqa: T201
        assert shop.server.logs_once_a_minute("the database fails")
        assert "Its disk is full" in shop.server.log


def has_ended(shop: Shop, statement: str) -> bool:
    """Have the database server do something that needs room, and tell whether it has ended."""
    with suppress(psycopg.Error):
        shop.database.execute(statement)
    return not shop.database.is_running


@pytest.mark.parametrize("part", NEEDS_ROOM)
def test_a_database_server_that_ends_for_want_of_room_is_to_be_started_and_lacks_nothing(
    part: str, postgresql_server: PostgresqlServer, anvil: Callable[..., Anvil], tmp_path: Path
) -> None:
    """Without room for its log it ends at once, and without any for its files at the next checkpoint."""
    node = anvil(mining="manual")
    with shop_on_small_disk(postgresql_server.programs, node, tmp_path, part) as (shop, disk):
        with shop.storm.blowing():
            shop.storm.wait_for_sales(4)
            disk.fill()
            wait_until(lambda: has_ended(shop, NEEDS_ROOM[part]), "see it end", output=lambda: shop.database.log)
            wait_until_refused(shop)
            assert "Check that it runs" in examined(shop)
            disk.make_room()
            shop.database.start()
            shop.storm.wait_for_sales(4)
        print(shop.settle())  # noqa: T201
        assert shop.server.logs_once_a_minute("the database fails")
