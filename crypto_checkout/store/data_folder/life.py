"""The database's own name: random, and also in the files `given-out-WALLET` beside it.

A copy carries the name of the database that it was made of. So a database that finds no file of its name beside it was
copied here, and knows nothing of the addresses given out since; `restore` gives it a new name.
"""

from crypto_checkout.store.database import ReadUnit, WriteUnit


def current(unit: ReadUnit) -> str | None:
    """Return the name; None before the first start of a version that gives one."""
    row = unit.one("SELECT id FROM database_life WHERE only_row = 1")
    return None if row is None else str(row["id"])


def begin(unit: WriteUnit, life: str) -> None:
    """Give the database a name of its own."""
    unit.run(
        """
        INSERT INTO database_life (only_row, id, since)
        VALUES (1, :life, :now)
        ON CONFLICT (only_row) DO UPDATE SET id = excluded.id, since = excluded.since
        """,
        {"life": life, "now": unit.now_text},
    )
