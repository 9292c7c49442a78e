"""The tables that the migrations make: their columns and keys, for what goes through all of them."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from crypto_checkout.store.migrations import migrations


@dataclass(frozen=True, slots=True)
class CatalogTable:
    """A table: its columns in their order, and those of its primary key.

    `has_seq` marks one whose rows are numbered by the engine. Of these, `never_repeats` marks one whose numbers go on
    after its last rows were deleted.
    """

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    has_seq: bool
    never_repeats: bool


def tables() -> Sequence[CatalogTable]:
    """Return all tables, each after those that it refers to."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as file:
        for migration in migrations():
            file.executescript(migration.sql)
        found = file.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        ).fetchall()
        made = {name: _table(file, name, sql) for name, sql in found}
        parents = {name: {row[2] for row in file.execute(f"PRAGMA foreign_key_list({name})")} - {name} for name in made}
    ordered: list[CatalogTable] = []
    while len(ordered) < len(made):
        done = {table.name for table in ordered}
        ordered += [table for name, table in made.items() if name not in done and parents[name] <= done]
    return ordered


def _table(file: sqlite3.Connection, name: str, sql: str) -> CatalogTable:
    rows = file.execute(f"PRAGMA table_info({name})").fetchall()
    key = [row[1] for row in sorted(rows, key=lambda row: row[5]) if row[5]]
    return CatalogTable(name, tuple(row[1] for row in rows), tuple(key), key == ["seq"], "AUTOINCREMENT" in sql)
