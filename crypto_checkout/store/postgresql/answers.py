"""Answers of a PostgreSQL server, with the names of sqlite3: rows with their values by place and by name."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar, Protocol

from psycopg import adapters as usual_adapters
from psycopg import pq
from psycopg.abc import AdaptContext
from psycopg.adapt import AdaptersMap, Loader, Transformer


class TupleRow(tuple[Any, ...]):
    """A row with its values by place and by name."""

    __slots__ = ()
    places: ClassVar[Mapping[str, int]] = {}

    def __getitem__(self, key: Any) -> Any:
        return tuple.__getitem__(self, self.places[key] if type(key) is str else key)

    def keys(self) -> list[str]:
        """Return the names of the columns."""
        return list(self.places)


@lru_cache(maxsize=4096)
def _row_type(names: tuple[bytes, ...]) -> type[TupleRow]:
    """Return the type of rows with these columns; of two with one name, the first has it."""
    places: dict[str, int] = {}
    for place, name in enumerate(names):
        places.setdefault(name.decode(), place)
    return type("TupleRow", (TupleRow,), {"__slots__": (), "places": places})


class _BooleanLoader(Loader):
    """Reads a comparison as SQLite answers it."""

    def load(self, data: Any) -> int:
        return int(bytes(data) == b"t")


class _NumericLoader(Loader):
    """Reads a sum of integers, which PostgreSQL answers as a numeric."""

    def load(self, data: Any) -> int | float:
        text = bytes(data).decode()
        return float(text) if "." in text else int(text)


def _adapters() -> AdaptContext:
    adapters = AdaptersMap(usual_adapters)
    adapters.register_loader("bool", _BooleanLoader)
    adapters.register_loader("numeric", _NumericLoader)
    return _Adapters(adapters)


class _Adapters:
    connection = None

    def __init__(self, adapters: AdaptersMap) -> None:
        self.adapters = adapters


_ADAPTERS = _adapters()


class Columns:
    """The columns of a statement's answers: how they are read, and the type of their rows."""

    def __init__(self, result: "pq.abc.PGresult") -> None:
        self._transformer = Transformer(_ADAPTERS)
        self._transformer.set_pgresult(result)
        self._row_type = _row_type(tuple(result.fname(place) or b"" for place in range(result.nfields)))

    def rows(self, result: "pq.abc.PGresult", count: int) -> list[TupleRow]:
        """Return the first rows of an answer."""
        self._transformer.set_pgresult(result, set_loaders=False)
        return self._transformer.load_rows(0, count, self._row_type)


class Awaited(Protocol):
    """The connection that an answer comes from."""

    def wait(self) -> None:
        """Wait until every statement is answered. Raises the first error among them."""

    def columns(self, sql: str, result: "pq.abc.PGresult", /) -> Columns:
        """Return the columns of an answer to a statement."""


class PostgresqlAnswer:
    """The answer to a statement, as sqlite3.Cursor; it is waited for when it is first read, within the transaction."""

    def __init__(self, connection: Awaited, sql: str) -> None:
        self.given: pq.abc.PGresult | None = None
        self._connection = connection
        self._sql = sql

    @property
    def rowcount(self) -> int:
        """Number of changed rows."""
        return self._result().command_tuples or 0

    @property
    def lastrowid(self) -> int | None:
        """The `seq` that an INSERT by position returned."""
        value = self._result().get_value(0, 0)
        return None if value is None else int(value)

    def fetchone(self) -> TupleRow | None:
        """Return the first row, or None."""
        rows = self._rows(most=1)
        return rows[0] if rows else None

    def fetchall(self) -> list[TupleRow]:
        """Return all rows."""
        return self._rows()

    def __iter__(self) -> Any:
        return iter(self.fetchall())

    def _result(self) -> "pq.abc.PGresult":
        if self.given is None:
            self._connection.wait()
        assert self.given is not None, "a statement has an answer, or an error was raised"
        return self.given

    def _rows(self, most: int | None = None) -> list[TupleRow]:
        result = self._result()
        count = result.ntuples if most is None else min(most, result.ntuples)
        return self._connection.columns(self._sql, result).rows(result, count) if count else []
