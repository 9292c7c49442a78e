"""What takes up the space: the files of the folder, and each kind of table, measured or estimated."""

import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crypto_checkout.core.upkeep.space import SpaceKind
from crypto_checkout.store.database import Database
from crypto_checkout.store.migrate import migrate
from crypto_checkout.store.upkeep import space

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
EVENT = """
    INSERT INTO events (id, livemode, type, resource_id, body, created_at)
    VALUES (?, 1, 'session.created', 'cs_1', ?, '2026-11-23T09:30:00.000Z')
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return a database whose events take a megabyte."""
    path = tmp_path / "checkout.db"
    migrate(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(EVENT, [(f"evt_{number}", "x" * 1000) for number in range(1000)])
    return path


def measured(path: Path) -> dict[SpaceKind, int]:
    found = space.measure_tables(path, threading.Event())
    assert found is not None
    return dict(found)


def test_the_pages_of_all_kinds_are_all_pages_in_use(database: Path) -> None:
    kinds = measured(database)
    with closing(sqlite3.connect(database)) as connection:
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        (count,) = connection.execute("PRAGMA page_count").fetchone()
    assert sum(kinds.values()) == count * size, "nothing is free in a new database"
    assert 1_000_000 < kinds[SpaceKind.EVENTS] < 2_000_000
    assert max(kinds, key=lambda kind: kinds[kind]) is SpaceKind.EVENTS


def test_an_estimate_is_near_what_is_measured(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = measured(database)
    monkeypatch.setattr(space, "_has_statistics", lambda _: False)
    estimated = measured(database)
    assert sum(estimated.values()) <= sum(exact.values())
    assert estimated[SpaceKind.EVENTS] == pytest.approx(exact[SpaceKind.EVENTS], rel=0.6)


def test_it_ends_when_it_is_told_to(database: Path) -> None:
    stop = threading.Event()
    stop.set()
    assert space.measure_tables(database, stop) is None


def test_each_named_table_exists(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert space.KINDS.keys() <= names


async def test_a_measurement_is_kept_until_the_next(database: Path) -> None:
    async with await Database.open(database, lambda: NOW) as db:
        assert await db.read(space.stored) is None
        await db.write(lambda unit: space.store(unit, {SpaceKind.EVENTS: 5, SpaceKind.OTHER: 1}))
        await db.write(lambda unit: space.store(unit, {SpaceKind.EVENTS: 7}))
        taken = await db.read(space.stored)
        assert taken is not None
        assert (dict(taken.kinds), taken.measured_at) == ({SpaceKind.EVENTS: 7}, NOW)


async def test_pages_that_are_freed_are_room_and_not_in_use(database: Path) -> None:
    async with await Database.open(database, lambda: NOW) as db:
        before = await db.read(space.pages)
        await db.write(lambda unit: unit.run("DELETE FROM events"))
        after = await db.read(space.pages)
        assert before.free == 0
        assert after.free > 1_000_000
        assert before.used - after.used == after.free, "the file keeps its size"


def test_the_files_of_the_folder_are_told_apart(database: Path) -> None:
    folder = database.parent
    others = sum(each.stat().st_size for each in folder.iterdir() if each.name != "checkout.db")
    (folder / "checkout.db-wal").write_bytes(b"w" * 300)
    (folder / "checkout.db.before-0030").write_bytes(b"c" * 900)
    (folder / "left-over").write_bytes(b"k" * 50)
    backups = folder / "backups"
    backups.mkdir()
    (backups / "checkout-20261120-030000.db").write_bytes(b"b" * 7000)
    (backups / "checkout-20261121-030000.db.age").write_bytes(b"b" * 7000)
    (backups / "backups.json").write_bytes(b"{}")
    (backups / "elsewhere").symlink_to("/")
    found = space.folder_sizes(database, backups)
    assert found.database == database.stat().st_size
    assert (found.log, found.backups, found.backup_files, found.rest) == (300, 14_002, 2, others + 50)
    assert found.copies == 900
    assert found.on_this_disk == found.database + 300 + 14_002 + 900 + others + 50
    assert 0 < found.free < found.total


def test_backups_may_be_outside_the_folder_or_not_there_yet(
    database: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "checkout-20261120-030000.db").write_bytes(b"b" * 10)
    found = space.folder_sizes(database, outside)
    assert (found.backups, found.backup_files, found.has_own_backup_disk) == (10, 1, False)
    assert space.folder_sizes(database, outside / "nowhere").backups == 0
    assert space.folder_sizes(database, None).backups == 0
