"""What customers have paid, always what a recount of their sessions says; and the search for them."""

import random
import sqlite3
from collections import Counter
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.core.checkout.customer import email_key
from crypto_checkout.core.checkout.session import SETTLED, Status
from crypto_checkout.core.money import DECIMALS
from crypto_checkout.services.checkout.customers import Customers, CustomerWithTotals
from crypto_checkout.store.checkout.customers import CustomerOrder
from crypto_checkout.store.migrations.fill_customers import fill_customers
from crypto_checkout.store.secret_key import open_cipher
from tests.support.api import App, listed, made, open_app

SESSIONS, HELPERS = "/checkout_sessions", "/test_helpers"
SCENARIOS = (
    "exact", "underpaid", "overpaid", "late", "after_grace", "top_up", "reorged", "reorged_after_paid", "wrong_token",
)  # fmt: skip
EMAILS = ("Ada@example.com", "ADA@example.com", "bo@example.com", None)
PRICES = ({"value": "30.00", "currency": "USD"}, {"value": "12.50", "currency": "EUR"})


async def played(app: App, scenario: str, email: str | None, price: dict[str, str]) -> dict[str, Any]:
    body = {"amount": price} | ({} if email is None else {"customerEmail": email})
    session = await made(app.api, SESSIONS, body)
    answer = await app.api.post(f"{HELPERS}{SESSIONS}/{session['id']}/pay", json={"scenario": scenario})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def customers(
    app: App, text: str = "", order: CustomerOrder = CustomerOrder.NEWEST, number: int = 1, limit: int = 100
) -> list[CustomerWithTotals]:
    found, _ = await Customers(app.opened.db, app.opened.events).search(False, text, order, number, limit)
    return found


def worth(session: dict[str, Any], units: int) -> int:
    price = Decimal(session["fiat"]["amount"]).scaleb(DECIMALS[session["fiat"]["currency"]])
    return int(price * units / int(session["amount"]["units"]) + Decimal("0.5"))


async def check(app: App) -> None:
    """Fail where a customer's totals aren't what the API's answers add up to."""
    page = await listed(app.api, SESSIONS, limit=100)
    assert not page["hasMore"]
    money: Counter[tuple[str, str]] = Counter()
    paid: Counter[str] = Counter()
    last: dict[str, str] = {}
    for session in page["data"]:
        if session["customerEmail"] is None:
            continue
        key = email_key(session["customerEmail"])
        for payment in session["payments"]:
            if payment["counted"]:
                money[key, session["fiat"]["currency"]] += worth(session, int(payment["amount"]["units"]))
        if session["status"] in SETTLED:
            paid[key] += 1
            last[key] = max(last.get(key, ""), session["paidAt"])
    for each in await customers(app):
        key = email_key(each.customer["email"])
        assert each.paid == paid[key]
        assert {fiat["currency"]: Decimal(fiat["amount"]) for fiat in each.received} == {
            currency: Decimal(minor).scaleb(-2) for (of, currency), minor in money.items() if of == key and minor
        }
        assert (each.last_paid_at is None) == (key not in last)
        if each.last_paid_at is not None:
            assert each.last_paid_at.isoformat(timespec="milliseconds").replace("+00:00", "Z") == last[key]


@pytest.mark.parametrize("seed", range(3))
async def test_totals_are_those_of_a_recount_whatever_happens_to_the_payments(app: App, seed: int) -> None:
    chosen = random.Random(seed)
    scenarios = [*SCENARIOS, *SCENARIOS]
    chosen.shuffle(scenarios)
    for scenario in scenarios:
        session = await played(app, scenario, chosen.choice(EMAILS), chosen.choice(PRICES))
        if session["status"] in {Status.UNDERPAID, Status.OVERPAID, Status.EXPIRED} and chosen.random() < 0.5:
            await app.api.post(f"{SESSIONS}/{session['id']}/accept")
    await check(app)
    assert any(each.received for each in await customers(app))
    await app.api.post(f"{HELPERS}/chain/reorg", json={"depth": 2})
    await app.api.post(f"{HELPERS}/chain/mine", json={"blocks": 3})
    await check(app)


async def test_an_upgrade_fills_in_what_was_not_stored(tmp_path: Path) -> None:
    tables = {
        "customers": "SELECT id, search_text FROM customers ORDER BY id",
        "payments": "SELECT * FROM customer_payments ORDER BY email_key",
        "money": "SELECT * FROM customer_money WHERE fiat_minor <> '0' ORDER BY email_key, currency",
    }
    async with open_app(tmp_path) as app:
        for scenario in SCENARIOS:
            await played(app, scenario, EMAILS[len(scenario) % 3], PRICES[len(scenario) % 2])
        await made(app.api, "/customers", {"email": "ÉVA@example.com", "name": "Éva Ç", "metadata": {"a": "b\nc"}})
    with closing(sqlite3.connect(tmp_path / "checkout.db", isolation_level=None)) as connection:
        before = {name: connection.execute(sql).fetchall() for name, sql in tables.items()}
        assert all(before.values())
        connection.execute("UPDATE customers SET search_text = ''")
        connection.execute("DELETE FROM customer_payments")
        connection.execute("DELETE FROM customer_money")
        fill_customers(connection, open_cipher(tmp_path))
        assert {name: connection.execute(sql).fetchall() for name, sql in tables.items()} == before


async def test_an_upgrade_adds_sums_beyond_64_bits(tmp_path: Path) -> None:
    async with open_app(tmp_path) as app:
        for _ in range(2):
            await played(app, "exact", "ada@example.com", PRICES[0])
    with closing(sqlite3.connect(tmp_path / "checkout.db", isolation_level=None)) as connection:
        connection.execute("UPDATE payments SET counted_minor = ?", (str(2**80),))
        connection.execute("DELETE FROM customer_payments")
        connection.execute("DELETE FROM customer_money")
        fill_customers(connection, open_cipher(tmp_path))
        assert connection.execute("SELECT fiat_minor FROM customer_money").fetchall() == [(str(2**81),)]


async def test_a_part_of_an_address_a_name_or_a_value_finds_a_customer_in_any_case(app: App) -> None:
    ada = {"email": "Ada.Lovelace@example.com", "name": "Ada Ÿ. King", "metadata": {"order": "Moby 100%_off"}}
    made_first = await made(app.api, "/customers", ada)
    other = await made(app.api, "/customers", {"email": "bo@example.org", "metadata": {"moby": "none"}})

    async def found(text: str) -> set[str]:
        return {each.customer["id"] for each in await customers(app, text)}

    for text in ("lovelace", "ADA.LOVE", "@example.com", "ÿ. kin", " king ", "moby 1", "100%_OFF", "king"):
        assert await found(text) == {made_first["id"]}, text
    assert await found("example") == {made_first["id"], other["id"]}
    assert await found("order") == set()
    assert await found("%") == {made_first["id"]}
    changed = await app.api.patch(f"/customers/{made_first['id']}", json={"name": "Countess", "metadata": None})
    assert changed.status_code == 200
    assert await found("countess") == {made_first["id"]}
    assert await found("moby 1") == set()


async def test_customers_are_listed_by_their_last_payment_page_by_page(app: App) -> None:
    await made(app.api, "/customers", {"email": "never@example.com"})
    for email in ("a@example.com", "b@example.com", "a@example.com"):
        await played(app, "exact", email, PRICES[0])
        await app.api.post(f"{HELPERS}/clock/advance", json={"seconds": 5})
    by_payment = [each.customer["email"] for each in await customers(app, order=CustomerOrder.LAST_PAID)]
    assert by_payment == ["a@example.com", "b@example.com"]
    newest = [each.customer["email"] for each in await customers(app)]
    assert newest == ["b@example.com", "a@example.com", "never@example.com"]
    pages = [await customers(app, number=number, limit=2) for number in (1, 2, 3)]
    assert [[each.customer["email"] for each in page] for page in pages] == [newest[:2], newest[2:], []]
    search = Customers(app.opened.db, app.opened.events).search
    assert (await search(False, "example", CustomerOrder.LAST_PAID, 2, 1))[1] == 2
    assert (await search(True, "", CustomerOrder.NEWEST, 1, 10)) == ([], 0)
