"""Backups by their names: when each was made, when the next one is due, and which ones are kept.

A name is `checkout-20261201-093000.db`, in UTC, with `.age` after it if the file is encrypted. Names are public:
operators and scripts rely on them.
"""

import re
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_NAME = re.compile(r"checkout-(\d{8}-\d{6})(?:-(\d{1,3}))?\.db(\.age)?", re.ASCII)
_TIME = "%Y%m%d-%H%M%S"
ENCRYPTED = ".age"
"""The end of the name of an encrypted file."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """The number of days and weeks whose newest backup is kept."""

    daily: int
    weekly: int


def name_of(at: datetime, *, number: int = 1, encrypted: bool) -> str:
    """Return the name of a backup; `number` tells those of one second apart."""
    again = "" if number == 1 else f"-{number}"
    return f"checkout-{at.astimezone(UTC):{_TIME}}{again}.db{ENCRYPTED if encrypted else ''}"


def made_at(name: str) -> datetime | None:
    """Return the time in a name; None for a file that is no backup of ours."""
    found = _NAME.fullmatch(name)
    try:
        return found and datetime.strptime(found[1], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


def order_of(name: str) -> tuple[datetime, int]:
    """Return what sorts backups from the oldest to the newest: the time in a name of ours, and the number after it."""
    found, at = _NAME.fullmatch(name), made_at(name)
    if found is None or at is None:
        raise ValueError(f"not the name of a backup: {name}")
    return at, int(found[2] or 1)


def next_due(times: Iterable[datetime], now: datetime, every: timedelta) -> datetime:
    """Return when the next backup is due, after those made at `times`.

    Times that are still to come are of a clock that was wrong: without any other the next is due now, and not again.
    """
    newest = max((each for each in times if each <= now), default=None)
    return now if newest is None else newest + every


def superseded(names: Collection[str], now: datetime, rotation: Rotation) -> set[str]:
    """Return the names of the backups to delete; other names are left alone.

    Kept is the newest, and the newest of each of the last days and weeks (from Monday, in UTC) that have any: so
    nothing goes for a server that was off. One whose time is still to come is kept and counts for no day, because its
    clock was wrong.
    """
    made = {name: at for name in names if (at := made_at(name)) is not None and at <= now}
    newest_first = sorted(made, key=order_of, reverse=True)
    kept = {
        *newest_first[:1],
        *_newest_of_each(newest_first, lambda name: made[name].date(), rotation.daily),
        *_newest_of_each(newest_first, lambda name: made[name].isocalendar()[:2], rotation.weekly),
    }
    return made.keys() - kept


def _newest_of_each(newest_first: Iterable[str], period: Callable[[str], Hashable], number: int) -> Collection[str]:
    """Return the newest name of each of the last periods."""
    found: dict[Hashable, str] = {}
    for name in newest_first:
        found.setdefault(period(name), name)
    return list(found.values())[:number]
