"""The daily check of the database: when it runs, what it finds, and who is told at once."""

import asyncio
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crypto_checkout.core.alerts.issues import IssueKind
from crypto_checkout.services.alerts.server_issues import ServerIssues, WatchedMode
from crypto_checkout.services.ledger.health import Readiness
from crypto_checkout.services.upkeep.integrity_watch import IntegrityWatch
from crypto_checkout.store.data_folder import integrity, last_check
from crypto_checkout.store.database import Database
from crypto_checkout.store.migrate import migrate
from tests.support.api import Clock


def sound(folder: Path) -> Path:
    path = folder / "checkout.db"
    migrate(path)
    return path


def break_an_index(path: Path) -> None:
    """Leave a row out of an index: `quick_check` finds nothing."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE INDEX wallets_by_index ON wallets (next_index)")
        row = connection.execute("SELECT * FROM sqlite_schema WHERE name = 'wallets_by_index'").fetchone()
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM sqlite_schema WHERE name = 'wallets_by_index'")
        connection.commit()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO wallets (wallet_id, next_index) VALUES ('w', 1)")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", row)
        connection.commit()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)


def test_damage_that_a_quick_check_misses_is_found(tmp_path: Path) -> None:
    path = sound(tmp_path)
    assert integrity.check_in_slices(path, threading.Event()) is None
    assert integrity.integrity(path) is None
    break_an_index(path)
    for problem in (integrity.check_in_slices(path, threading.Event()), integrity.integrity(path)):
        assert "wallets_by_index" in (problem or "")


@pytest.mark.sqlite
def test_a_check_ends_when_it_is_told_to(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    assert integrity.check_in_slices(sound(tmp_path), stop) is None


@pytest.mark.sqlite
async def test_a_check_runs_once_a_day_at_the_quiet_hour(tmp_path: Path) -> None:
    path, clock = sound(tmp_path), Clock(datetime(2026, 12, 1, 12, tzinfo=UTC))  # three nights in three days
    checked = set()
    async with await Database.open(path, clock) as db:
        watch = IntegrityWatch(db, clock)
        for _ in range(3 * 24 * 2):
            await watch.turn()
            if (last := last_check.read(tmp_path)) is not None:
                checked.add(last)
            clock.move(minutes=30)
    assert {at.hour for at, _ in checked} == {2}
    assert len(checked) == 3


async def test_damage_makes_the_server_not_ready_and_an_issue_and_outlives_a_restart(tmp_path: Path) -> None:
    path, clock = sound(tmp_path), Clock()
    break_an_index(path)
    for life in range(2):
        async with await Database.open(path, clock) as db:
            watch = IntegrityWatch(db, clock)
            told = asyncio.Event()
            db.faults.on_damage(told.set)
            if not life:
                clock.now += timedelta(hours=49)
            await watch.turn()
            assert told.is_set()
            health = Readiness(db, (), clock)
            check, _ = await health.checks()
            assert check.problem == "is damaged; put the last backup back"
            server = ServerIssues(WatchedMode(health), livemode=True, folder=tmp_path, clock=clock)
            found = {issue.cause: issue for issue in await server.now()}
            issue = found["database:damage"]
            assert (issue.kind, issue.livemode) == (IssueKind.DATABASE, None)
            assert "restore" in issue.advice
        last = last_check.read(tmp_path)
        assert last is not None
        assert not last[1]
