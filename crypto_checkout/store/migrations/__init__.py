"""The migrations: numbered files of SQL, and what SQL can't do."""

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources

from crypto_checkout.encryption import Cipher
from crypto_checkout.store.migrations.encrypt_secrets import encrypt_secrets
from crypto_checkout.store.migrations.fill_customers import fill_customers
from crypto_checkout.store.units import EngineConnection

_NAME = re.compile(r"(\d{4})_\w+\.sql")

STEPS: Mapping[int, Callable[[EngineConnection, Cipher], None]] = {
    23: encrypt_secrets,
    36: fill_customers,
}
"""The parts of migrations that SQL can't do, by their numbers; each runs in the transaction of its migration."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file of `store/migrations`."""

    number: int
    name: str
    sql: str


def migrations() -> list[Migration]:
    """Return all migrations in order."""
    files = resources.files(__package__).iterdir()
    found = [
        Migration(int(name[1]), file.name, file.read_text("utf-8"))
        for file in files
        if (name := _NAME.fullmatch(file.name))
    ]
    return sorted(found, key=lambda migration: migration.number)


def statements(sql: str) -> Iterator[str]:
    """Yield the statements of a file. Raises ValueError if it ends within one."""
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        raise ValueError(f"a migration ends within a statement: {statement.strip()[:60]}")
