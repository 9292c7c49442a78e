"""Bring a database file to today's tables. Each migration is a numbered file that applies whole or not at all."""

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from crypto_checkout.core.errors import DatabaseTooNew

_NAME = re.compile(r"(\d{4})_\w+\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file of `store/migrations`."""

    number: int
    name: str
    sql: str


def migrations() -> list[Migration]:
    """Return all migrations, in order."""
    found = []
    for file in resources.files(__package__).joinpath("migrations").iterdir():
        if match := _NAME.fullmatch(file.name):
            found.append(Migration(int(match[1]), file.name, file.read_text("utf-8")))
    return sorted(found, key=lambda migration: migration.number)


def migrate(path: Path) -> list[Migration]:
    """Create the file if it is missing, apply what it lacks, and return what was applied.

    A copy of a database that holds data is written beside it first, as `NAME.before-0002`. Running it twice, also
    from two processes, applies nothing twice.

    Raises:
        DatabaseTooNew: A newer version of the program wrote this file.

    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    try:
        path.chmod(0o600)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return _apply_missing(connection, path)
    finally:
        connection.close()


def schema(connection: sqlite3.Connection) -> str:
    """Return today's tables and indexes as SQL; `store/schema.sql` holds this for readers."""
    rows = connection.execute(
        "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY tbl_name, type DESC, name"
    )
    return "".join(f"{sql};\n\n" for (sql,) in rows).rstrip("\n") + "\n"


def _apply_missing(connection: sqlite3.Connection, path: Path) -> list[Migration]:
    known = migrations()
    version = _version(connection)
    if version > known[-1].number:
        raise DatabaseTooNew(
            f"{path} was written by a newer version of crypto-checkout (schema {version}; this one knows "
            f"{known[-1].number}). Install that version again, or restore a copy that was made before the upgrade."
        )
    missing = [migration for migration in known if migration.number > version]
    if version and missing:
        _copy(connection, path.with_name(f"{path.name}.before-{missing[0].number:04}"))
    return [migration for migration in missing if _apply(connection, migration)]


def _apply(connection: sqlite3.Connection, migration: Migration) -> bool:
    """Apply a migration unless another process just did.

    Statement by statement, because `executescript` would commit the transaction that makes it atomic.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _version(connection) >= migration.number:
            return False
        for statement in _statements(migration.sql):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {migration.number}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return True


def _statements(sql: str) -> Iterator[str]:
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        raise ValueError(f"a migration ends within a statement: {statement.strip()[:60]}")


def _copy(connection: sqlite3.Connection, to: Path) -> None:
    """Copy the database whole, through a name of its own so that a torn copy never looks like a good one."""
    part = to.with_name(to.name + ".part")
    part.unlink(missing_ok=True)
    target = sqlite3.connect(part)
    try:
        part.chmod(0o600)
        connection.backup(target)
    finally:
        target.close()
    part.replace(to)


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
