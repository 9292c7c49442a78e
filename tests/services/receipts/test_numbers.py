"""Receipts' numbers: no gaps and no two alike, whoever settles sessions at the same time, and whatever fails."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.core.receipts.receipt import Seller
from crypto_checkout.store.checkout import sessions
from crypto_checkout.store.database import WriteUnit
from crypto_checkout.store.receipts import receipts
from tests.support.api import PRICE, App, made, open_app

SESSIONS, HELPERS = "/checkout_sessions", "/test_helpers"


async def underpaid(app: App) -> str:
    session = await made(app.api, SESSIONS, PRICE)
    await app.api.post(f"{HELPERS}{SESSIONS}/{session['id']}/pay", json={"scenario": "underpaid"})
    return str(session["id"])


async def numbers(app: App) -> list[str]:
    rows = await app.opened.db.read(
        lambda unit: unit.all("SELECT receipt_number FROM checkout_sessions WHERE receipt_number IS NOT NULL")
    )
    return sorted(row["receipt_number"] for row in rows)


async def test_sessions_that_are_settled_at_once_get_numbers_in_a_row(app: App) -> None:
    ids = [await underpaid(app) for _ in range(12)]

    async def accept(session_id: str) -> dict[str, Any]:
        # Twice each: a second click changes nothing.
        first, second = await asyncio.gather(
            *(app.api.post(f"{SESSIONS}/{session_id}/accept") for _ in range(2)), return_exceptions=False
        )
        assert sorted([first.status_code, second.status_code]) == [200, 409]
        found: dict[str, Any] = (first if first.status_code == 200 else second).json()
        return found

    accepted = await asyncio.gather(*(accept(each) for each in ids))
    names = sorted(each["receiptNumber"] for each in accepted)
    year = accepted[0]["paidAt"][:4]
    assert names == [f"T{year}-{number:06d}" for number in range(1, 13)] == await numbers(app)


async def test_a_write_that_fails_uses_up_no_number(app: App) -> None:
    session_id = await underpaid(app)

    def fail(unit: WriteUnit) -> None:
        session = sessions.get(unit, session_id)
        assert session is not None
        assert receipts.issue(unit, session, None, Seller()).number == 1
        raise RuntimeError("after the number was given")

    with pytest.raises(RuntimeError):
        await app.opened.db.write(fail)
    accepted = (await app.api.post(f"{SESSIONS}/{session_id}/accept")).json()
    assert accepted["receiptNumber"].endswith("-000001")


async def test_each_year_begins_with_one_and_a_number_says_its_year(tmp_path: Path) -> None:
    now = datetime(2026, 12, 31, 23, 50, tzinfo=UTC)
    async with open_app(tmp_path, clock=lambda: now) as app:
        ids = [await underpaid(app) for _ in range(3)]
        await app.api.post(f"{SESSIONS}/{ids[0]}/accept")
        now = datetime(2027, 1, 1, 0, 0, tzinfo=UTC)
        await app.api.post(f"{SESSIONS}/{ids[1]}/accept")
        # A clock that jumps back goes on where it was.
        now = datetime(2026, 12, 31, 23, 55, tzinfo=UTC)
        await app.api.post(f"{SESSIONS}/{ids[2]}/accept")
        assert await numbers(app) == ["T2026-000001", "T2026-000002", "T2027-000001"]


async def test_the_seller_and_the_item_stay_as_they_were(tmp_path: Path) -> None:
    async with open_app(tmp_path, branding={"name": "Old name"}) as app:
        link = await made(app.api, "/payment_links", {"title": "Tea", "fiatAmount": "30.00"})
        session = await made(app.api, SESSIONS, {"linkId": link["id"]})
        await app.api.post(f"{HELPERS}{SESSIONS}/{session['id']}/pay", json={"scenario": "exact"})
        await app.api.patch(f"/payment_links/{link['id']}", json={"title": "Coffee"})
    async with open_app(tmp_path, branding={"name": "New name"}) as app:
        receipt = await app.opened.db.read(lambda unit: receipts.of_session(unit, session["id"]))
    assert receipt is not None
    assert (receipt.seller.name, receipt.title) == ("Old name", "Tea")
