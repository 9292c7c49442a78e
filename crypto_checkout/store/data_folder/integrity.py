"""Examine the database file: whether it is sound, and whether it can be written."""

import sqlite3
from contextlib import closing
from pathlib import Path

from crypto_checkout.store import migrate
from crypto_checkout.store.database import WriteUnit


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


def write_nothing(unit: WriteUnit) -> None:
    """Write a page without changing anything, so that a full disk or a read-only one fails the commit."""
    row = unit.one("PRAGMA user_version")
    assert row is not None, "the pragma always returns a row"
    unit.run(f"PRAGMA user_version = {int(row[0])}")
