"""Results of reads are kept until somebody commits, and no longer."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crypto_checkout.services.kept import Kept
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.migrate import migrate


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    migrate(tmp_path / "checkout.db")
    async with await Database.open(tmp_path / "checkout.db", lambda: datetime.now(UTC)) as opened:
        yield opened


class Reads:
    """A read that counts, and tells how often it ran."""

    def __init__(self, db: Database) -> None:
        self.times = 0
        self._db = db

    async def read(self) -> int:
        """Return how many customers there are."""
        self.times += 1
        row = await self._db.read(lambda unit: unit.one("SELECT COUNT(*) FROM customers"), quick=True)
        assert row is not None
        return int(row[0])


ADD = """
    INSERT INTO customers (id, livemode, email, email_key, created_at, updated_at)
    VALUES ('{0}', 0, '{0}@example.com', '{0}@example.com', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z')
"""


async def add(db: Database, name: str) -> None:
    await db.write(lambda unit: unit.run(ADD.format(name)))


async def test_a_result_is_read_once_between_two_commits(db: Database) -> None:
    kept, reads = Kept[int](db, most_bytes=2, size=lambda _: 1), Reads(db)
    assert [await kept.get("a", reads.read) for _ in range(3)] == [0, 0, 0]
    assert reads.times == 1
    await add(db, "one")
    assert [await kept.get("a", reads.read) for _ in range(3)] == [1, 1, 1]
    assert reads.times == 2


async def test_another_process_changes_it_as_well(db: Database) -> None:
    kept, reads = Kept[int](db, most_bytes=2, size=lambda _: 1), Reads(db)
    await kept.get("a", reads.read)
    with sqlite3.connect(db.path) as other:
        other.execute(ADD.format("one"))
    other.close()
    await asyncio.sleep(0)  # whoever knows of that commit asks in a later turn of the loop
    assert await kept.get("a", reads.read) == 1


async def test_a_name_has_a_result_of_its_own_and_there_are_so_many_at_most(db: Database) -> None:
    kept, reads = Kept[int](db, most_bytes=2, size=lambda _: 1), Reads(db)
    for name in ("a", "b", "c", "a", "b"):
        await kept.get(name, reads.read)
    assert reads.times == 3
    await kept.get("c", reads.read)
    assert reads.times == 4


async def test_only_small_results_are_kept(db: Database) -> None:
    kept, reads = Kept[int](db, most_bytes=2, size=lambda result: 1 if result else 3), Reads(db)
    for _ in range(2):
        await kept.get("a", reads.read)
    assert reads.times == 2


async def test_what_fails_is_not_kept(db: Database) -> None:
    kept = Kept[int](db, most_bytes=2, size=lambda _: 1)

    def fail(_: ReadUnit) -> int:
        raise LookupError

    for _ in range(2):
        with pytest.raises(LookupError):
            await kept.get("a", lambda: db.read(fail, quick=True))
    assert await kept.get("a", Reads(db).read) == 0


async def test_what_is_not_committed_is_not_seen(db: Database) -> None:
    kept, reads = Kept[int](db, most_bytes=2, size=lambda _: 1), Reads(db)

    def refuse(unit: WriteUnit) -> None:
        unit.run(ADD.format("one"))
        raise LookupError

    await kept.get("a", reads.read)
    with pytest.raises(LookupError):
        await db.write(refuse)
    assert await kept.get("a", reads.read) == 0
