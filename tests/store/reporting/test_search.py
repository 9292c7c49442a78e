"""A session is found by whatever a person has in hand, in its own mode only, and with every filter."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from crypto_checkout.core.checkout.session import Status
from crypto_checkout.services.checkout.session_reader import SessionReader
from crypto_checkout.store.checkout.sessions import SessionFilter
from crypto_checkout.store.paging import Window
from crypto_checkout.store.reporting import search
from tests.support.api import LINK, App, Clock, made, open_app

SESSIONS, HELPERS = "/checkout_sessions", "/test_helpers"


@pytest.fixture(scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[App]:
    async with open_app(tmp_path_factory.mktemp("search"), clock=Clock()) as opened:
        yield opened


async def ask(app: App, **fields: Any) -> dict[str, Any]:
    return await made(app.api, SESSIONS, {"amount": {"value": "30.00", "currency": "USD"}, **fields})


async def pay(app: App, session: dict[str, Any], scenario: str) -> dict[str, Any]:
    answer = await app.api.post(f"{HELPERS}{SESSIONS}/{session['id']}/pay", json={"scenario": scenario})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def sessions(app: App) -> SessionReader:
    return SessionReader(app.opened.db, public_url="http://x")


async def found(app: App, text: str, *, livemode: bool = False, **wanted: Any) -> list[str]:
    """Return the ids that a text finds, and check that they are counted right."""
    page = await sessions(app).listed(livemode, SessionFilter(**wanted), Window(50), text=text)
    assert await sessions(app).count(livemode, SessionFilter(**wanted), text=text) == search.Count(
        len(page.items), True
    )
    return [each["id"] for each in page.items]


async def test_a_session_is_found_by_its_id_and_its_address_in_any_case(app: App) -> None:
    session = await ask(app)
    await ask(app)
    for text in (session["id"], session["id"].lower(), f"  {session['id']} ", session["address"]):
        assert await found(app, text) == [session["id"]], text
    assert await found(app, session["address"].lower()) == [session["id"]]
    assert await found(app, session["id"], livemode=True) == []
    assert await found(app, session["address"], livemode=True) == []
    assert await found(app, session["id"][:-1] + "!") == []


async def test_a_session_is_found_by_each_transaction_that_reached_it(app: App) -> None:
    session = await pay(app, await ask(app), "top_up")
    for payment in session["payments"]:
        assert await found(app, payment["txHash"].upper().replace("0X", "0x")) == [session["id"]]
    other = await pay(app, await ask(app), "wrong_token")
    rows = await app.opened.db.read(lambda unit: unit.all("SELECT session_id, tx_hash FROM unmatched_payments"))
    assert await found(app, rows[0]["tx_hash"]) == [other["id"]]
    assert await found(app, "0x" + "0" * 64) == []


async def test_sessions_are_found_by_email_link_and_metadata(app: App) -> None:
    link = await made(app.api, "/payment_links", LINK)
    first = await ask(app, customerEmail="Ada@Example.com", metadata={"order": "A-17", "plan": "pro"})
    second = await ask(app, customerEmail="ada@example.com", metadata={"order": "A-18", "plan": "pro", "note": "a=b"})
    third = await made(app.api, SESSIONS, {"linkId": link["id"]})
    assert await found(app, "ADA@example.com") == [second["id"], first["id"]]
    assert await found(app, link["id"]) == [third["id"]]
    assert await found(app, "a-17") == [first["id"]]
    assert await found(app, "PRO") == [second["id"], first["id"]]
    assert await found(app, "order=A-18") == [second["id"]]
    assert await found(app, " order = a-18 ") == [second["id"]]
    assert await found(app, "plan=A-18") == []
    assert await found(app, "a=b") == [second["id"]]
    assert await found(app, "note=a=b") == [second["id"]]
    assert await found(app, "nobody@example.com") == []
    assert await found(app, "pro", livemode=True) == []


async def test_a_session_is_found_by_the_number_of_its_receipt(app: App) -> None:
    session = await pay(app, await ask(app), "exact")
    number = session["receiptNumber"]
    assert await found(app, f" {number.lower()} ") == [session["id"]]
    assert await found(app, number, customer_email="nobody@example.com") == []
    for other in (number.removeprefix("T"), "T2026-999999", number + "0"):
        assert await found(app, other) == []
    assert await found(app, number, livemode=True) == []


async def test_an_order_numbered_like_a_receipt_is_found_by_its_number(app: App) -> None:
    number = (await pay(app, await ask(app), "exact"))["receiptNumber"]
    order = await ask(app, metadata={"order": number})
    assert await found(app, number) == [order["id"]]


async def test_an_email_in_the_metadata_is_found_too(app: App) -> None:
    session = await ask(app, metadata={"contact": "Eve@example.com"})
    assert await found(app, "eve@example.com") == [session["id"]]


async def test_a_long_value_is_found_whole(app: App) -> None:
    session = await ask(app, metadata={"text": "Long " * 100})
    assert await found(app, "Long " * 100) == [session["id"]]


@pytest.mark.parametrize("text", ["%", "_", "'", '"', "=", "x=", "cs_", "0x", "\x00", "a" * 5000, "cs_%", "🙂", "@"])
async def test_odd_texts_find_nothing_and_break_nothing(app: App, text: str) -> None:
    assert await found(app, text) == []


async def test_filters_hold_for_what_is_searched(app: App) -> None:
    paid = await pay(app, await ask(app, metadata={"shelf": "7"}), "exact")
    pending = await ask(app, metadata={"shelf": "7"})
    assert await found(app, "shelf=7", status=Status.PAID) == [paid["id"]]
    assert await found(app, "7", status=Status.PENDING) == [pending["id"]]
    assert await found(app, paid["id"], status=Status.PENDING) == []
    assert await found(app, paid["payments"][0]["txHash"], status=Status.EXPIRED) == []


async def test_filters_hold_for_a_frequent_value_too(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_MOST_GATHERED", 1)
    paid = [await pay(app, await ask(app, metadata={"hall": "9", "copy": "9"}), "exact") for _ in range(3)]
    pending = await ask(app, metadata={"hall": "9"})
    ids = [each["id"] for each in reversed(paid)]
    assert await found(app, "9", status=Status.PAID) == ids
    assert await found(app, "hall=9", status=Status.PENDING) == [pending["id"]]
    assert await found(app, "copy=9", status=Status.PENDING) == []
    assert await found(app, "9", status=Status.PAID, livemode=True) == []
    wanted = SessionFilter(status=Status.PAID)
    first = await sessions(app).listed(False, wanted, Window(2), text="9")
    second = await sessions(app).listed(False, wanted, Window(2, after=first.last_seq), text="9")
    back = await sessions(app).listed(False, wanted, Window(2, before=second.first_seq), text="9")
    assert [each["id"] for each in (*first.items, *second.items)] == ids
    assert [each["id"] for each in back.items] == ids[:2]


async def test_what_is_searched_has_pages(app: App) -> None:
    ids = [(await ask(app, metadata={"batch": "x-1"}))["id"] for _ in range(5)][::-1]
    first = await sessions(app).listed(False, SessionFilter(), Window(2), text="x-1")
    second = await sessions(app).listed(False, SessionFilter(), Window(2, after=first.last_seq), text="x-1")
    back = await sessions(app).listed(False, SessionFilter(), Window(2, before=second.first_seq), text="x-1")
    assert [each["id"] for each in (*first.items, *second.items)] == ids[:4]
    assert [each["id"] for each in back.items] == ids[:2]
    assert (first.has_more, back.has_more) == (True, False)


async def test_all_sessions_of_a_mode_are_counted_exactly(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    await ask(app)
    monkeypatch.setattr(search, "MOST_COUNTED", 1)
    await ask(app)
    rows = await app.opened.db.read(lambda unit: unit.all("SELECT id FROM checkout_sessions"))
    assert await sessions(app).count(False, SessionFilter()) == search.Count(len(rows), True)
    assert await sessions(app).count(True, SessionFilter()) == search.Count(0, True)
    assert await sessions(app).count(False, SessionFilter(status=Status.PENDING)) == search.Count(1, False)
