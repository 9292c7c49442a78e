"""Credits are read by address, never by scanning all payments of a chain."""

from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.core.address import Address
from crypto_checkout.store.database import Database, ReadUnit
from crypto_checkout.store.ledger import credits
from crypto_checkout.store.migrate import migrate
from tests.support.shop import now


async def test_they_are_read_by_indexes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, Any]] = []
    run = ReadUnit.all

    def noting(unit: ReadUnit, sql: str, parameters: Any = None) -> Any:
        asked.append((sql, parameters))
        return run(unit, sql, parameters)

    migrate(tmp_path / "checkout.db")
    async with await Database.open(tmp_path / "checkout.db", now) as db:
        with monkeypatch.context() as patch:
            patch.setattr(ReadUnit, "all", noting)
            await db.read(lambda unit: credits.up_to(unit, 1, 5, [Address("0x1"), Address("0x2")]))
        assert len(asked) == 2
        for sql, parameters in asked:
            rows = await db.read(lambda unit, q=sql, p=parameters: unit.all(f"EXPLAIN QUERY PLAN {q}", p))  # type: ignore[misc]
            steps = [row["detail"] for row in rows]
            assert all(("SEARCH" in step and "(address=?" in step) or "(session_id=?" in step for step in steps), steps
