"""Copy all rows of a database to another place, which begins empty; goes on after a kill at any moment.

The source is held meanwhile: nobody else writes there. Rows go in the order of their keys, a page a transaction, and
each transaction also notes how far it went. So what is noted has arrived, and a later run goes on after it, once it has
found that the source still has these rows: their digest is compared, and where it differs all begins anew. At the end
the digest of each table is compared with that of what the target holds.

Then the source is marked as moved, before the target is opened to servers: so at no moment both can be served.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from crypto_checkout.core import moments
from crypto_checkout.core.errors import DatabaseFailed, FatalError
from crypto_checkout.store import migrate
from crypto_checkout.store.migrations.catalog import CatalogTable, tables
from crypto_checkout.store.moving import mark
from crypto_checkout.store.moving.digest import RowDigest
from crypto_checkout.store.moving.mark import MoveMark, MoveState
from crypto_checkout.store.place import DatabaseServer
from crypto_checkout.store.sqlite.whole import WholeFile

ROWS_A_PAGE = 2_000

_OF_THE_COPY = frozenset({"database_moves", "arrived_tables"})
_OF_A_USED_ONE = ("database_life", "api_keys", "events", "checkout_sessions", "wallets")
"""Tables of which one has rows in any database that was ever used."""

Note = Callable[[str, int, int], None]
"""Takes the name of a step, the amount done, and the total."""


class Whole(Protocol):
    """A database as a whole: `store.sqlite.whole.WholeFile` or `store.postgresql.whole.WholeServer`."""

    def hold(self) -> None:
        """Begin a transaction with one snapshot, in which nobody else writes."""

    def prepare_to_load(self) -> None:
        """Have commits not wait for the disk, for as long as none is durable."""

    def begin(self) -> None:
        """Begin a transaction."""

    def commit(self, *, durably: bool = False) -> None:
        """Commit; with `durably`, all that was committed before is on the disk too."""

    def execute(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """Run a statement, whose parameters are `:name`."""

    def insert(self, table: CatalogTable, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows of a table, with values in the order of its columns."""

    def clear(self, tables: Sequence[CatalogTable]) -> None:
        """Delete all rows."""

    def indexes(self, tables: Sequence[CatalogTable]) -> Mapping[str, str]:
        """Return the indexes that aren't part of a key, and the statements that make them."""

    def last_numbers(self, tables: Sequence[CatalogTable]) -> Mapping[str, int]:
        """Return the last `seq` that was given in each of these tables, if any ever was."""

    def set_last_numbers(self, tables: Sequence[CatalogTable], numbers: Mapping[str, int]) -> None:
        """Have each table's `seq` go on after its number, or after its last row."""

    def finish_load(self) -> None:
        """Do what a loaded database needs."""


@dataclass(frozen=True, slots=True)
class CopyResult:
    """The rows and the digest of each table that has any, equal on both sides; `went_on_after` are those of before."""

    tables: Mapping[str, tuple[int, str]]
    went_on_after: int

    @property
    def rows(self) -> int:
        """The number of all rows."""
        return sum(rows for rows, _ in self.tables.values())

    @property
    def digest(self) -> str:
        """The SHA-256 of all tables' digests, in hexadecimal."""
        lines = [f"{name} {rows} {digest}\n" for name, (rows, digest) in sorted(self.tables.items())]
        return sha256("".join(lines).encode()).hexdigest()


def opened(place: Path | DatabaseServer) -> "AbstractContextManager[Whole]":
    """Open a migrated database as a whole. Raises FatalError."""
    if isinstance(place, Path):
        return WholeFile.open(place)
    from crypto_checkout.store.postgresql.whole import WholeServer

    return WholeServer.open(place)


def refuse_foreign(place: Path | DatabaseServer) -> None:
    """Refuse a place with something else in it, before any table is made or changed there. Raises FatalError."""
    if isinstance(place, Path):
        is_empty = not place.exists() or not place.stat().st_size
    else:
        from crypto_checkout.store.postgresql import schema
        from crypto_checkout.store.postgresql.whole import unusable

        try:
            is_empty = schema.is_empty(place)
        except DatabaseFailed as error:
            raise unusable(place, error) from error
    if migrate.pending(place) and not is_empty:
        raise FatalError(f"{place} isn't empty, and nothing in it was changed. {_EMPTY}")


def copy(source: Whole, target: Whole, at: datetime, note: Note, say: Callable[[str], None]) -> CopyResult:
    """Copy a database, both of whose sides are migrated and opened; `say` takes sentences about what was found.

    Raises:
        FatalError: The source was moved already, or the target isn't empty and no copy of it, or differs in the end.

    """
    return _Copying(source, target, at, note, say).run()


class _Copying:
    def __init__(self, source: Whole, target: Whole, at: datetime, note: Note, say: Callable[[str], None]) -> None:
        self._source = source
        self._target = target
        self._now = moments.to_text(at)
        self._note = note
        self._say = say
        self._tables = [table for table in tables() if table.name not in _OF_THE_COPY]
        self._done = 0
        self._total = 0

    def run(self) -> CopyResult:
        """Copy, compare and mark both sides."""
        self._source.hold()
        left = mark.read(self._source)
        self._claim(left)
        self._target.prepare_to_load()
        self._total = sum(self._count(table) for table in self._tables)
        went_on_after, digests = self._arrive()
        self._number()
        self._index()
        self._compare(digests)
        self._target.finish_load()
        self._hand_over(left)
        found = {name: (digest.rows, digest.text) for name, digest in digests.items() if digest.rows}
        return CopyResult(found, went_on_after)

    # --- both sides --------------------------------------------------------------------------------------------------

    def _claim(self, left: MoveMark | None) -> None:
        """Make the target a copy of this source, unless it is one already."""
        if left is not None and left.state is MoveState.ARRIVING:
            raise FatalError(f"{self._source} is a copy of {left.place} itself that isn't complete.")
        life = self._life(self._source)
        arriving = mark.read(self._target)
        if arriving is not None:
            if (arriving.state, arriving.life) != (MoveState.ARRIVING, life):
                what = "was moved" if arriving.state is MoveState.MOVED else "is the copy of another database"
                raise FatalError(f"{self._target} {what}. {_EMPTY}")
            if left is not None and left.place != str(self._target):
                # A copy that was cut off: what came since is only at the other place.
                raise FatalError(f"{self._source} was moved to {left.place} already. {_REOPEN}")
            return
        if any(self._target.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchone() for name in _OF_A_USED_ONE):  # noqa: S608 - names of the schema
            if left is not None and life == self._life(self._target):
                raise FatalError(f"{self._source} was moved to {left.place} already: nothing is left to be done.")
            raise FatalError(f"{self._target} isn't empty, and nothing in it was changed. {_EMPTY}")
        if left is not None:
            raise FatalError(f"{self._source} was moved to {left.place} already. {_REOPEN}")
        indexes = self._target.indexes(self._tables)
        self._target.begin()
        self._target.clear(self._tables)
        made = json.dumps(list(indexes.values()))
        mark.write(self._target, MoveMark(MoveState.ARRIVING, str(self._source), life, self._now, made))
        for name in indexes:
            self._target.execute(f"DROP INDEX {name}")
        self._target.commit(durably=True)

    def _life(self, side: Whole) -> str:
        row = side.execute("SELECT id FROM database_life WHERE only_row = 1").fetchone()
        return "" if row is None else str(row[0])

    def _hand_over(self, left: MoveMark | None) -> None:
        """Mark the source as moved, and then let the target be served."""
        if left is None:
            mark.write(self._source, MoveMark(MoveState.MOVED, str(self._target), self._life(self._source), self._now))
        self._source.commit(durably=True)
        self._target.begin()
        self._target.execute("DELETE FROM database_moves")
        self._target.execute("DELETE FROM arrived_tables")
        self._target.commit(durably=True)

    # --- rows --------------------------------------------------------------------------------------------------------

    def _arrive(self) -> tuple[int, Mapping[str, RowDigest]]:
        """Copy what hasn't arrived; return how many rows had, and the digests of the source's tables."""
        found = self._target.execute("SELECT name, last_key, row_count, digest FROM arrived_tables").fetchall()
        arrived = {name: (json.loads(key), RowDigest(rows, int(total, 16))) for name, key, rows, total in found}
        before = sum(digest.rows for _, digest in arrived.values())
        if before:
            self._say(f"{before:,} rows have arrived already: going on after them.")
        digests = {}
        for table in self._tables:
            key, expected = arrived.get(table.name, (None, RowDigest()))
            digest = digests[table.name] = RowDigest()
            if key is not None and not self._has(table, key, expected, digest):
                return self._begin_anew()
            self._copy(table, key, digest)
        return before, digests

    def _begin_anew(self) -> tuple[int, Mapping[str, RowDigest]]:
        self._say("The source has changed since: the copy begins anew.")
        self._done = 0
        self._target.begin()
        self._target.clear(self._tables)
        self._target.execute("DELETE FROM arrived_tables")
        self._target.commit()
        return self._arrive()

    def _has(self, table: CatalogTable, key: Sequence[Any], expected: RowDigest, digest: RowDigest) -> bool:
        """Tell whether the source still has the rows that have arrived; their digest is added."""
        for rows in self._pages(self._source, table, None, most=expected.rows):
            digest.add(rows)
            last = _key(table, rows[-1])
        return digest == expected and (not expected.rows or list(last) == list(key))

    def _copy(self, table: CatalogTable, after: Sequence[Any] | None, digest: RowDigest) -> None:
        for rows in self._pages(self._source, table, after):
            fitting = digest.add(rows)
            self._target.begin()
            self._target.insert(table, fitting)
            values = {
                "name": table.name,
                "key": json.dumps(_key(table, rows[-1])),
                "rows": digest.rows,
                "digest": digest.text,
            }
            self._target.execute(
                """
                INSERT INTO arrived_tables (name, last_key, row_count, digest)
                VALUES (:name, :key, :rows, :digest)
                ON CONFLICT (name) DO UPDATE SET
                    last_key = excluded.last_key, row_count = excluded.row_count, digest = excluded.digest
                """,
                values,
            )
            self._target.commit()

    def _pages(
        self, side: Whole, table: CatalogTable, after: Sequence[Any] | None, *, most: int | None = None
    ) -> Iterator[Sequence[tuple[Any, ...]]]:
        """Yield a table's rows in the order of its key, and note the progress."""
        columns, key = ", ".join(table.columns), ", ".join(table.key)
        places = ", ".join(f":key{place}" for place in range(len(table.key)))
        left = most
        while left is None or left > 0:
            where = "" if after is None else f"WHERE ({key}) > ({places})"
            page = ROWS_A_PAGE if left is None else min(ROWS_A_PAGE, left)
            sql = f"SELECT {columns} FROM {table.name} {where} ORDER BY {key} LIMIT {page}"  # noqa: S608 - names of the schema
            given = {} if after is None else {f"key{place}": value for place, value in enumerate(after)}
            rows = side.execute(sql, given).fetchall()
            if not rows:
                return
            yield rows
            after = _key(table, rows[-1])
            left = None if left is None else left - len(rows)
            self._done += len(rows)
            self._note("Copying rows" if side is self._source else "Comparing rows", self._done, self._total)

    def _count(self, table: CatalogTable) -> int:
        row = self._source.execute(f"SELECT COUNT(*) FROM {table.name}").fetchone()  # noqa: S608 - a name of the schema
        return int(row[0])

    # --- what belongs to the rows ------------------------------------------------------------------------------------

    def _number(self) -> None:
        """Have the numbers of new rows go on where the source's are."""
        numbered = [table for table in self._tables if table.has_seq]
        self._target.begin()
        self._target.set_last_numbers(numbered, self._source.last_numbers(numbered))
        self._target.commit()

    def _index(self) -> None:
        """Make the indexes again."""
        arriving = mark.read(self._target)
        assert arriving is not None, "the target is marked until all is done"
        statements = json.loads(arriving.indexes)
        for number, statement in enumerate(statements, 1):
            self._target.execute(statement.replace("INDEX ", "INDEX IF NOT EXISTS ", 1))
            self._note("Making indexes", number, len(statements))

    def _compare(self, digests: Mapping[str, RowDigest]) -> None:
        """Read what the target holds, and compare. Raises FatalError."""
        self._done = 0
        for table in self._tables:
            stored = RowDigest()
            for rows in self._pages(self._target, table, None):
                stored.add(rows)
            if stored != digests[table.name]:
                raise FatalError(
                    f"{table.name} differs: {digests[table.name].rows:,} rows were copied, with the digest "
                    f"{digests[table.name].text}, and {stored.rows:,} are there, with {stored.text}. The source is as "
                    f"it was, and goes on being used. {_EMPTY}"
                )


def _key(table: CatalogTable, row: tuple[Any, ...]) -> Sequence[Any]:
    return [row[table.columns.index(name)] for name in table.key]


_EMPTY = "Name an empty place: a new database (createdb), or a file that isn't there yet."
_REOPEN = "To use it again all the same, run `crypto-checkout database reopen`."
