"""Credits are read by session, never by scanning all payments of a chain."""

from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.store.database import Database, ReadUnit
from crypto_checkout.store.ledger import credits
from crypto_checkout.store.migrate import migrate
from tests.support.shop import now


async def test_it_is_read_by_an_index_of_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, Any]] = []
    run = ReadUnit.all

    def noting(unit: ReadUnit, sql: str, parameters: Any = None) -> Any:
        asked.append((sql, parameters))
        return run(unit, sql, parameters)

    migrate(tmp_path / "checkout.db")
    async with await Database.open(tmp_path / "checkout.db", now) as db:
        with monkeypatch.context() as patch:
            patch.setattr(ReadUnit, "all", noting)
            await db.read(lambda unit: credits.up_to(unit, 1, 5, ["cs_1", "cs_2"]))
        assert len(asked) == 2
        for sql, parameters in asked:
            rows = await db.read(lambda unit, q=sql, p=parameters: unit.all(f"EXPLAIN QUERY PLAN {q}", p))  # type: ignore[misc]
            (step,) = [row["detail"] for row in rows]
            assert "_by_session (session_id=?" in step
