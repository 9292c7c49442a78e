"""Money in by day and asset, and how many sessions get paid: always what a recount of the sessions says."""

import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.core.checkout.session import Terms
from crypto_checkout.core.money import DECIMALS, Fiat, format_minor
from crypto_checkout.services.reporting.totals import Totals
from crypto_checkout.store.checkout import totals as store
from tests.support.api import App, Clock, listed, made, open_app
from tests.support.factories import a_session

SESSIONS, HELPERS = "/checkout_sessions", "/test_helpers"
FIRST, LAST = date(2026, 1, 1), date(2099, 12, 31)
START = datetime(2026, 3, 31, 23, 50, tzinfo=UTC)


@pytest.fixture
async def timed(tmp_path: Path) -> AsyncIterator[tuple[App, Clock]]:
    clock = Clock(START)
    async with open_app(tmp_path, clock=clock) as app:
        yield app, clock


def totals(app: App) -> Totals:
    return Totals(app.opened.db, lambda: datetime.now(UTC))


async def everything(app: App) -> list[dict[str, Any]]:
    """Return all sessions by the API."""
    found: list[dict[str, Any]] = []
    after: dict[str, Any] = {}
    while True:
        page = await listed(app.api, SESSIONS, limit=100, **after)
        found += page["data"]
        if not page["hasMore"]:
            return found
        after = {"starting_after": page["nextCursor"]}


def worth(session: dict[str, Any], units: int) -> int:
    """Return a payment's share of the price in cents, rounded half up: 10.00 USD for 3 units of 6 is 500."""
    price = Decimal(session["fiat"]["amount"]).scaleb(DECIMALS[session["fiat"]["currency"]])
    exact = price * units / int(session["amount"]["units"])
    return int(exact + Decimal("0.5"))


async def check(app: App) -> int:
    """Fail where the totals aren't what the API's answers add up to; return how many payments count."""
    sessions = await everything(app)
    money: Counter[tuple[str, str, str, str]] = Counter()
    for session in sessions:
        for payment in session["payments"]:
            if payment["counted"]:
                key = (payment["blockTime"][:10], session["asset"], session["fiat"]["currency"])
                units = int(payment["amount"]["units"])
                money[(*key, "payments")] += 1
                money[(*key, "units")] += units
                money[(*key, "fiat")] += worth(session, units)
    paid = Counter(s["createdAt"][:10] for s in sessions if s["status"] in {"paid", "paid_late", "overpaid"})
    created = Counter(s["createdAt"][:10] for s in sessions)
    found = await totals(app).overview(False, FIRST, LAST)
    told: Counter[tuple[str, str, str, str]] = Counter()
    for part in found.money_in:
        key = (part.day.isoformat(), part.asset, part.currency)
        told.update({(*key, "payments"): part.payments, (*key, "units"): part.units, (*key, "fiat"): part.fiat_minor})
    assert told == money
    assert {day.day.isoformat(): day.created for day in found.made} == created
    assert {day.day.isoformat(): day.paid for day in found.made if day.paid} == paid
    return sum(count for key, count in money.items() if key[-1] == "payments")


async def help_with(app: App, path: str, **body: Any) -> None:
    answer = await app.api.post(f"{HELPERS}{path}", json=body)
    assert answer.status_code in {200, 409}, answer.text


async def test_totals_are_what_a_recount_says_whatever_happens(timed: tuple[App, Clock]) -> None:
    app, _ = timed
    dice = random.Random(11)
    ids: list[str] = []
    most = 0
    for step in range(120):
        match dice.choice(["ask", "ask", "pay", "pay", "pay", "mine", "reorg", "time", "accept", "expire"]):
            case "ask":
                price = {"value": dice.choice(["30.00", "9.99", "0.07"]), "currency": dice.choice(["USD", "EUR"])}
                asset = dice.choice(["ETH", "USDC"])
                ids.append((await made(app.api, SESSIONS, {"amount": price, "asset": asset}))["id"])
            case "pay" if ids:
                amount: dict[str, Any] = dice.choice([{}, {"amount": "0.0011"}, {"amount": "3.1"}, {"transfers": 3}])
                await help_with(app, f"{SESSIONS}/{dice.choice(ids)}/pay", **amount)
            case "mine":
                await help_with(app, "/chain/mine", blocks=dice.choice([1, 3]))
            case "reorg":
                await help_with(app, "/chain/reorg", depth=dice.choice([1, 3, 8]))
            case "time":
                await help_with(app, "/clock/advance", seconds=dice.choice([30, 600, 5000]))
            case "accept" | "expire" as decision if ids:
                await app.api.post(f"{SESSIONS}/{dice.choice(ids)}/{decision}")
        if step % 4 == 3:
            most = max(most, await check(app))
    assert most > 10


async def test_what_the_chain_takes_back_is_taken_out_and_what_is_accepted_comes_in(timed: tuple[App, Clock]) -> None:
    app, _ = timed
    for scenario, counted in (("exact", 1), ("reorged_after_paid", 1), ("after_grace", 1), ("late", 2)):
        session = await made(app.api, SESSIONS, {"amount": {"value": "30.00", "currency": "USD"}})
        await help_with(app, f"{SESSIONS}/{session['id']}/pay", scenario=scenario)
        assert await check(app) == counted, scenario
    late = next(s for s in await everything(app) if s["status"] == "expired")
    assert (await app.api.post(f"{SESSIONS}/{late['id']}/accept")).status_code == 200
    assert await check(app) == 3


async def test_payments_from_before_there_were_totals_are_counted_once(timed: tuple[App, Clock]) -> None:
    app, _ = timed
    for scenario in ("exact", "underpaid", "after_grace", "reorged_after_paid", "top_up"):
        session = await made(app.api, SESSIONS, {"amount": {"value": "30.00", "currency": "USD"}})
        await help_with(app, f"{SESSIONS}/{session['id']}/pay", scenario=scenario)
    before = await totals(app).overview(False, FIRST, LAST)

    def forget(unit: Any) -> None:
        unit.run(
            "UPDATE payments SET counted = NULL, counted_day = NULL, counted_units = NULL, counted_minor = NULL,"
            " tally = NULL, tallied = 0"
        )
        unit.run("UPDATE checkout_sessions SET on_time_units = '0', grace_units = '0', late_units = '0'")
        unit.run("UPDATE checkout_sessions SET payment_count = 0")
        unit.run("DELETE FROM daily_payments")

    await app.opened.db.write(forget)
    await totals(app).catch_up()
    await totals(app).catch_up()
    assert await totals(app).overview(False, FIRST, LAST) == before
    assert await app.opened.db.read(partial(store.untallied, limit=10)) == []


async def test_an_overview_adds_up_its_days(timed: tuple[App, Clock]) -> None:
    app, _ = timed
    for scenario in ("exact", "underpaid", "overpaid"):
        session = await made(app.api, SESSIONS, {"amount": {"value": "30.00", "currency": "USD"}})
        await help_with(app, f"{SESSIONS}/{session['id']}/pay", scenario=scenario)
    found = await totals(app).overview(False, FIRST, LAST)
    assert (found.created, found.paid) == (3, 2)
    assert {each.currency for each in found.money_in} == {"USD"}
    assert sum(each.fiat_minor for each in found.money_in) == 3000 + 1500 + 6000
    nothing = await totals(app).overview(True, FIRST, LAST)
    assert (nothing.created, nothing.money_in) == (0, ())
    assert await app.opened.db.read(lambda unit: store.count_sessions(unit, False)) == 3


@pytest.mark.parametrize(
    ("units", "shown"),
    [(6, "10.00"), (3, "5.00"), (1, "1.67"), (12, "20.00"), (6 * 10**60, f"1{'0' * 61}.00"), (0, "0.00")],
)
def test_a_payment_is_worth_its_share_of_the_price(units: int, shown: str) -> None:
    session = a_session(fiat=Fiat(Decimal("10.00"), "USD"), terms=Terms(6, 6, 6, START, START, 1))
    assert format_minor(session.fiat_minor(units), "USD") == shown


def test_each_currency_is_written_with_its_own_decimals() -> None:
    assert [format_minor(5, code) for code in ("JPY", "USD", "KWD")] == ["5", "0.05", "0.005"]
