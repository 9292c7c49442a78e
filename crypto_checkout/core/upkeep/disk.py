"""Forecast when the disk is full, from its size once a day.

Only the usual growth counts. A change that stands out, as of an import or a clean-up, doesn't come every day; the sizes
leave out what comes and goes: free pages inside the database, and copies of it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from statistics import median

from crypto_checkout.core.sizes import size

KEPT_DAYS = 60
"""The number of days whose sizes are kept; the forecast is made of the last of them."""

_LOOKED_BACK = timedelta(days=29)
_LEAST_SPAN = timedelta(days=6, hours=12)
_LEAST_DAYS = 5
_STANDS_OUT = 5
_MOST_EXCEPTIONS = 2
_EXCEPTION_IN_DAYS = 5
_FARTHEST_DAYS = 3653
_DAY = timedelta(days=1)
_SOON_DAYS = 30
_LATER_DAYS = 35


@dataclass(frozen=True, slots=True)
class DiskDay:
    """The sizes on a day (UTC): the database's pages in use, and all on its disk that isn't in the data folder."""

    day: date
    measured_at: datetime
    database_bytes: int
    other_bytes: int


@dataclass(frozen=True, slots=True)
class Copies:
    """The backups on the database's own disk: how many are kept, and how many of those are there by now."""

    kept: int = 0
    there: int = 0

    @property
    def missing(self) -> int:
        """The number of backups that are yet to come."""
        return max(0, self.kept - self.there)


@dataclass(frozen=True, slots=True)
class Growth:
    """The usual growth in bytes a day, never below zero: of the database, its backups, and the rest of the disk."""

    database: float
    backups: float
    others: float

    @property
    def total(self) -> float:
        """The growth of everything on the disk."""
        return self.database + self.backups + self.others


@dataclass(frozen=True, slots=True)
class Forecast:
    """The growth, and the number of days until the disk is full: None if that is more than ten years away."""

    growth: Growth
    days_left: float | None

    @property
    def seconds_left(self) -> float:
        """The time until the disk is full; infinite without an end in sight."""
        return math.inf if self.days_left is None else self.days_left * _DAY.total_seconds()

    def is_soon(self, was_soon: bool) -> bool:
        """Tell whether the disk is full within 30 days; once it was, until it is more than 35 days away."""
        return self.days_left is not None and self.days_left < (_LATER_DAYS if was_soon else _SOON_DAYS)

    @property
    def words(self) -> str:
        """The forecast as a sentence without its full stop."""
        if self.days_left == 0:
            return "The disk is full"
        rate = f"At the present rate ({size(self.growth.total)} a day)"
        if self.days_left is None:
            if self.growth.total < 1:
                return "The disk isn't filling up: nothing on it grows at present"
            return f"{rate}, the disk will last for more than ten years"
        return f"{rate}, the disk will be full in {about(self.days_left)}"


def forecast(days: Sequence[DiskDay], now: datetime, free_bytes: int, copies: Copies) -> Forecast | None:
    """Forecast the end of the free space from the last weeks, oldest day first; None while too few are known."""
    known = [each for each in days if now - _LOOKED_BACK <= each.measured_at <= now]
    if len(known) < _LEAST_DAYS or known[-1].measured_at - known[0].measured_at < _LEAST_SPAN:
        return None
    database = _usual_change(known, lambda day: day.database_bytes)
    growth = Growth(database, database * copies.kept, _usual_change(known, lambda day: day.other_bytes))
    return Forecast(growth, _days_left(free_bytes, growth.total, copies.missing, known[-1].database_bytes))


def known_from(days: Sequence[DiskDay], now: datetime) -> datetime:
    """Return the earliest time at which a forecast can be made."""
    known = [each.measured_at for each in days if now - _LOOKED_BACK <= each.measured_at <= now]
    least = now + (_LEAST_DAYS - len(known)) * _DAY
    return max(least, (known[0] if known else now) + _LEAST_SPAN + _DAY / 2)


def _usual_change(days: Sequence[DiskDay], size_of: Callable[[DiskDay], int]) -> float:
    """Return the mean change a day, in bytes and at least 0, without the few that stand out.

    The slope of a line, or the median of the slopes between all pairs, would take a single large step in the middle for
    growth; the median of the daily changes would be zero for a shop that sells on weekends. Where many changes stand
    out, they are the usual ones.
    """
    changes = [
        ((size_of(after) - size_of(before)) / span, span)
        for before, after in pairwise(days)
        if (span := (after.measured_at - before.measured_at) / _DAY) > 0
    ]
    most = min(_MOST_EXCEPTIONS, max(1, len(changes) // _EXCEPTION_IN_DAYS))
    sizes = [abs(rate) for rate, _ in changes if rate]
    limit = _STANDS_OUT * median(sizes) if len(sizes) > most else 0.0
    usual = [(rate, span) for rate, span in changes if abs(rate) <= limit]
    if len(changes) - len(usual) > most:
        usual = changes
    return max(0.0, sum(rate * span for rate, span in usual) / sum(span for _, span in usual))


def _days_left(free_bytes: float, growth: float, missing: int, database_bytes: int) -> float | None:
    """Return when the free space ends, at a growth a day and a missing backup more each day; None for a long time."""
    left = float(free_bytes)
    for day in range(missing):
        taken = growth + database_bytes
        if left <= taken and taken:
            return day + max(0.0, left) / taken
        left -= taken
    if left <= 0:
        return 0.0
    days = missing + left / growth if growth else math.inf
    return days if days <= _FARTHEST_DAYS else None


# --- words -----------------------------------------------------------------------------------------------------------

_DAYS_AS_DAYS, _DAYS_AS_WEEKS, _DAYS_AS_MONTHS = 31, 60, 730
_DAYS_A_WEEK, _DAYS_A_MONTH, _DAYS_A_YEAR = 7, 30.44, 365.25


def about(days: float) -> str:
    """Write a number of days as one would say it: `about 5 months`, `23 days`, `less than a day`."""
    if days < 1:
        return "less than a day"
    if days < _DAYS_AS_DAYS:
        return _counted(math.floor(days), "day")
    for limit, length, name in (
        (_DAYS_AS_WEEKS, _DAYS_A_WEEK, "week"),
        (_DAYS_AS_MONTHS, _DAYS_A_MONTH, "month"),
        (math.inf, _DAYS_A_YEAR, "year"),
    ):
        if days < limit:
            return f"about {_counted(round(days / length), name)}"
    raise AssertionError("any number of days is below infinity")


def _counted(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"
