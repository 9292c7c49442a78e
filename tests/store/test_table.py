"""The tables as the code knows them are the tables that the migrations make, and records come back as they were."""

import importlib
import pkgutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest

import crypto_checkout.store
from crypto_checkout.core.address import Address
from crypto_checkout.core.money import CoinUnits
from crypto_checkout.store.database import ReadUnit
from crypto_checkout.store.migrate import migrate
from crypto_checkout.store.table import Table

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def tables() -> list[Table[Any]]:
    """Return every table that a module of the room describes."""
    folders, prefix = crypto_checkout.store.__path__, f"{crypto_checkout.store.__name__}."
    modules = [importlib.import_module(info.name) for info in pkgutil.walk_packages(folders, prefix)]
    return [each for module in modules for each in vars(module).values() if isinstance(each, Table)]


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path = tmp_path_factory.mktemp("migrated") / "checkout.db"
    migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        yield connection


@pytest.mark.parametrize("table", tables(), ids=lambda table: table.name)
def test_a_table_has_the_columns_of_its_records(migrated: sqlite3.Connection, table: Table[Any]) -> None:
    columns = migrated.execute(f"PRAGMA table_info({table.name})")
    made = {name: (kind, not (is_required or is_key)) for _, name, kind, is_required, _, is_key in columns}
    assert {column.name: (column.type, column.nullable) for column in table.columns}.items() <= made.items()


class Kind(StrEnum):
    """A kind of record."""

    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Inner:
    """A part of a record."""

    at: datetime
    text: str | None


@dataclass(frozen=True, slots=True)
class Record:
    """One field of each kind."""

    id: str
    live: bool
    kind: Kind
    address: Address
    number: int
    units: CoinUnits
    received: CoinUnits | None
    price: Decimal
    day: date
    at: datetime
    names: tuple[str, ...]
    metadata: Mapping[str, str] | None
    inner: Inner
    maybe: Inner | None
    flat: Inner
    left_out: bool = False


RECORDS = Table(
    "records",
    Record,
    flat=["flat"],
    names={"flat.at": "since"},
    unstored=["left_out"],
    computed={"twice": lambda record: 2 * record.number},
)
FULL = Record(
    "r_1", True, Kind.PLAIN, Address("0x1"), 2**62 - 1, 2**200, 2**64, Decimal("10.00"), NOW.date(), NOW, ("a", "ü"),
    {"ß": "1"}, Inner(NOW, 'inner \0 "\\ \u2028 😀'), Inner(NOW, None), Inner(NOW, "flat"),
)  # fmt: skip
SPARSE = Record(
    "r_2", False, Kind.PLAIN, Address("0x2"), 0, 0, None, Decimal(1), NOW.date(), NOW, (), None,
    Inner(NOW, None), None, Inner(NOW, None),
)  # fmt: skip


@pytest.fixture
def connection() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.row_factory = sqlite3.Row
    columns = ", ".join(f"{each.name} {each.type}{'' if each.nullable else ' NOT NULL'}" for each in RECORDS.columns)
    connection.execute(f"CREATE TABLE records ({columns}, twice INTEGER NOT NULL, note TEXT, PRIMARY KEY (id)) STRICT")
    connection.execute("BEGIN")
    return connection


def test_fields_become_columns() -> None:
    assert RECORDS.listed == (
        "id, live, kind, address, number, units, received, price, day, at, names, metadata, inner_at, inner_text, "
        "maybe_at, maybe_text, since, text"
    )


@pytest.mark.parametrize("record", [FULL, SPARSE])
def test_a_record_comes_back_as_it_was(connection: sqlite3.Connection, record: Record) -> None:
    connection.execute(RECORDS.insert_with("note"), {**RECORDS.values(record), "note": "beside it"})
    unit = ReadUnit(connection, NOW)
    assert RECORDS.one(unit, "WHERE id = :id", {"id": record.id}) == record
    assert RECORDS.all(unit, "WHERE note = 'beside it' AND twice = 2 * number") == [record]
    (row,) = unit.all(f"SELECT {RECORDS.as_text} FROM records")  # noqa: S608 - names of this test
    assert RECORDS.read_text(row[0]) == record


def test_some_columns_are_updated(connection: sqlite3.Connection) -> None:
    connection.execute(RECORDS.insert, RECORDS.values(FULL))
    connection.execute(RECORDS.update("number"), {**RECORDS.values(SPARSE), "id": "r_1"})
    unit = ReadUnit(connection, NOW)
    (updated,) = RECORDS.all(unit)
    assert updated.number == SPARSE.number
    assert updated.units == FULL.units
    connection.execute(RECORDS.update_all_but("number"), {**RECORDS.values(SPARSE), "id": "r_1"})
    (updated,) = RECORDS.all(unit)
    assert updated.units == SPARSE.units
    assert updated.id == "r_1"


def test_a_record_with_the_same_key_is_changed(connection: sqlite3.Connection) -> None:
    upsert = RECORDS.upsert(["id"], ["units"])
    connection.execute(upsert, RECORDS.values(FULL))
    connection.execute(upsert, {**RECORDS.values(SPARSE), "id": "r_1"})
    (updated,) = RECORDS.all(ReadUnit(connection, NOW))
    assert updated.units == SPARSE.units
    assert updated.number == FULL.number


def test_a_field_that_no_column_holds_is_refused() -> None:
    @dataclass(frozen=True, slots=True)
    class Odd:
        """A record with a field of a type that isn't known."""

        numbers: frozenset[int]

    with pytest.raises(TypeError, match="name a converter"):
        Table("odd", Odd)
