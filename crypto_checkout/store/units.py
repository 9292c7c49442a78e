"""Units of work: the view that a function has of the database while it runs, which `store.database` gives it."""

import re
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple, Protocol, TypeVar

from crypto_checkout.core import ids, moments
from crypto_checkout.entropy import Entropy

T = TypeVar("T")
U = TypeVar("U", bound="ReadUnit")
Value = str | int | bytes | None
Parameters = Mapping[str, Value]
_ENTROPY = Entropy()

_MOST_PLACEHOLDERS = 125  # SQLite looks each name up among all those of a statement: with 500, each costs twice as much
_MOST_ROWS = 64
_VALUES = re.compile(r"VALUES (\([?, ]+\))")
_CHANGED_TABLE = re.compile(r"\b(?:INTO|UPDATE|DELETE\s+FROM)\s+(\w+)")
_TRANSACTION_CONTROL = re.compile(r"\s*(BEGIN|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE)\b", re.IGNORECASE)


class StoredRow(Protocol):
    """A row of an answer, as sqlite3.Row: its values by place and by name."""

    def __getitem__(self, key: Any, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __len__(self) -> int: ...
    def keys(self) -> Any:
        """Return the names of the columns."""


Row = StoredRow


class EngineCursor(Protocol):
    """The answer to a statement, as sqlite3.Cursor."""

    @property
    def rowcount(self) -> int:
        """Number of changed rows."""

    @property
    def lastrowid(self) -> int | None:
        """The `seq` of the inserted row."""

    def fetchone(self) -> Any:
        """Return the next row, or None."""

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class EngineConnection(Protocol):
    """A connection of either engine, with the names of sqlite3.

    Transactions begin and end with the statements that SQLite takes for it.
    """

    @property
    def in_transaction(self) -> bool:
        """True while a transaction is open."""

    def execute(self, sql: str, parameters: Any = (), /) -> EngineCursor:
        """Run a statement, whose parameters are `:name` or `?`."""

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> object:
        """Run a statement once for each set of parameters."""


class _Effects(NamedTuple):
    """The effects of a statement, as far as its words tell."""

    controls_transaction: bool
    changes: frozenset[str]
    """The tables whose rows it changes itself; those of cascades aren't named."""


@lru_cache(maxsize=4096)
def _effects(sql: str) -> _Effects:
    return _Effects(_TRANSACTION_CONTROL.match(sql) is not None, frozenset(_CHANGED_TABLE.findall(sql)))


@dataclass(slots=True)
class _Sum:
    """A statement that adds a number to a row of a table."""

    table: str
    sql: str
    parameters: Parameters
    number: int = 0


@dataclass(slots=True)
class _Rows:
    """Rows that a statement inserts into a table."""

    table: str
    sql: str
    values: list[Parameters | Sequence[Value]] = field(default_factory=list)


def _insert(connection: EngineConnection, sql: str, rows: Sequence[Parameters | Sequence[Value]]) -> None:
    """Insert rows; values by position go several to a statement, a power of two, so that few serve for all."""
    done = 0
    while done < len(rows):
        several = min(_MOST_ROWS, 1 << ((len(rows) - done).bit_length() - 1))
        together = _insert_of(sql, several)
        if together is None:
            connection.executemany(sql, rows)
            return
        connection.execute(together, [*chain.from_iterable(rows[done : done + several])])
        done += several


@lru_cache(maxsize=256)
def _insert_of(sql: str, rows: int) -> str | None:
    """Return the statement that inserts as many rows of values as given; None if this one inserts something else."""
    values = _VALUES.search(sql)
    return f"{sql[: values.end()]}{f', {values[1]}' * (rows - 1)}{sql[values.end() :]}" if values else None


class Lookups:
    """Answers, sums and rows that the units of one transaction share; an answer until one of them changes its table.

    With `holds_rows`, the rows of all units are inserted together: one after another they take three times as long on
    the event loop, since what a unit does in between displaces SQLite's code and pages from the processor's cache.
    """

    def __init__(self, *, holds_rows: bool = False) -> None:
        self.holds_rows = holds_rows
        self._rows: dict[str, _Rows] = {}
        self._answers: defaultdict[str | None, dict[tuple[Value, ...], list[Row]]] = defaultdict(dict)
        self._sums: dict[tuple[Value, ...], _Sum] = {}
        self._is_lacking = False

    def get(self, table: str | None, key: tuple[Value, ...]) -> list[Row] | None:
        """Return an answer that still holds."""
        return self._answers[table].get(key)

    def keep(self, table: str | None, key: tuple[Value, ...], rows: list[Row]) -> None:
        """Keep an answer until the table changes."""
        self._answers[table][key] = rows

    def forget(self, changed: Iterable[str]) -> None:
        """Forget the answers from these tables."""
        for table in changed:
            self._answers.pop(table, None)

    def add(self, key: tuple[Value, ...], new: _Sum) -> None:
        """Add one to a sum."""
        self._sums.setdefault(key, new).number += 1

    def hold(self, sql: str, values: Parameters | Sequence[Value], table: str) -> None:
        """Hold a row that a statement inserts."""
        held = self._rows.get(sql)
        if held is None:
            held = self._rows[sql] = _Rows(table, sql)
        held.values.append(values)

    def settle(self, connection: EngineConnection, sql: str | None = None) -> None:
        """Store the rows and sums; with a statement, those of the tables that it names, before it is run.

        Once that has failed, it always does: a unit may ignore the error, while those of others are lacking.
        """
        if self._is_lacking:
            raise sqlite3.OperationalError("rows or sums of the transaction could not be stored")
        self._is_lacking = True
        self._settle(connection, sql)
        self._is_lacking = False

    def _settle(self, connection: EngineConnection, sql: str | None) -> None:
        if self._rows:
            for held in list(self._rows.values()):
                if (sql is None or held.table in sql) and self._rows.pop(held.sql, None) is not None:
                    self._settle(connection, held.sql)  # the rows that these refer to
                    _insert(connection, held.sql, held.values)
        if self._sums:
            for key, each in list(self._sums.items()):
                if sql is None or each.table in sql:
                    del self._sums[key]
                    connection.execute(each.sql, {**each.parameters, "number": each.number})

    def clear(self) -> None:
        """Forget everything, as when a unit is undone."""
        self._answers.clear()
        self._rows.clear()
        self._sums.clear()
        self._is_lacking = False


def placeholders(values: Iterable[str]) -> tuple[str, dict[str, str]]:
    """Return the names of parameters for `IN (…)`, separated by commas, and the parameters themselves."""
    parameters = {f"v{place}": value for place, value in enumerate(values)}
    return ", ".join(f":{name}" for name in parameters), parameters


def batched(values: Iterable[str]) -> Iterator[Sequence[str]]:
    """Yield the values, sorted, in batches small enough for one `IN (…)`."""
    values = sorted(values)
    for start in range(0, len(values), _MOST_PLACEHOLDERS):
        yield values[start : start + _MOST_PLACEHOLDERS]


class ReadUnit:
    """A unit of work that reads: one snapshot of the database, and one frozen `now`.

    Units that share a transaction share `lookups`.
    """

    def __init__(self, connection: EngineConnection, now: datetime, lookups: Lookups | None = None) -> None:
        self._connection = connection
        self._lookups = lookups
        self.now = now
        self.has_changed = False
        """True once it ran a statement that changes rows, which an engine refuses to a unit that only reads."""

    @property
    def now_text(self) -> str:
        """`now` as tables store it."""
        return moments.to_text(self.now)

    def one(self, sql: str, parameters: Parameters | None = None) -> Row | None:
        """Return the first row, or None."""
        row: Row | None = self._execute(sql, parameters).fetchone()
        return row

    def all(self, sql: str, parameters: Parameters | None = None) -> list[Row]:
        """Return all rows."""
        return self._execute(sql, parameters).fetchall()

    def lookup(self, sql: str, parameters: Parameters | None = None, *, table: str | None) -> list[Row]:
        """Return all rows, as read by another unit of the same transaction if one asked before, and they still hold.

        `table` is the one that the statement reads, which must change rarely, and by no cascade. With None, changes of
        those other units may be missing.
        """
        lookups = self._lookups
        if lookups is None:
            return self.all(sql, parameters)
        key = (sql, *(parameters or {}).values())
        rows = lookups.get(table, key)
        if rows is None:
            assert table is None or table in sql, "the statement reads the table"
            rows = self.all(sql, parameters)
            lookups.keep(table, key, rows)
        return rows

    def _execute(self, sql: str, parameters: Parameters | Sequence[Value] | None) -> EngineCursor:
        self._check(sql)
        return self._connection.execute(sql, parameters or {})

    def _check(self, sql: str) -> None:
        """Refuse a statement outside the unit's transaction, or one that would end it."""
        effects = _effects(sql)
        if effects.controls_transaction:
            raise sqlite3.ProgrammingError(f"a unit of work doesn't control its transaction: {sql.strip()}")
        # On a full disk SQLite rolls back the whole transaction. A unit that caught the error and went on would
        # commit each further statement on its own.
        if not self._connection.in_transaction:
            raise sqlite3.OperationalError("the unit's transaction has ended")
        if self._lookups is not None:
            self._lookups.settle(self._connection, sql)
        if effects.changes:
            self.has_changed = True
            if self._lookups is not None:
                self._lookups.forget(effects.changes)


class WriteUnit(ReadUnit):
    """A unit of work that writes: all or nothing of it is in a transaction that commits after the unit returns."""

    def __init__(self, connection: EngineConnection, now: datetime, lookups: Lookups | None = None) -> None:
        super().__init__(connection, now, lookups)
        self.callbacks: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self.event_id: str | None = None
        """The id of an event that it has recorded. If the answer to COMMIT is lost, its row tells the outcome."""

    def put(self, sql: str, parameters: Parameters | Sequence[Value] | None = None) -> None:
        """Run a statement that changes rows, by name or by position, and look at nothing that it answers.

        On a server it travels with the next one. Its error is raised then, or when the unit ends.
        """
        self._execute(sql, parameters)

    def put_row(self, sql: str, values: Parameters | Sequence[Value], *, table: str) -> None:
        """Run a statement that inserts a row into a table, maybe together with those of the transaction's other units.

        It is run before anything else that names the table, and at the end of the transaction at the latest; so what
        refers to the row by a foreign key has to name its table. An error is raised then: it is still the unit's own,
        as the units of the transaction are then undone, and run again one by one.
        """
        if self._lookups is None or not self._lookups.holds_rows:
            self.put(sql, values)
            return
        self.has_changed = True
        self._lookups.forget([table])
        self._lookups.hold(sql, values, table)

    def put_sum(self, sql: str, key: Parameters, others: Parameters | None = None, *, table: str) -> None:
        """Run a statement that adds `:number` to the table's row with this key, once for all units of the transaction.

        `:number` is how many they are, and `others` are those of the first. It is run before anything else that names
        the table, and at the end of the transaction at the latest.
        """
        parameters = {**key, **(others or {})}
        if self._lookups is None:
            self.put(sql, {**parameters, "number": 1})
            return
        self.has_changed = True
        self._lookups.forget([table])
        self._lookups.add((sql, *key.values()), _Sum(table, sql, parameters))

    def looked_up(self, sql: str, parameters: Parameters, rows: list[Any], *, table: str) -> None:
        """Say what `lookup` would answer now, after a change that this unit has put."""
        if self._lookups is not None:
            self._lookups.keep(table, (sql, *parameters.values()), rows)

    def run(self, sql: str, parameters: Parameters | None = None) -> int:
        """Run a statement that changes rows; return the number of changed rows."""
        return self._execute(sql, parameters).rowcount

    def run_many(self, sql: str, parameters: Iterable[Parameters]) -> None:
        """Run a statement that changes rows once for each set of parameters, faster than one after another."""
        self._check(sql)
        self._connection.executemany(sql, parameters)

    def put_many(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        """Insert rows, or update those with the same key, whose values are by position; no two have the same key.

        It takes half the time of `run_many`.
        """
        self._check(sql)
        _insert(self._connection, sql, rows)

    def insert(self, sql: str, values: Sequence[Value]) -> int:
        """Insert a row, whose values are by position, into a table with a `seq`; return it."""
        seq = self._execute(sql, values).lastrowid
        assert seq is not None, "a row was inserted"
        return seq

    def after_commit(self, callback: Callable[..., None], *arguments: Any) -> None:
        """Register a callback for when the unit is durable; if it fails, the callback is never called.

        It runs on the event loop in the caller's context, before the caller resumes. Its exceptions go to the loop's
        handler. A `store.signals.Signal` is called in the other processes of the database as well.
        """
        self.callbacks.append((callback, arguments))

    def new_id(self, prefix: str) -> str:
        """Return a new public id with the unit's time."""
        return ids.make(prefix, self.now, _ENTROPY.take(ids.ENTROPY_BYTES))


def call(work: Callable[[U], T], unit: U) -> T:
    """Run a unit of work."""
    try:
        return work(unit)
    except StopIteration as error:  # a future can't hold one (PEP 479): the caller would wait for ever
        raise RuntimeError("a unit of work raised StopIteration") from error
