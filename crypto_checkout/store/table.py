"""Map a frozen dataclass to the columns of its table, and derive the statements that read and write it.

A field `created_at` is the column `created_at`; its type decides how it is stored. Fields of an inner dataclass become
columns too: `fiat: Fiat` is `fiat_amount` and `fiat_currency`. Everything is derived once, at import. The tables
themselves are created by `store/migrations`; a test compares them with every `Table`.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter, itemgetter
from types import NoneType, UnionType
from typing import Any, Generic, NewType, TypeVar, Union, get_args, get_origin, get_type_hints

from crypto_checkout.core import moments
from crypto_checkout.core.money import CoinUnits
from crypto_checkout.store.database import Parameters, ReadUnit, Row, Value, WriteUnit

T = TypeVar("T")
_Read = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Converter:
    """A column type with the functions to and from it; without a function, values are stored as they are."""

    column_type: str
    to_column: Callable[[Any], Value] | None = None
    from_column: Callable[[Any], Any] | None = None
    nullable: bool = False
    """Whether it stores a value other than None as null."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column; its field is at `path` of a record, and `to_column`, if there is one, takes its value except None."""

    name: str
    type: str
    nullable: bool
    path: str
    to_column: Callable[[Any], Value] | None
    is_optional: bool
    """Whether the field belongs to an inner dataclass that may be absent."""


def _json(value: object) -> str:
    return _ENCODER.encode(value)


_ENCODER = json.JSONEncoder(ensure_ascii=False)


@lru_cache(maxsize=256)  # few differ, such as the sources of rates, and the encoder prepares itself for each
def _json_of_texts(texts: tuple[str, ...]) -> str:
    return _json(texts)


INTEGER_AS_TEXT = Converter("TEXT", str, int)
"""A converter for integers that may exceed 64 bits."""

_CONVERTERS: Mapping[object, Converter] = {
    str: Converter("TEXT"),
    int: Converter("INTEGER"),
    bool: Converter("INTEGER", int, bool),
    CoinUnits: INTEGER_AS_TEXT,  # 2^63 wei, the most that an INTEGER holds, is only 9.22 ETH
    Decimal: Converter("TEXT", str, Decimal),
    date: Converter("TEXT", date.isoformat, date.fromisoformat),
    datetime: Converter("TEXT", moments.to_text, moments.from_text),
    tuple[Decimal, ...]: Converter(
        "TEXT", lambda values: _json([str(each) for each in values]), lambda text: tuple(map(Decimal, json.loads(text)))
    ),
    tuple[str, ...]: Converter("TEXT", _json_of_texts, lambda text: tuple(json.loads(text))),
    Mapping[str, str]: Converter("TEXT", lambda entries: _json(dict(entries)), json.loads),
}


class Table(Generic[T]):
    """The columns of a dataclass's fields, in their order. A table may have others, such as `seq`.

    Args:
        name: the table's name.
        record: a dataclass; its fields may be dataclasses.
        flat: paths of inner dataclasses whose columns aren't prefixed with the field's name.
        unstored: paths of fields without a column, the last of their dataclass; they are read as their default.
        names: exceptional column names by the field's path: `{"asset.symbol": "asset"}`.
        converters: converters by path, for fields whose type has none.
        computed: columns that are written but not read, with functions of the record.

    """

    def __init__(
        self,
        name: str,
        record: type[T],
        *,
        flat: Collection[str] = (),
        unstored: Collection[str] = (),
        names: Mapping[str, str] | None = None,
        converters: Mapping[str, Converter] | None = None,
        computed: Mapping[str, Callable[[T], Value]] | None = None,
    ) -> None:
        self.name = name
        self.columns: list[Column] = []
        self._computed = dict(computed or {})
        self._flat, self._unstored, self._names, self._converters = flat, unstored, names or {}, converters or {}
        self._read = self._describe(record, "", "", is_optional=False)
        self._row = _RecordValues(self.columns, self._computed)
        self.listed = ", ".join(column.name for column in self.columns)
        self.select = f"SELECT {self.listed} FROM {name}"  # noqa: S608 - names of this room only
        self.as_text = f"CAST(json_array({self.listed}) AS TEXT)"
        self.insert = self.insert_with()
        places = ", ".join("?" * len(self._row.names))
        self._insert_by_position = f"INSERT INTO {name} ({', '.join(self._row.names)}) VALUES ({places})"  # noqa: S608 - as above

    def insert_with(self, *others: str) -> str:
        """Return the INSERT statement with further columns beside the record's own."""
        names = [*(column.name for column in self.columns), *self._computed, *others]
        return f"INSERT INTO {self.name} ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})"  # noqa: S608 - as above

    def upsert(self, key: Collection[str], changed: Collection[str], *others: str) -> str:
        """Return the INSERT statement that updates the `changed` columns if a row with the same key exists."""
        changes = ", ".join(f"{name} = excluded.{name}" for name in changed)
        return f"{self.insert_with(*others)} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"

    def update(self, *names: str) -> str:
        """Return the statement that updates some columns of the row with the record's `id`."""
        return f"UPDATE {self.name} SET {', '.join(f'{name} = :{name}' for name in names)} WHERE id = :id"  # noqa: S608 - as above

    def update_all_but(self, *kept: str) -> str:
        """Return the statement that updates all columns except `id` and those that never change."""
        names = [*(column.name for column in self.columns), *self._computed]
        return self.update(*(name for name in names if name not in {"id", *kept}))

    def values(self, record: T) -> dict[str, Value]:
        """Return a record's columns as parameters of a statement."""
        return dict(zip(self._row.names, self._row.values(record), strict=True))

    def add(self, unit: WriteUnit, record: T) -> int:
        """Insert a record into a table with a `seq`; return it."""
        return unit.insert(self._insert_by_position, self._row.values(record))

    def put(self, unit: WriteUnit, record: T) -> None:
        """Insert a record, as `WriteUnit.put_row` does."""
        unit.put_row(self._insert_by_position, self._row.values(record), table=self.name)

    def read(self, row: Row | Sequence[Any]) -> T:
        """Return the record in a row that begins with the columns in `listed`, in that order."""
        record: T = self._read(row)
        return record

    def read_text(self, text: str) -> T:
        """Return the record in a row that was selected `as_text`, as one JSON array. No column may hold bytes.

        Python's sqlite3 describes each column of each answer anew. For one row of fifty columns, that takes longer than
        all else.
        """
        record: T = self._read(json.loads(text))
        return record

    def one(self, unit: ReadUnit, clauses: str, parameters: Parameters | None = None) -> T | None:
        """Return the first record selected by clauses such as `WHERE id = :id`, or None."""
        row = unit.one(f"{self.select} {clauses}", parameters)
        return self._read(row) if row else None

    def all(self, unit: ReadUnit, clauses: str = "", parameters: Parameters | None = None) -> list[T]:
        """Return all records selected by clauses."""
        return [self._read(row) for row in unit.all(f"{self.select} {clauses}", parameters)]

    def _describe(self, record: type, path: str, prefix: str, *, is_optional: bool) -> _Read:
        """Add the columns of a dataclass, and return the function that reads it from a row."""
        hints = get_type_hints(record, include_extras=True)
        first = len(self.columns)
        readers = [
            self._field(f"{path}{field.name}", prefix + field.name, hints[field.name], is_optional=is_optional)
            for field in fields(record)
            if f"{path}{field.name}" not in self._unstored
        ]

        def read(row: Any) -> Any:
            return record(*[reader(row) for reader in readers])

        return (lambda row: None if row[first] is None else read(row)) if is_optional else read

    def _field(self, path: str, name: str, hint: Any, *, is_optional: bool) -> _Read:
        name = self._names.get(path, name)
        kind, is_nullable = _without_none(hint)
        if is_dataclass(kind) and isinstance(kind, type) and path not in self._converters:
            prefix = "" if path in self._flat else f"{name}_"
            return self._describe(kind, f"{path}.", prefix, is_optional=is_nullable)
        converter = self._converters.get(path) or _converter(kind)
        place = len(self.columns)
        nullable = is_nullable or is_optional or converter.nullable
        column = Column(name, converter.column_type, nullable, path, converter.to_column, is_optional)
        self.columns.append(column)
        from_column = converter.from_column
        if from_column is None:
            return itemgetter(place)
        if is_nullable:
            return lambda row: None if row[place] is None else from_column(row[place])
        return lambda row: from_column(row[place])


class _RecordValues:
    """Takes the values of a record's columns, and of the computed ones, in the order of `names`.

    The fields that are always there are fetched by one call, and only those with a converter are looked at again.
    """

    def __init__(self, columns: Sequence[Column], computed: Mapping[str, Callable[[Any], Value]]) -> None:
        present = [column for column in columns if not column.is_optional]
        absent = [column for column in columns if column.is_optional]
        self.names = [*(column.name for column in (*present, *absent)), *computed]
        self._get = _getter([column.path for column in present])
        self._takes = [*map(_take_if_present, absent), *computed.values()]
        self._conversions = [
            (place, column.to_column) for place, column in enumerate(present) if column.to_column is not None
        ]

    def values(self, record: Any) -> list[Value]:
        values: list[Any] = [*self._get(record), *[take(record) for take in self._takes]]
        for place, to_column in self._conversions:
            if values[place] is not None:
                values[place] = to_column(values[place])
        return values


def _getter(paths: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Return a function that gets the attributes at some paths, each once for all."""
    if len(paths) > 1:
        return attrgetter(*paths)
    return lambda record: tuple(attrgetter(path)(record) for path in paths)


def _take_if_present(column: Column) -> Callable[[Any], Value]:
    """Return the function that takes a column's value; None for all columns of an absent part."""
    outer, _, name = column.path.rpartition(".")
    get_outer, get, to_column = attrgetter(outer), attrgetter(name), column.to_column

    def take(record: Any) -> Value:
        found = get_outer(record)
        value = None if found is None else get(found)
        return value if value is None or to_column is None else to_column(value)

    return take


def _without_none(hint: Any) -> tuple[Any, bool]:
    """Split `X | None` into `X` and True, any other type into itself and False."""
    if get_origin(hint) in {Union, UnionType} and NoneType in get_args(hint):
        (kind,) = (each for each in get_args(hint) if each is not NoneType)
        return kind, True
    return hint, False


def _converter(kind: Any) -> Converter:
    """Return the converter of a type. Raises TypeError if there is none."""
    if isinstance(kind, NewType):
        kind = kind.__supertype__
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return Converter("TEXT", None, kind)
    try:
        return _CONVERTERS[kind]
    except KeyError:
        raise TypeError(f"no column holds a {kind}: name a converter for the field") from None
