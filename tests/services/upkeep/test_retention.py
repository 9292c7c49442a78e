"""The clean-up: much that expired at once holds up no other write, and leaves no large log behind."""

import asyncio
from datetime import timedelta
from pathlib import Path

from crypto_checkout.core import moments
from crypto_checkout.services.upkeep.retention import Retention
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.migrate import migrate
from tests.support.api import Clock

ROWS = 10_000
SMALL_LOG_BYTES = 16 * 1024 * 1024


def remember_many(unit: WriteUnit) -> None:
    for number in range(ROWS):
        unit.run(
            """
            INSERT INTO idempotency_keys
                (api_key_id, idempotency_key, request_sha256, status_code, body, created_at)
            VALUES ('ak_1', :key, '', 201, :body, :at)
            """,
            {"key": f"order-{number}", "body": "x" * 3_000, "at": moments.to_text(unit.now - timedelta(hours=30))},
        )


def count(unit: WriteUnit) -> int:
    row = unit.one("SELECT COUNT(*) AS number FROM idempotency_keys")
    assert row is not None
    return int(row["number"])


async def test_many_expired_answers_go_in_parts_between_other_writes_and_the_log_shrinks(tmp_path: Path) -> None:
    path, clock = tmp_path / "checkout.db", Clock()
    migrate(path)
    async with await Database.open(path, clock) as db:
        await db.write(remember_many)
        cleaning = asyncio.create_task(Retention(db, event_days=0, attempt_days=0, clock=clock).turn())
        left = {ROWS}
        while not cleaning.done():
            left.add(await db.write(count))
        await cleaning
        assert await db.write(count) == 0
        assert len(left) > 10, "other writes got their turns all along"
        assert path.with_name("checkout.db-wal").stat().st_size <= SMALL_LOG_BYTES
