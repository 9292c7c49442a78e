"""The disk: measured once a day, an issue a month before it is full, and closed when there is room again."""

import math
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from crypto_checkout import metrics
from crypto_checkout.core.alerts.issues import Issue, IssueKind
from crypto_checkout.core.errors import DatabaseFailed
from crypto_checkout.core.upkeep.space import LEAST_FREE_BYTES, SpaceKind
from crypto_checkout.services.alerts.server_issues import ServerIssues, WatchedMode
from crypto_checkout.services.ledger.health import Readiness
from crypto_checkout.services.upkeep import disk_watch
from crypto_checkout.services.upkeep.disk_watch import BackupPlace, DiskWatch, SpaceWatch
from crypto_checkout.store.database import Database
from crypto_checkout.store.migrate import migrate
from crypto_checkout.store.upkeep import disk_days, space
from tests.support.api import Clock

MB, GB = 10**6, 10**9
GROW = "INSERT INTO events (id, livemode, type, resource_id, body, created_at) VALUES (?, 1, 'x', 'cs_1', ?, ?)"


class Usage(NamedTuple):
    """As `shutil.disk_usage` returns it."""

    total: int
    used: int
    free: int


class Disk:
    """A disk of 100 GB whose free space is told; the files in it are real."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = 50 * GB
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100 * GB, 100 * GB - self.free, self.free))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime(2026, 11, 23, 9, tzinfo=UTC))


@pytest.fixture
async def db(tmp_path: Path, clock: Clock) -> AsyncIterator[Database]:
    path = tmp_path / "checkout.db"
    migrate(path)
    async with await Database.open(path, clock, serves=True) as opened:
        yield opened


def watching(db: Database, clock: Clock, *, kept: int = 0) -> DiskWatch:
    return DiskWatch(db, BackupPlace(db.path.parent / "backups", kept), clock)


def grow(path: Path, name: str, number: int = 100) -> None:
    """Have the database grow by some 100 kB."""
    with closing(sqlite3.connect(path)) as connection, connection:
        rows = [(f"{name}-{each}", "x" * 1000, "2026-11-23T09:30:00.000Z") for each in range(number)]
        connection.executemany(GROW, rows)


async def issues(db: Database, watch: DiskWatch, clock: Clock) -> list[Issue]:
    server = ServerIssues(
        WatchedMode(Readiness(db, (), clock)), livemode=True, folder=db.path.parent, clock=clock, disk_watch=watch
    )
    return await server.now()


async def test_a_disk_that_fills_up_is_an_issue_until_there_is_room(db: Database, clock: Clock, disk: Disk) -> None:
    watch = watching(db, clock)
    disk.free = 280 * MB
    for day in range(12):
        grow(db.path, str(day), 10_000)
        await watch.turn()
        if day < 7:
            assert await issues(db, watch, clock) == [], "a folder that just began"
        clock.move(days=1)
    (issue,) = await issues(db, watch, clock)
    assert (issue.kind, issue.cause, issue.livemode, issue.path) == (
        IssueKind.DISK,
        "disk:forecast",
        None,
        "/settings/server",
    )
    assert "MB a day), the disk will be full in " in issue.words
    assert issue.words.endswith(" days.")
    expected = watch.fills_soon
    assert expected is not None
    assert metrics.REGISTRY.get_sample_value("checkout_disk_full_seconds") == pytest.approx(expected.seconds_left)
    assert metrics.REGISTRY.get_sample_value("checkout_disk_free_bytes") == 280 * MB
    # A disk that is almost full is one issue, not two.
    disk.free = LEAST_FREE_BYTES - 1
    assert [each.cause for each in await issues(db, watch, clock)] == ["disk:disk"]
    disk.free = 50 * GB
    await watch.turn()
    assert await issues(db, watch, clock) == []


async def test_free_space_is_told_also_while_nothing_can_be_written(
    db: Database, clock: Clock, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise DatabaseFailed("database or disk is full")

    watch = watching(db, clock)
    assert math.isnan(metrics.REGISTRY.get_sample_value("checkout_disk_free_bytes") or 0), "not zero, which would alarm"
    monkeypatch.setattr(db, "write", refuse)
    disk.free = 5
    with pytest.raises(DatabaseFailed):
        await watch.turn()
    assert metrics.REGISTRY.get_sample_value("checkout_disk_free_bytes") == 5


async def test_one_row_a_day_whatever_happens(db: Database, clock: Clock, disk: Disk) -> None:
    for _ in range(48):
        await watching(db, clock).turn()
        disk.free -= MB
        clock.move(hours=1)
    known = await db.read(disk_days.all_of)
    assert [each.measured_at for each in known] == [
        datetime(2026, 11, 23, 9, tzinfo=UTC),
        datetime(2026, 11, 24, 0, tzinfo=UTC),
        datetime(2026, 11, 25, 0, tzinfo=UTC),
    ]


async def test_neither_a_backup_nor_a_vacuum_nor_a_large_log_is_growth(
    db: Database, clock: Clock, disk: Disk, tmp_path: Path
) -> None:
    watch = watching(db, clock)
    (tmp_path / "backups").mkdir()
    grow(db.path, "first", 3000)
    for day in range(10):
        await watch.turn()
        copy = tmp_path / "backups" / f"{day}.db"
        copy.write_bytes(b"b" * MB)
        disk.free -= MB
        clock.move(days=1)
        if day == 4:
            await db.write(lambda unit: unit.run("DELETE FROM events WHERE seq <= 1500"))
        if day == 6:
            with closing(sqlite3.connect(db.path, isolation_level=None)) as connection:
                connection.execute("VACUUM")
    found = await watch.report()
    assert found.forecast is not None
    assert found.forecast.growth.total < 10_000
    assert found.forecast.days_left is None or found.forecast.days_left > 1000


@pytest.mark.usefixtures("disk")
async def test_without_a_forecast_there_is_no_number(db: Database, clock: Clock) -> None:
    watch = watching(db, clock)
    await watch.turn()
    assert math.isnan(metrics.REGISTRY.get_sample_value("checkout_disk_full_seconds") or 0)
    assert (await watch.report()).forecast_from - clock() < timedelta(days=8)


async def test_backups_to_come_need_room(db: Database, clock: Clock, disk: Disk) -> None:
    grow(db.path, "first", 3000)
    watch = watching(db, clock, kept=11)
    for _ in range(10):
        await watch.turn()
        clock.move(days=1)
    disk.free = 10 * MB
    await watch.turn()
    assert watch.fills_soon is not None, "eleven copies of 3 MB"
    disk.free = 100 * MB
    await watch.turn()
    assert watch.fills_soon is None


async def test_the_kinds_are_measured_again_after_an_hour_or_at_night(
    db: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = SpaceWatch(db, clock)
    await watch.turn()
    first = await db.read(space.stored)
    assert first is not None
    grow(db.path, "more", 3000)
    clock.move(minutes=30)
    await watch.turn()
    assert await db.read(space.stored) == first
    clock.move(minutes=40)
    await watch.turn()
    second = await db.read(space.stored)
    assert second is not None
    assert second.kinds[SpaceKind.EVENTS] > first.kinds[SpaceKind.EVENTS] + 3 * MB
    # A large one waits for the night.
    monkeypatch.setattr(disk_watch, "_SMALL_BYTES", 1)
    hours = set()
    for _ in range(3 * 24 * 6):
        clock.move(minutes=10)
        await watch.turn()
        taken = await db.read(space.stored)
        assert taken is not None
        if taken.measured_at == clock():
            hours.add(clock().hour)
    assert hours == {2}
