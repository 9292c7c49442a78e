"""The sizes by day: one a day, and a few weeks of them."""

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from crypto_checkout.core.upkeep.disk import KEPT_DAYS, DiskDay
from crypto_checkout.store.database import Database
from crypto_checkout.store.migrate import migrate
from crypto_checkout.store.upkeep import disk_days
from tests.support.api import Clock


def day(at: datetime, size: int = 1) -> DiskDay:
    return DiskDay(at.date(), at, size, 2 * size)


async def test_the_first_measurement_of_a_day_stays_and_the_oldest_days_go(tmp_path: Path) -> None:
    clock = Clock(datetime(2026, 11, 23, 9, tzinfo=UTC))
    path = tmp_path / "checkout.db"
    migrate(path)
    async with await Database.open(path, clock) as db:
        for number in range(KEPT_DAYS + 5):
            for size in (number, 999):
                await db.write(partial(disk_days.add, day=day(clock(), size)))
            clock.move(days=1)
        known = await db.read(disk_days.all_of)
        assert [each.database_bytes for each in known] == list(range(5, KEPT_DAYS + 5))
        assert await db.read(lambda unit: disk_days.has(unit, (clock() - timedelta(days=1)).date()))
        assert not await db.read(lambda unit: disk_days.has(unit, clock().date()))


async def test_a_day_that_a_wrong_clock_left_goes_with_the_next(tmp_path: Path) -> None:
    clock = Clock(datetime(2026, 11, 23, 9, tzinfo=UTC))
    path = tmp_path / "checkout.db"
    migrate(path)
    async with await Database.open(path, clock) as db:
        await db.write(lambda unit: disk_days.add(unit, day(clock() + timedelta(days=400))))
        assert await db.read(disk_days.all_of) == []
        today = day(clock())
        await db.write(lambda unit: disk_days.add(unit, today))
        assert await db.read(disk_days.all_of) == [today]
        assert not await db.read(lambda unit: disk_days.has(unit, (clock() + timedelta(days=400)).date()))
