"""Results of reads are kept until somebody commits, and no longer."""

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
    """A unit of work that counts, and tells how often it ran."""

    def __init__(self) -> None:
        self.times = 0

    def count(self, unit: ReadUnit) -> int:
        """Return how many customers there are."""
        self.times += 1
        row = unit.one("SELECT COUNT(*) FROM customers")
        assert row is not None
        return int(row[0])


ADD = """
    INSERT INTO customers (id, livemode, email, email_key, created_at, updated_at)
    VALUES ('{0}', 0, '{0}@example.com', '{0}@example.com', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z')
"""


async def add(db: Database, name: str) -> None:
    await db.write(lambda unit: unit.run(ADD.format(name)))


async def test_a_result_is_read_once_between_two_commits(db: Database) -> None:
    kept, reads = Kept[int](db, most=2), Reads()
    assert [await kept.read("a", reads.count) for _ in range(3)] == [0, 0, 0]
    assert reads.times == 1
    await add(db, "one")
    assert [await kept.read("a", reads.count) for _ in range(3)] == [1, 1, 1]
    assert reads.times == 2


async def test_another_process_changes_it_as_well(db: Database) -> None:
    kept, reads = Kept[int](db, most=2), Reads()
    await kept.read("a", reads.count)
    with sqlite3.connect(db.path) as other:
        other.execute(ADD.format("one"))
    other.close()
    assert await kept.read("a", reads.count) == 1


async def test_a_name_has_a_result_of_its_own_and_there_are_so_many_at_most(db: Database) -> None:
    kept, reads = Kept[int](db, most=2), Reads()
    for name in ("a", "b", "c", "a", "b"):
        await kept.read(name, reads.count)
    assert reads.times == 3
    await kept.read("c", reads.count)
    assert reads.times == 4


async def test_only_small_results_are_kept(db: Database) -> None:
    kept, reads = Kept[int](db, most=2, is_small=lambda result: result > 0), Reads()
    for _ in range(2):
        await kept.read("a", reads.count)
    assert reads.times == 2


async def test_what_fails_is_not_kept(db: Database) -> None:
    kept = Kept[int](db, most=2)

    def fail(_: ReadUnit) -> int:
        raise LookupError

    for _ in range(2):
        with pytest.raises(LookupError):
            await kept.read("a", fail)
    assert await kept.read("a", Reads().count) == 0


async def test_what_is_not_committed_is_not_seen(db: Database) -> None:
    kept, reads = Kept[int](db, most=2), Reads()

    def refuse(unit: WriteUnit) -> None:
        unit.run(ADD.format("one"))
        raise LookupError

    await kept.read("a", reads.count)
    with pytest.raises(LookupError):
        await db.write(refuse)
    assert await kept.read("a", reads.count) == 0
