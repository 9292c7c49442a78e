"""Sessions of an earlier version get the exact sums of their payments, however large the amounts are."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from crypto_checkout.store import migrate as migrations
from tests.store.ledger.test_unassigned_migration import insert

BEFORE = 19
MOST = 2**256 - 1
ON_TIME, GRACE, LATE = "2026-01-31T12:00:00.000Z", "2026-01-31T12:30:00.000Z", "2026-02-03T00:00:00.000Z"
PAYMENTS: Sequence[tuple[str, str, int, int, str | None]] = [
    ("cs_1", ON_TIME, MOST, 1, None),
    ("cs_1", ON_TIME, MOST, 1, None),
    ("cs_1", ON_TIME, 999_999_999_999, 1, None),
    ("cs_1", ON_TIME, 1, 1, None),
    ("cs_1", ON_TIME, 77, 0, None),
    ("cs_1", ON_TIME, 78, 1, "99"),
    ("cs_1", GRACE, 10**18, 1, None),
    ("cs_1", LATE, 5, 1, None),
    ("cs_2", LATE, 10**30 - 1, 1, None),
    ("cs_2", LATE, 10**30, 1, None),
    ("cs_3", LATE, 12, 1, None),
]
"""The session, block time, amount, whether the block is canonical, and the reading that a payment rests on."""


def test_the_sums_are_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, known = tmp_path / "checkout.db", migrations.migrations()
    with monkeypatch.context() as earlier:
        earlier.setattr(migrations, "migrations", lambda: known[:BEFORE])
        migrations.migrate(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        for number in range(1, 5):
            insert(
                connection, "checkout_sessions", id=f"cs_{number}", address=f"0x{number}", derivation_index=number,
                expires_at="2026-01-31T12:15:00.000Z", grace_until="2026-01-31T13:00:00.000Z",
                accepted_units="12" if number == 3 else None,
            )  # fmt: skip
        for place, (session_id, time, units, canonical, balance) in enumerate(PAYMENTS):
            is_counted = canonical and not balance and (time != LATE or session_id == "cs_3")
            insert(
                connection, "payments", session_id=session_id, tx_hash=f"0x{place}", kind="native", units=str(units),
                block_time=time, canonical=canonical, provisional_balance=balance, counted=int(is_counted),
                counted_day=time[:10] if is_counted else None, counted_units=str(units) if is_counted else None,
                counted_minor="3" if is_counted else None,
            )  # fmt: skip
        insert(connection, "payments", session_id="cs_4", kind="native", units="4", canonical=1, block_time=ON_TIME)
    migrations.migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        columns = "id, on_time_units, grace_units, late_units, payment_count"
        assert connection.execute(f"SELECT {columns} FROM checkout_sessions ORDER BY id").fetchall() == [  # noqa: S608 - the columns above
            ("cs_1", str(2 * MOST + 10**12), str(10**18), "5", 6),
            ("cs_2", "0", "0", str(2 * 10**30 - 1), 2),
            ("cs_3", "0", "12", "0", 1),
            ("cs_4", "0", "0", "0", 0),
        ]
        untallied = connection.execute("SELECT session_id, tally FROM payments WHERE tallied = 0").fetchall()
        assert untallied == [("cs_4", None)], "one from before there were totals is added when it is counted"
        tallies = connection.execute("SELECT tally, COUNT(*) FROM payments GROUP BY tally ORDER BY tally").fetchall()
        assert tallies == [(None, 3), ("grace", 2), ("late", 3), ("on_time", 4)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
