"""Checkout sessions through the API: what is asked for is what is agreed on, and what is shown."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import fields
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic.alias_generators import to_camel

from crypto_checkout.client.arguments import SessionParams
from crypto_checkout.core import ids, moments
from crypto_checkout.core.checkout.session import SessionOptions
from crypto_checkout.core.errors import InvalidBody
from crypto_checkout.core.owner.api_key import Scope
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.http.api import values
from crypto_checkout.http.api.schemas import SessionCreate
from crypto_checkout.store.checkout import sessions
from tests.support.api import LINK, PRICE, App, Clock, error, listed, made, open_app

FIELDS = """
    id object livemode linkId status statusReason address addressIndex addressPath chainId asset assets assetChosen
    amount amountReceived amountRemaining amountRefunded refundable fiat quantity ethPriceUsd rate confirmations
    requiredConfirmations payments txHash paymentUri checkoutUrl successUrl cancelUrl returnUrl customerEmail
    customerName customerNote metadata payerFields customFields payerAnswered expiresAt paidAt receiptNumber receiptUrl
    createdAt updatedAt
"""
SESSIONS = "/checkout_sessions"


async def test_a_new_session_has_every_field_and_nothing_paid(api: httpx.AsyncClient) -> None:
    session = await made(api, SESSIONS, PRICE)
    assert list(session) == FIELDS.split()
    assert ids.is_id(session["id"], ids.SESSION)
    assert session["amount"] == {
        "asset": "ETH", "units": "10000000000000000", "value": "0.01", "wei": "10000000000000000", "eth": "0.01"
    }  # fmt: skip
    assert session["amountReceived"] == {"asset": "ETH", "units": "0", "value": "0", "wei": "0", "eth": "0"}
    assert session["amountRemaining"] == session["amount"]
    assert session["fiat"] == {"amount": "30.00", "currency": "USD"}
    assert session["rate"] == {
        "base": "ETH", "quote": "USD", "value": "3000", "sources": ["fixed"],
        "observedAt": session["rate"]["observedAt"],
    }  # fmt: skip
    assert session["ethPriceUsd"] == "3000"
    assert session["paymentUri"] == f"ethereum:{session['address']}@1337?value=10000000000000000"
    assert session["checkoutUrl"] == f"http://127.0.0.1:4020/checkout/{session['id']}"
    expected = {
        "object": "checkout_session", "livemode": False, "linkId": None, "status": "pending", "statusReason": None,
        "chainId": 1337, "asset": "ETH", "confirmations": 0, "requiredConfirmations": 3, "payments": [],
        "txHash": None, "successUrl": None, "cancelUrl": None, "returnUrl": None, "customerEmail": None,
        "metadata": None, "paidAt": None,
    }  # fmt: skip
    assert {name: session[name] for name in expected} == expected


async def test_a_session_in_a_token_has_neither_wei_nor_a_price_of_eth(api: httpx.AsyncClient) -> None:
    session = await made(api, SESSIONS, {**PRICE, "asset": "USDC"})
    assert session["amount"] == {"asset": "USDC", "units": "30000000", "value": "30", "wei": None, "eth": None}
    assert session["ethPriceUsd"] is None
    assert session["rate"]["base"] == "USDC"


async def test_an_order_and_its_attempt_make_a_key_where_the_orders_number_alone_locks_the_payer_out(
    api: httpx.AsyncClient,
) -> None:
    def key(text: str) -> dict[str, str]:
        return {"Idempotency-Key": text}

    cart = {"amount": {"value": "40.00", "currency": "USD"}}
    first = await made(api, SESSIONS, PRICE, headers=key("order-1042-1"))
    assert await made(api, SESSIONS, PRICE, headers=key("order-1042-1")) == first  # a double click
    assert (await api.post(f"{SESSIONS}/{first['id']}/expire")).json()["status"] == "expired"
    again = await api.post(SESSIONS, json=PRICE, headers=key("order-1042-1"))
    assert (again.json()["id"], again.headers["Idempotent-Replayed"]) == (first["id"], "true")
    second = await made(api, SESSIONS, PRICE, headers=key("order-1042-2"))
    assert (second["id"] != first["id"], second["status"]) == (True, "pending")
    changed = await api.post(SESSIONS, json=cart, headers=key("order-1042-2"))
    assert (changed.status_code, error(changed)["code"]) == (409, "idempotency_key_reused")
    assert (await made(api, SESSIONS, cart, headers=key("order-1042-3")))["amount"] != second["amount"]


async def test_an_own_price_of_a_pegged_token_goes_before_its_peg(tmp_path: Path) -> None:
    async with open_app(tmp_path, prices={"fixed": {"USDC/USD": "0.96", "USD/EUR": "0.5"}}) as app:
        session = await made(app.api, SESSIONS, {**PRICE, "asset": "USDC"})
        assert (session["amount"]["value"], session["rate"]["value"]) == ("31.25", "0.96")
        euros = await made(app.api, SESSIONS, {"amount": {"value": "30.00", "currency": "EUR"}, "asset": "USDC"})
        assert (euros["amount"]["value"], euros["rate"]["value"]) == ("60", "0.5")


def test_each_option_of_a_session_can_be_set_and_is_shown() -> None:
    options = {field.name for field in fields(SessionOptions)}
    assert options <= SessionCreate.model_fields.keys()
    assert options <= SessionParams.__annotations__.keys()
    assert {to_camel(name) for name in options} <= SessionResource.__annotations__.keys()


async def test_what_was_given_comes_back_as_it_was(api: httpx.AsyncClient) -> None:
    given = {
        "chainId": 1337,
        "asset": "ETH",
        "metadata": {"k" * 40: "v" * 500, "größe": "", "order": "one\ntwo"},
        "successUrl": "https://shop.example/thanks?session={CHECKOUT_SESSION_ID}#top",
        "cancelUrl": "http://shop.example:8080/",
        "returnUrl": "https://bücher.example/",
        "customerEmail": "Ada.Lovelace+books@example.co.uk",
    }
    session = await made(api, SESSIONS, {**PRICE, **given})
    assert {name: session[name] for name in given} == given
    assert (await api.get(f"{SESSIONS}/{session['id']}")).json() == session


async def test_fifty_keys_of_metadata_are_taken(api: httpx.AsyncClient) -> None:
    metadata = {f"key {number}": str(number) for number in range(50)}
    assert (await made(api, SESSIONS, {**PRICE, "metadata": metadata}))["metadata"] == metadata
    assert (await made(api, SESSIONS, {**PRICE, "metadata": {}}))["metadata"] == {}
    assert (await made(api, SESSIONS, {**PRICE, "metadata": None}))["metadata"] is None


@pytest.mark.parametrize(
    ("value", "currency", "shown"),
    [("30", "USD", "30.00"), ("30.5", "USD", "30.50"), ("4500", "JPY", "4500"), ("9.210", "KWD", "9.210")],
)
async def test_an_amount_is_shown_with_the_decimals_of_its_currency(
    api: httpx.AsyncClient, value: str, currency: str, shown: str
) -> None:
    session = await made(api, SESSIONS, {"amount": {"value": value, "currency": currency}})
    assert session["fiat"] == {"amount": shown, "currency": currency}


async def test_the_coin_amount_is_never_worth_less_than_the_price(api: httpx.AsyncClient) -> None:
    for cents in (1, 33, 99, 12_345, 10**12):
        value = Decimal(cents) / 100
        session = await made(api, SESSIONS, {"amount": {"value": f"{value:.2f}", "currency": "USD"}})
        worth = Decimal(session["amount"]["value"]) * Decimal(session["rate"]["value"])
        assert value <= worth < value + Decimal("0.00003")
        assert int(session["amount"]["units"]) % 10**10 == 0


async def test_each_session_has_an_address_of_its_own(api: httpx.AsyncClient) -> None:
    addresses = {(await made(api, SESSIONS, PRICE))["address"] for _ in range(70)}
    assert len(addresses) == 70


async def test_the_time_to_pay_is_what_was_asked_for(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock, sessions={"ttl_seconds": 600}) as app:
        for asked, seconds in (({}, 600), ({"expiresInSeconds": 60}, 60), ({"expiresInSeconds": 86_400}, 86_400)):
            session = await made(app.api, SESSIONS, {**PRICE, **asked})
            assert session["createdAt"] == session["updatedAt"] == moments.to_text(clock.now)
            assert session["expiresAt"] == moments.to_text(clock.now + timedelta(seconds=seconds))


# --- from a link -----------------------------------------------------------------------------------------------------


async def test_a_session_takes_from_its_link_what_it_does_not_say_itself(api: httpx.AsyncClient) -> None:
    of_link = {
        "asset": "USDC",
        "chainId": 1337,
        "metadata": {"book": "1"},
        "successUrl": "https://shop.example/thanks",
        "cancelUrl": "https://shop.example/cart",
    }
    link = await made(api, "/payment_links", {**LINK, "fiatCurrency": "EUR", **of_link})
    session = await made(api, SESSIONS, {"linkId": link["id"]})
    assert session["linkId"] == link["id"]
    assert session["fiat"] == {"amount": "30.00", "currency": "EUR"}
    assert {name: session[name] for name in of_link} == of_link
    own = {"asset": "ETH", "metadata": {}, "successUrl": "https://other.example/"}
    session = await made(api, SESSIONS, {"linkId": link["id"], **own})
    assert {name: session[name] for name in own} == own
    assert session["cancelUrl"] == of_link["cancelUrl"]


async def test_the_coin_of_a_link_stays_when_the_chain_is_named(api: httpx.AsyncClient) -> None:
    link = await made(api, "/payment_links", {**LINK, "asset": "USDC"})
    assert (await made(api, SESSIONS, {"linkId": link["id"], "chainId": 1337}))["asset"] == "USDC"


@pytest.mark.parametrize(
    ("amount", "currency", "code"), [("0.01", "IDR", "amount_too_small"), ("1.00", "AFN", "unsupported_asset")]
)
async def test_what_is_wrong_with_the_price_of_a_link_is_told_of_the_link(
    api: httpx.AsyncClient, amount: str, currency: str, code: str
) -> None:
    link = await made(api, "/payment_links", {**LINK, "fiatAmount": amount, "fiatCurrency": currency})
    answer = await api.post(SESSIONS, json={"linkId": link["id"]})
    assert (error(answer)["code"], error(answer)["param"]) == (code, "linkId")


async def test_a_deleted_link_sells_nothing_and_its_sessions_stay(api: httpx.AsyncClient) -> None:
    link = await made(api, "/payment_links", LINK)
    session = await made(api, SESSIONS, {"linkId": link["id"]})
    assert (await api.delete(f"/payment_links/{link['id']}")).status_code == 200
    assert error(await api.post(SESSIONS, json={"linkId": link["id"]}))["code"] == "resource_not_found"
    assert (await api.get(f"{SESSIONS}/{session['id']}")).json() == session
    assert (await listed(api, SESSIONS, linkId=link["id"]))["data"] == [session]


# --- lists -----------------------------------------------------------------------------------------------------------


@pytest.fixture
async def timed(tmp_path: Path) -> AsyncIterator[tuple[App, Clock]]:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        yield app, clock


async def test_sessions_are_found_by_status_link_and_customer(api: httpx.AsyncClient) -> None:
    link = await made(api, "/payment_links", LINK)
    plain = await made(api, SESSIONS, PRICE)
    linked = await made(api, SESSIONS, {"linkId": link["id"], "customerEmail": "Ada@Example.com"})
    both = await made(api, SESSIONS, {"linkId": link["id"], "customerEmail": "bob@example.com"})
    await api.post(f"/test_helpers{SESSIONS}/{both['id']}/pay", json={})

    async def found(**query: Any) -> list[str]:
        return [session["id"] for session in (await listed(api, SESSIONS, **query))["data"]]

    assert await found() == [both["id"], linked["id"], plain["id"]]
    assert await found(linkId=link["id"]) == [both["id"], linked["id"]]
    assert await found(customerEmail="ada@example.COM") == [linked["id"]]
    assert await found(status="pending") == [linked["id"], plain["id"]]
    assert await found(status="detected", linkId=link["id"]) == [both["id"]]
    assert await found(status="paid") == []
    assert await found(linkId="pl_0", status="pending") == []
    assert await found(linkId=link["id"], limit=1) == [both["id"]]
    cursor = (await listed(api, SESSIONS, linkId=link["id"], limit=1))["nextCursor"]
    assert await found(linkId=link["id"], starting_after=cursor) == [linked["id"]]


async def test_sessions_are_found_by_when_they_were_made(timed: tuple[App, Clock]) -> None:
    app, clock = timed
    sessions = []
    for _ in range(3):
        sessions.append(await made(app.api, SESSIONS, PRICE))
        clock.move(seconds=1)
    first, second, third = (session["createdAt"] for session in sessions)

    async def found(**query: Any) -> list[str]:
        return [session["createdAt"] for session in (await listed(app.api, SESSIONS, **query))["data"]]

    assert await found(createdAfter=first) == [third, second]
    assert await found(createdBefore=third) == [second, first]
    assert await found(createdAfter=first, createdBefore=third) == [second]
    assert await found(createdAfter=third) == []
    with_offset = moments.from_text(second).astimezone(moments.from_text("2026-01-01T00:00:00+05:30").tzinfo)
    assert await found(createdAfter=with_offset.isoformat()) == [third]
    assert await found(createdAfter="0001-01-01T00:00Z", createdBefore="9999-12-31T23:59:59.999999Z") == [
        third, second, first
    ]  # fmt: skip


# --- redirect URLs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "live", "test"),
    [
        ("https://shop.example/", True, True),
        ("HTTPS://SHOP.EXAMPLE", True, True),
        ("https://192.0.2.7:8443/", True, True),
        ("https://[2001:db8::7]/", True, True),
        ("https://shop_1.example/{CHECKOUT_SESSION_ID}", True, True),
        ("http://localhost:3000/", True, True),
        ("http://shop.localhost/", True, True),
        ("http://127.0.0.1/", True, True),
        ("http://127.9.9.9/", True, True),
        ("http://[::1]:3000/", True, True),
        ("http://shop.example/", False, True),
        ("http://192.168.0.7/", False, True),
        ("http://localhost.evil.example/", False, True),
        ("http://127.0.0.1.evil.example/", False, True),
        ("http://0.0.0.0/", False, True),
        ("https://{CHECKOUT_SESSION_ID}.example/", False, False),
        ("https://a..b/", False, False),
        ("https://shop.example:0x50/", False, False),
        ("https://user@shop.example/", False, False),
        ("ws://shop.example/", False, False),
    ],
)
def test_payers_are_sent_to_https_or_in_tests_to_http(url: str, live: bool, test: bool) -> None:
    for livemode, is_allowed in ((True, live), (False, test)):
        if is_allowed:
            assert values.redirect_url(url, livemode=livemode, param="successUrl") == url
        else:
            with pytest.raises(InvalidBody) as raised:
                values.redirect_url(url, livemode=livemode, param="successUrl")
            assert raised.value.param == "successUrl"


async def test_an_answer_that_is_kept_is_shown_to_nobody_else_and_no_longer_than_it_is_true(app: App) -> None:
    live = await app.client(livemode=True)
    blind = await app.client(scopes=[Scope.LINKS_READ])
    session = await made(app.api, SESSIONS, {**PRICE, "metadata": {"order": "1"}})
    one = f"{SESSIONS}/{session['id']}"
    for _ in range(2):
        first = await app.api.get(one)
        assert first.json() == session
        assert (await app.api.get(one, headers={"If-None-Match": first.headers["ETag"]})).status_code == 304
        assert [each["id"] for each in (await app.api.get(SESSIONS)).json()["data"]] == [session["id"]]
        assert (await live.get(one)).status_code == 404
        assert (await live.get(SESSIONS)).json()["data"] == []
        assert [(await blind.get(path)).status_code for path in (one, SESSIONS)] == [403, 403]
    with closing(sqlite3.connect(app.opened.db.path, isolation_level=None)) as other:
        other.execute("UPDATE checkout_sessions SET metadata = :metadata", {"metadata": '{"order":"2"}'})
    after = await app.api.get(one, headers={"If-None-Match": first.headers["ETag"]})
    assert (after.status_code, after.json()["metadata"]) == (200, {"order": "2"})
    assert [each["metadata"] for each in (await app.api.get(SESSIONS)).json()["data"]] == [{"order": "2"}]
    status = httpx.URL(session["checkoutUrl"]).path + "/status"
    assert (await app.api.get(f"http://shop.example{status}")).json().get("metadata") is None


async def test_sessions_with_long_metadata_are_not_kept(app: App) -> None:
    long = await made(app.api, SESSIONS, {**PRICE, "metadata": {f"{key}": "x" * 500 for key in range(50)}})
    before = sessions._read_small.cache_info().misses
    for _ in range(2):
        assert (await app.api.get(f"{SESSIONS}/{long['id']}")).json() == long
    assert sessions._read_small.cache_info().misses == before
