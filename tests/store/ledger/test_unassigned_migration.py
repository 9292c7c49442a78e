"""Expected balances and unmatched payments of an earlier version keep everything, and get their addresses."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from crypto_checkout.store import migrate as migrations

BEFORE = 16


def insert(connection: sqlite3.Connection, table: str, **values: object) -> None:
    """Insert a row, with something in every column that needs a value."""
    for _, name, kind, is_required, default, _ in connection.execute(f"PRAGMA table_info({table})").fetchall():
        if is_required and default is None and name not in values:
            values[name] = "pending" if name == "status" else {"INTEGER": 1, "TEXT": "x"}[kind]
    names = ", ".join(values)
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join(f':{name}' for name in values)})", values)  # noqa: S608 - names of this test


def test_old_rows_keep_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, known = tmp_path / "checkout.db", migrations.migrations()
    with monkeypatch.context() as earlier:
        earlier.setattr(migrations, "migrations", lambda: known[:BEFORE])
        migrations.migrate(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        insert(connection, "chain_cursors", chain_id=1, time="2026-01-31T12:00:00.000Z")
        for number, grace_until in (
            (1, "2026-01-31T13:00:00.000Z"),
            (2, "2026-01-30T00:00:00.000Z"),
            (3, "2026-01-29"),
        ):
            insert(
                connection, "checkout_sessions", id=f"cs_{number}", address=f"0x{number}", derivation_index=number,
                livemode=number % 2, grace_until=grace_until,
            )  # fmt: skip
            insert(connection, "balances", chain_id=1, session_id=f"cs_{number}", block_number=7, units=f"{number}00")
        unmatched = {"chain_id": 1, "kind": "internal", "canonical": 1, "block_hash": "0xb", "units": "5"}
        insert(connection, "unmatched_payments", seq=3, session_id="cs_2", provisional_balance="105", **unmatched)
        insert(
            connection, "unmatched_payments", seq=9, session_id="cs_1", livemode=1, **{**unmatched, "tx_hash": "0xt"}
        )
        connection.execute("UPDATE unmatched_payments SET canonical = 0 WHERE seq = 9")
    migrations.migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT * FROM balances ORDER BY address").fetchall() == [
            (1, "0x1", 7, "100"),
            (1, "0x2", 7, "200"),
        ]
        columns = "seq, address, session_id, livemode, tx_hash, canonical, units, provisional_balance"
        assert connection.execute(f"SELECT {columns} FROM unmatched_payments").fetchall() == [  # noqa: S608 - the columns above
            (3, "0x2", "cs_2", 0, None, 1, "5", "105"),
            (9, "0x1", "cs_1", 1, "0xt", 0, "5", None),
        ]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
