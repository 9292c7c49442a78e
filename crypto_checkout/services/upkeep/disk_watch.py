"""Watch the disk of the database: its size once a day, its free space, and when it is full.

What takes up the space inside the database is measured once a day, slowly, at the hour with the fewest sessions: that
reads the whole file.
"""

import asyncio
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from crypto_checkout import metrics
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.upkeep.disk import Copies, DiskDay, Forecast, forecast, known_from
from crypto_checkout.core.upkeep.space import FolderSizes, SpaceTaken
from crypto_checkout.log import get_logger
from crypto_checkout.services.loops import every
from crypto_checkout.services.upkeep.daily import is_daily_due
from crypto_checkout.services.upkeep.slow_thread import run_slowly
from crypto_checkout.store.database import Database
from crypto_checkout.store.upkeep import disk_days, space
from crypto_checkout.store.upkeep.space import Pages

log = get_logger("disk")

_EVERY_SECONDS = 300.0
_TABLES_EVERY_SECONDS = 600.0
_SMALL_BYTES = 64 * 1024 * 1024
"""A database up to this size is measured at once, and again every hour: it takes a fraction of a second."""

_SMALL_AGAIN_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class BackupPlace:
    """The folder of backups, and how many of them are kept; 0 where the server makes none."""

    folder: Path
    kept: int


@dataclass(frozen=True, slots=True)
class DiskReport:
    """The disk as of now. Without a `forecast`, `forecast_from` is when there will be one."""

    sizes: FolderSizes
    pages: Pages
    forecast: Forecast | None
    forecast_from: datetime


async def measure(db: Database, backups: BackupPlace) -> tuple[FolderSizes, Pages]:
    """Measure the files and the disk, and the database's pages. Raises OSError, DatabaseFailed."""
    sizes = await asyncio.to_thread(space.folder_sizes, db.path.absolute(), backups.folder)
    return sizes, await db.read(space.pages)


async def report(db: Database, backups: BackupPlace, now: datetime) -> DiskReport:
    """Measure the disk, and forecast its end from the days that are recorded. Raises OSError, DatabaseFailed."""
    sizes, pages = await measure(db, backups)
    days = await db.read(disk_days.all_of)
    copies = Copies() if sizes.has_own_backup_disk else Copies(backups.kept, sizes.backup_files)
    expected = forecast(days, now, sizes.free + pages.free, copies)
    return DiskReport(sizes, pages, expected, known_from(days, now))


class DiskWatch:
    """The loop that measures, and what it found."""

    def __init__(self, db: Database, backups: BackupPlace, clock: Clock) -> None:
        self._db = db
        self._backups = backups
        self._clock = clock
        self._soon: Forecast | None = None
        metrics.DISK_FREE.set(math.nan)
        metrics.DISK_FULL.set(math.nan)

    @property
    def fills_soon(self) -> Forecast | None:
        """The forecast of a disk that is full within 30 days; None otherwise."""
        return self._soon

    async def run(self) -> None:
        """Measure now and every five minutes, until cancelled."""
        await every(_EVERY_SECONDS, self.turn, log=log, failure="the disk could not be measured")

    async def turn(self) -> None:
        """Measure the disk; record the day if it is the first time on it, and forecast its end."""
        now = self._clock()
        sizes, pages = await measure(self._db, self._backups)
        metrics.DISK_FREE.set(sizes.free)  # first: on a full disk no day can be recorded
        await self._record_day(now, sizes, pages)
        expected = (await self.report()).forecast
        metrics.DISK_FULL.set(math.nan if expected is None else expected.seconds_left)
        is_soon = expected is not None and expected.is_soon(was_soon=self._soon is not None)
        if is_soon and self._soon is None and expected is not None:
            log.warning("the disk fills up", error=expected.words)
        self._soon = expected if is_soon else None

    async def _record_day(self, now: datetime, sizes: FolderSizes, pages: Pages) -> None:
        if await self._db.read(lambda unit: disk_days.has(unit, now.date())):
            return
        other_bytes = max(0, sizes.total - sizes.free - sizes.on_this_disk)
        day = DiskDay(now.date(), now, pages.used, other_bytes)
        await self._db.write(lambda unit: disk_days.add(unit, day))

    async def report(self) -> DiskReport:
        """Measure the disk now. Raises OSError, DatabaseFailed."""
        return await report(self._db, self._backups, self._clock())

    async def space(self) -> SpaceTaken | None:
        """Return what takes up the space inside the database, as last measured; None before the first time."""
        return await self._db.read(space.stored)


class SpaceWatch:
    """The loop that measures what takes up the space inside the database."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._began_at = clock()

    async def run(self) -> None:
        """Look every ten minutes whether a measurement is due, until cancelled."""
        failure = "what takes up the space in the database could not be measured"
        await every(_TABLES_EVERY_SECONDS, self.turn, log=log, failure=failure)

    async def turn(self) -> None:
        """Measure the tables if that is due."""
        if not await self._is_due():
            return
        kinds = await run_slowly(partial(space.measure_tables, self._db.path), "sizes of tables")
        if kinds is not None:
            await self._db.write(lambda unit: space.store(unit, kinds))

    async def _is_due(self) -> bool:
        taken, pages = await self._db.read(lambda unit: (space.stored(unit), space.pages(unit)))
        now = self._clock()
        if taken is None:
            return True
        if pages.used <= _SMALL_BYTES:
            return not timedelta() <= now - taken.measured_at < _SMALL_AGAIN_AFTER
        return await is_daily_due(self._db, now, taken.measured_at, self._began_at)
