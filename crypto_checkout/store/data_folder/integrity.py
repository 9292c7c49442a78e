"""Examine the database file itself, whether or not a server has it open. Nothing is written."""

import sqlite3
from contextlib import closing
from pathlib import Path


def integrity(path: Path) -> str | None:
    """Return what SQLite finds wrong with a database file; None where all is well.

    Raises OSError where it can't be opened.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            rows = [str(row[0]) for row in connection.execute("PRAGMA quick_check(5)")]
    except sqlite3.OperationalError as error:
        raise OSError(str(error)) from error
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if rows == ["ok"] else "; ".join(rows)
