"""A file as a whole, for moving all rows of a database from it, or into it."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from crypto_checkout.core.errors import FatalError
from crypto_checkout.store.faults import advice
from crypto_checkout.store.migrations.catalog import CatalogTable
from crypto_checkout.store.sqlite import checkpoints

_BUSY_TIMEOUT_SECONDS = 5
_PAGES_BETWEEN_CHECKPOINTS = 20_000
_CACHE = "PRAGMA cache_size = -65536"  # KiB


class WholeFile:
    """An open file, which must be migrated. It is used by one thread at a time; the caller has the folder's lock."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    def __str__(self) -> str:
        return str(self._path.absolute())

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> "Iterator[WholeFile]":
        """Open a file. Raises FatalError with what to do, whatever fails while it is open."""
        try:
            with closing(
                sqlite3.connect(path, isolation_level=None, timeout=_BUSY_TIMEOUT_SECONDS, check_same_thread=False)
            ) as connection:
                connection.execute(_CACHE)
                if checkpoints.is_left_to_litestream(path):
                    checkpoints.make_none(connection)
                yield cls(path, connection)
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise FatalError(f"{path} can't be used: {error}. {advice(error, path.absolute())}") from error

    def hold(self) -> None:
        """Begin a transaction in which nobody else writes."""
        self._connection.execute("BEGIN IMMEDIATE")

    def prepare_to_load(self) -> None:
        """Have commits wait for the disk only where the log becomes too long: a power cut loses the last ones."""
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {_PAGES_BETWEEN_CHECKPOINTS}")

    def begin(self) -> None:
        """Begin a transaction."""
        self._connection.execute("BEGIN IMMEDIATE")

    def commit(self, *, durably: bool = False) -> None:
        """Commit; with `durably`, all that was committed before is on the disk too."""
        if durably:
            self._connection.execute("COMMIT")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return
        self._connection.execute("COMMIT")

    def execute(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """Run a statement."""
        return self._connection.execute(sql, parameters or {})

    def insert(self, table: CatalogTable, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows of a table, with values in the order of its columns."""
        names, places = ", ".join(table.columns), ", ".join("?" * len(table.columns))
        self._connection.executemany(f"INSERT INTO {table.name} ({names}) VALUES ({places})", rows)  # noqa: S608 - names of the schema

    def clear(self, tables: Sequence[CatalogTable]) -> None:
        """Delete all rows."""
        for table in reversed(tables):
            self._connection.execute(f"DELETE FROM {table.name}")  # noqa: S608 - as above

    def indexes(self, tables: Sequence[CatalogTable]) -> Mapping[str, str]:
        """Return the indexes that aren't part of a key, and the statements that make them."""
        names = {table.name for table in tables}
        rows = self._connection.execute(
            "SELECT name, sql, tbl_name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name"
        )
        return {name: sql for name, sql, table in rows if table in names}

    def last_numbers(self, tables: Sequence[CatalogTable]) -> Mapping[str, int]:
        """Return the last `seq` that was given in each of these tables, if any ever was."""
        known = dict(self._connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
        return {table.name: known[table.name] for table in tables if known.get(table.name)}

    def set_last_numbers(self, tables: Sequence[CatalogTable], numbers: Mapping[str, int]) -> None:
        """Have each table's `seq` go on after its number. One that may repeat goes on after its last row."""
        for table in tables:
            if table.never_repeats and table.name in numbers:
                given = {"name": table.name, "seq": numbers[table.name]}
                self._connection.execute("DELETE FROM sqlite_sequence WHERE name = :name", given)
                self._connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :seq)", given)

    def finish_load(self) -> None:
        """Do what a loaded database needs: nothing here."""
