"""Check whether the database file is sound, and whether it can be written."""

import sqlite3
import threading
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path

from crypto_checkout.core import moments
from crypto_checkout.core.errors import DatabaseDamaged
from crypto_checkout.store import migrate
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.faults import as_failure

STEPS_BETWEEN_PAUSES = 50_000
_REST_PER_WORK = 3.0
_LONGEST_REST_SECONDS = 30.0
_MOST_PROBLEMS = 5
_NIGHT_HOUR = 2


def integrity(path: Path) -> str | None:
    """Return the damage that SQLite finds in a database file, or None. Nothing is written; a server may have it open.

    Raises OSError if the file can't be opened.
    """
    migrate.refuse_emptied(path)
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            rows = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)")]
    except sqlite3.OperationalError as error:
        raise OSError(str(error)) from error
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if rows == ["ok"] else "; ".join(rows)


def check_in_slices(path: Path, stop: threading.Event) -> str | None:
    """Return the damage that SQLite finds in a database, or None, table by table and with pauses.

    It works for at most a quarter of the time, so that a large database leaves the disk to others, and holds its view
    of a table no longer than that table takes. `stop` ends it early, with None. Raises sqlite3.Error.
    """
    pace = SlowPace(stop)
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        connection.set_progress_handler(pace, STEPS_BETWEEN_PAUSES)
        try:
            for table in _tables(connection):
                rows = [str(row[0]) for row in connection.execute(f"PRAGMA integrity_check('{table}')")]
                if rows != ["ok"]:
                    return "; ".join(rows[:_MOST_PROBLEMS])
                if pace():
                    return None
        except sqlite3.DatabaseError as error:
            if stop.is_set():
                return None
            if isinstance(as_failure(error), DatabaseDamaged):
                return str(error)
            raise
    return None


def quiet_hour(unit: ReadUnit, since: datetime) -> int:
    """Return the hour of the day (UTC) with the fewest sessions since a time; where hours are equal, at night."""
    rows = unit.all(
        """
        SELECT CAST(SUBSTR(created_at, 12, 2) AS INTEGER) AS hour, COUNT(*) AS number
        FROM checkout_sessions
        WHERE livemode IN (0, 1) AND created_at >= :since
        GROUP BY hour
        """,
        {"since": moments.to_text(since)},
    )
    numbers = {row["hour"]: row["number"] for row in rows}
    return min(range(24), key=lambda hour: (numbers.get(hour, 0), (hour - _NIGHT_HOUR) % 24))


class SlowPace:
    """A pace of work: SQLite calls it every few thousand steps. It rests three times as long as the work took."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._since = time.monotonic()

    def __call__(self) -> int:
        """Rest; return 1, which ends the work, once it is stopped, else 0."""
        worked = time.monotonic() - self._since
        stopped = self._stop.wait(min(_LONGEST_REST_SECONDS, _REST_PER_WORK * worked))
        self._since = time.monotonic()
        return int(stopped)


def _tables(connection: sqlite3.Connection) -> list[str]:
    sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    return [name for (name,) in connection.execute(sql)]


def write_nothing(unit: WriteUnit) -> None:
    """Write a page without changing anything, so that a full disk or a read-only one fails the commit."""
    row = unit.one("PRAGMA user_version")
    assert row is not None, "the pragma always returns a row"
    unit.run(f"PRAGMA user_version = {int(row[0])}")
