"""A database that is restored to an earlier state under a running server, as a PostgreSQL server's can be."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crypto_checkout.services.upkeep.restore_guard import RestoreGuard
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.data_folder import life, restore_guard
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.migrate import migrate
from tests.support import server

EVENT = """
    INSERT INTO events (id, livemode, type, resource_id, body, created_at)
    VALUES (?, 0, 'session.paid', '', '', '2026-01-01T00:00:00.000000Z')
"""
NUMBER_ON = "UPDATE sqlite_sequence SET seq = 2 WHERE name = 'events'"
NUMBER_ON_OF_A_SERVER = "SELECT setval(pg_get_serial_sequence('events', 'seq'), 2)"
ENTRY = """
    INSERT INTO audit (at, actor, action, detail)
    VALUES ('2026-01-01T00:00:00.000000Z', 'owner', :action, '')
"""


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    migrate(tmp_path / "checkout.db")
    async with await Database.open(tmp_path / "checkout.db", lambda: datetime.now(UTC)) as opened:
        await opened.write(lambda unit: life.begin(unit, "life"))
        yield opened


def record(unit: WriteUnit) -> int:
    return unit.insert(EVENT, (unit.new_id("evt_"),))


def logins(unit: ReadUnit) -> int:
    return len(unit.all("SELECT 1 FROM logins"))


def log_in(unit: WriteUnit) -> None:
    unit.run(
        """
        INSERT INTO logins (id, sha256, address, user_agent, created_at, seen_at, confirmed_at)
        VALUES ('login', '', '', '', '', '', '')
        """
    )


async def test_it_is_made_safe_at_once_and_its_numbers_never_come_again(db: Database, tmp_path: Path) -> None:
    guard = RestoreGuard(db, tmp_path, Outbox())
    await guard.apply()
    last = [await db.write(record) for _ in range(5)][-1]
    await db.write(log_in)
    await guard.turn()

    def restore(unit: WriteUnit) -> None:
        unit.run("DELETE FROM events WHERE seq > 2")
        unit.run(NUMBER_ON if server.url_in_place_of is None else NUMBER_ON_OF_A_SERVER)

    await db.write(restore)
    await guard.turn()
    assert await db.read(logins) == 0
    assert await db.write(record) > last

    await db.write(log_in)
    await guard.turn()
    await guard.turn()
    assert await db.read(logins) == 1


async def test_a_trail_whose_newest_entries_were_forgotten_ends_no_login(db: Database, tmp_path: Path) -> None:
    guard = RestoreGuard(db, tmp_path, Outbox())
    for each in ("kept", "forgotten"):
        await db.write(lambda unit, each=each: unit.run(ENTRY, {"action": each}))  # type: ignore[misc]
    await db.write(log_in)
    await guard.turn()
    await db.write(lambda unit: unit.run("DELETE FROM audit WHERE action = 'forgotten'"))
    await guard.turn()
    assert await db.read(logins) == 1
    noted = restore_guard.last_numbers(tmp_path)
    assert noted is not None
    assert noted.audit == 1
