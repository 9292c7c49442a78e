"""The sizes of the database and of its disk, once a day."""

from datetime import date

from crypto_checkout.core import moments
from crypto_checkout.core.upkeep.disk import KEPT_DAYS, DiskDay
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.table import Table

_DAYS = Table("disk_days", DiskDay)


def add(unit: WriteUnit, day: DiskDay) -> None:
    """Record a day unless it is recorded, and forget the oldest, and days to come, which a wrong clock left."""
    unit.run(f"{_DAYS.insert} ON CONFLICT (day) DO NOTHING", _DAYS.values(day))
    unit.run(
        """
        DELETE FROM disk_days
        WHERE day > :today OR day NOT IN (SELECT day FROM disk_days ORDER BY day DESC LIMIT :kept)
        """,
        {"today": day.day.isoformat(), "kept": KEPT_DAYS},
    )


def has(unit: ReadUnit, day: date) -> bool:
    """Tell whether a day is recorded."""
    return unit.one("SELECT 1 FROM disk_days WHERE day = :day", {"day": day.isoformat()}) is not None


def all_of(unit: ReadUnit) -> list[DiskDay]:
    """Return the recorded days up to now, oldest first."""
    return _DAYS.all(unit, "WHERE measured_at <= :now ORDER BY day", {"now": moments.to_text(unit.now)})
