"""The life of a database: a random name, which the files `given-out-WALLET` beside it contain too.

A copy has the name of its original. So a database without a file of its name beside it was copied here, and lacks the
addresses given out since; `restore` gives it a new name.
"""

from datetime import datetime, timedelta

from crypto_checkout.core import moments
from crypto_checkout.store.database import ReadUnit, WriteUnit


def current(unit: ReadUnit) -> str | None:
    """Return the name; None before the first start of a version that gives one."""
    row = unit.one("SELECT id FROM database_life WHERE only_row = 1")
    return None if row is None else str(row["id"])


def since(unit: ReadUnit) -> datetime | None:
    """Return the time since which the database has its name; None before it has one."""
    row = unit.one("SELECT since FROM database_life WHERE only_row = 1")
    return None if row is None else moments.from_text(row["since"])


def begin(unit: WriteUnit, life: str, *, after: datetime | None = None) -> None:
    """Give the database a name of its own, from now on; or from right `after` a moment, if the clock is behind it."""
    since = unit.now if after is None else max(unit.now, after + timedelta(milliseconds=1))
    unit.run(
        """
        INSERT INTO database_life (only_row, id, since)
        VALUES (1, :life, :since)
        ON CONFLICT (only_row) DO UPDATE SET id = excluded.id, since = excluded.since
        """,
        {"life": life, "since": moments.to_text(since)},
    )
