"""Carry over what protects the server from a replaced database: a restore must not undo what was revoked since.

That is API keys (revoked ones and new ones), the secrets and the state of webhook endpoints, the dashboard's password,
second factor and recovery codes. Sessions, links and events stay those of the copy.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

from crypto_checkout.core import moments

_OF_ENDPOINTS = ("secret", "secret_prefix", "old_secrets", "active", "disabled_reason", "deleted_at")


def carry(database: Path, copy: Path, now: datetime) -> bool:
    """Update `copy` from `database`, a later state of the same; return False if that can't be read.

    Either may be of an earlier version: tables and columns that one of them lacks stay as they are.
    """
    try:
        with closing(sqlite3.connect(copy)) as connection:
            connection.execute("ATTACH :path AS before", {"path": str(database)})
            with connection:
                for statement in _statements(connection):
                    connection.execute(statement, {"now": moments.to_text(now)})
    except sqlite3.Error:
        return False
    return True


def _statements(connection: sqlite3.Connection) -> Iterator[str]:
    if columns := _common(connection, "api_keys"):
        changed = _assignments("api_keys", ["last_used_at", "revoked_at"])
        yield f"UPDATE main.api_keys SET {changed} WHERE id IN (SELECT id FROM before.api_keys)"  # noqa: S608 - names of tables and columns
        names = ", ".join(columns)
        yield (
            f"INSERT INTO main.api_keys ({names}) SELECT {names} FROM before.api_keys "  # noqa: S608 - as above
            "WHERE id NOT IN (SELECT id FROM main.api_keys) ORDER BY seq"
        )
    if columns := _common(connection, "webhook_endpoints"):
        if "given_up_to" in columns:
            yield (
                "UPDATE main.webhook_endpoints SET given_up_to = ("
                "SELECT MAX(seq) FROM main.deliveries WHERE endpoint_id = main.webhook_endpoints.id) "
                "WHERE active = 1 AND id NOT IN (SELECT id FROM before.webhook_endpoints WHERE active = 1)"
            )
        changed = _assignments("webhook_endpoints", [each for each in _OF_ENDPOINTS if each in columns])
        yield f"UPDATE main.webhook_endpoints SET {changed} WHERE id IN (SELECT id FROM before.webhook_endpoints)"  # noqa: S608 - as above
        deleted = "active = 0" + (", deleted_at = :now" if "deleted_at" in columns else "")
        yield f"UPDATE main.webhook_endpoints SET {deleted} WHERE id NOT IN (SELECT id FROM before.webhook_endpoints)"  # noqa: S608 - as above
    for table in ("admin", "recovery_codes"):
        if columns := _common(connection, table):
            names = ", ".join(columns)
            yield f"DELETE FROM main.{table}"  # noqa: S608 - as above
            yield f"INSERT INTO main.{table} ({names}) SELECT {names} FROM before.{table}"  # noqa: S608 - as above


def _common(connection: sqlite3.Connection, table: str) -> Sequence[str]:
    """Return the columns that a table has in both databases, without its `seq`; none where one lacks the table."""
    here, before = (
        [row[1] for row in connection.execute(f"PRAGMA {schema}.table_info({table})")] for schema in ("main", "before")
    )
    return [name for name in here if name in before and name != "seq"]


def _assignments(table: str, columns: Sequence[str]) -> str:
    return ", ".join(
        f"{name} = (SELECT {name} FROM before.{table} AS later WHERE later.id = main.{table}.id)"  # noqa: S608 - as above
        for name in columns
    )
