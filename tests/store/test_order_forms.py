"""The session that an order form made, at processes whose clocks differ."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from crypto_checkout.store.checkout import order_forms
from crypto_checkout.store.database import Database
from crypto_checkout.store.migrate import migrate


async def test_a_later_session_takes_the_place_of_an_earlier_one_by_a_clock_ahead(tmp_path: Path) -> None:
    path, times = tmp_path / "checkout.db", [datetime(2026, 5, 1, tzinfo=UTC)]
    migrate(path)
    async with await Database.open(path, lambda: times[-1]) as db:
        await db.write(lambda unit: order_forms.note(unit, "form", "cs_first"))
        times.append(times[0] - timedelta(seconds=8))
        await db.write(lambda unit: order_forms.note(unit, "form", "cs_second"))
        assert await db.read(lambda unit: order_forms.session_of(unit, "form")) == "cs_second"
