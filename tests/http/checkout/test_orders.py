"""Links whose payer decides something: a form without JavaScript, one session for each order, and an exact stock."""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto_checkout.http.checkout.orders.presses import MOST_UNPAID
from tests.support.api import LINK, App, Clock, error, listed, made, open_app

SESSIONS, LINKS = "/checkout_sessions", "/payment_links"
FREE = {"title": "A gift", "fiatAmount": None, "fiatCurrency": "EUR"}
BOUNDED = {**FREE, "minFiatAmount": "5.00", "maxFiatAmount": "500.00", "suggestedAmounts": ["10.00", "25.00"]}
TICKETS = {"title": "A ticket", "fiatAmount": "15.00", "quantity": {"max": 4, "stock": 6}}
TTL = 900


def page_of(link: Mapping[str, Any], query: str = "") -> str:
    return f"http://shop.example/l/{link['slug']}{query}"


async def order(browser: httpx.AsyncClient, link: Mapping[str, Any], **fields: str) -> httpx.Response:
    """Send a form as a browser does, without a script."""
    return await browser.post(page_of(link), data=fields)


def words(html: str) -> str:
    return re.sub("<.*?>", "", html)


def told(answer: httpx.Response, field: str) -> str:
    """Return what a page says at a field."""
    return words(answer.text.partition(f'id="{field}-wrong"')[2].partition("</p>")[0])


async def ordered(app: App, browser: httpx.AsyncClient, link: Mapping[str, Any], **fields: str) -> dict[str, Any]:
    """Return the session that a form led to."""
    answer = await order(browser, link, **fields)
    assert answer.status_code == 303, answer.text
    assert answer.headers["cache-control"] == "no-store"
    session: dict[str, Any] = (await app.api.get(f"{SESSIONS}/{answer.headers['location'].split('/')[-1]}")).json()
    return session


async def count(app: App) -> int:
    return len((await listed(app.api, SESSIONS, limit=100))["data"])


async def stock_of(app: App, link: Mapping[str, Any]) -> dict[str, Any]:
    quantity: dict[str, Any] = (await app.api.get(f"{LINKS}/{link['id']}")).json()["quantity"]
    return quantity


async def paid(app: App, session_id: str) -> None:
    assert (await app.api.post(f"/test_helpers{SESSIONS}/{session_id}/pay")).is_success
    await app.api.post("/test_helpers/chain/mine", json={"blocks": 3})


@pytest.mark.parametrize("body", [FREE, BOUNDED, TICKETS])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_opening_the_page_makes_nothing(app: App, body: dict[str, Any], method: str) -> None:
    link = await made(app.api, LINKS, body)
    answer = await (await app.anybody()).request(method, page_of(link))
    assert answer.status_code == 200
    assert answer.headers["referrer-policy"] == "same-origin"
    assert await count(app) == 0


async def test_a_form_makes_a_session_of_the_amount_that_was_typed(app: App) -> None:
    link = await made(app.api, LINKS, BOUNDED)
    browser = await app.anybody()
    page = (await browser.get(page_of(link))).text
    assert 'name="suggested" value="25.00"' in page
    for said in ("Another amount in EUR", "From 5.00 EUR to 500.00 EUR", "10.00 EUR"):
        assert said in words(page)
    session = await ordered(app, browser, link, amount="33,5")
    assert (session["fiat"], session["linkId"]) == ({"amount": "33.50", "currency": "EUR"}, link["id"])
    assert session["quantity"] is None
    assert (await ordered(app, browser, link, suggested="25.00"))["fiat"]["amount"] == "25.00"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "such as 25.50"), ("1e9", "such as 25.50"), ("-1", "such as 25.50"), ("NaN", "such as 25.50"),
        ("9" * 41, "such as 25.50"), ("4,99", "At least"), ("500,01", "At most"), ("1.234", "can be read in two ways"),
        ("0.999", "many decimal places"), ('"><script>alert(1)</script>', "such as 25.50"),
    ],
)  # fmt: skip
async def test_a_wrong_amount_is_told_at_its_field(app: App, typed: str, said: str) -> None:
    link = await made(app.api, LINKS, BOUNDED)
    answer = await order(await app.anybody(), link, amount=typed)
    assert answer.status_code == 400
    assert said in told(answer, "amount")
    field = re.search(r'<input id="amount"[^>]*>', answer.text)
    assert field is not None
    assert 'aria-invalid="true"' in field[0]
    assert "amount-wrong" in field[0]
    assert "<script>alert" not in answer.text
    assert await count(app) == 0


async def test_the_only_bound_is_said_once_where_the_amount_is_below_it(app: App) -> None:
    link = await made(app.api, LINKS, {**FREE, "minFiatAmount": "5.00"})
    browser = await app.anybody()
    assert words((await browser.get(page_of(link))).text).count("At least 5.00 ") == 1
    page = (await order(browser, link, amount="4.99")).text
    assert words(page).count("At least 5.00 ") == 1
    assert 'aria-describedby="amount-wrong "' in page


async def test_an_amount_is_read_as_the_payers_region_writes_it(app: App) -> None:
    link = await made(app.api, LINKS, FREE)
    browser = await app.anybody()
    german = {"Accept-Language": "de-DE"}
    answer = await browser.post(page_of(link), data={"amount": "1.234"}, headers=german)
    session = (await app.api.get(f"{SESSIONS}/{answer.headers['location'].split('/')[-1]}")).json()
    assert session["fiat"]["amount"] == "1234.00"
    page = (await browser.get(page_of(link, "?amount=33.5"), headers=german)).text
    assert 'value="33,50"' in page


@pytest.mark.parametrize(
    ("currency", "typed", "amount"), [("JPY", "1500", "1500"), ("KWD", "1.234", "1.234"), ("USD", "12", "12.00")]
)
async def test_each_currency_has_its_own_decimals(app: App, currency: str, typed: str, amount: str) -> None:
    link = await made(app.api, LINKS, {**FREE, "fiatCurrency": currency})
    session = await ordered(app, await app.anybody(), link, amount=typed)
    assert session["fiat"] == {"amount": amount, "currency": currency}


async def test_the_address_fills_in_the_form_and_a_wrong_value_is_told(app: App) -> None:
    free, tickets = await made(app.api, LINKS, BOUNDED), await made(app.api, LINKS, TICKETS)
    browser = await app.anybody()
    assert 'value="40.00"' in (await browser.get(page_of(free, "?amount=40"))).text
    for wrong, said in (("4", "At least"), ("x", "such as 25.50"), ("1,234", "such as 25.50")):
        answer = await browser.get(page_of(free, f"?amount={wrong}"))
        assert answer.status_code == 200
        assert said in told(answer, "amount")
    german = (await (await app.anybody()).get(page_of(free, "?amount=33.5&lang=de"))).text
    assert 'value="33,50"' in german
    assert f"/l/{free['slug']}?lang=fr&amp;amount=33.5" in german  # another language reads the same address
    page = (await browser.get(page_of(tickets, "?quantity=3"))).text
    assert 'value="3"' in page
    assert "45.00 USD" in page  # the total, without a script
    wrong_number = await browser.get(page_of(tickets, "?quantity=0"))
    assert wrong_number.status_code == 200
    assert "from 1 to 4" in told(wrong_number, "quantity")
    assert await count(app) == 0


async def test_a_page_does_not_grow_with_its_address(app: App) -> None:
    link = await made(app.api, LINKS, FREE)
    browser = await app.anybody()
    short, long = [len((await browser.get(page_of(link, f"?amount={'%22' * n}"))).text) for n in (40, 20_000)]
    assert long == short


async def test_pieces_are_priced_together_and_named_on_the_payment_page(app: App) -> None:
    link = await made(app.api, LINKS, TICKETS)
    browser = await app.anybody()
    session = await ordered(app, browser, link, quantity="3")
    assert (session["quantity"], session["fiat"]["amount"]) == (3, "45.00")
    assert "3 × A ticket" in (await browser.get(f"http://shop.example/checkout/{session['id']}")).text
    for wrong in ("0", "5", "1.5", "x", "", "-1", "1e1"):
        assert (await order(browser, link, quantity=wrong)).status_code == 400
    assert await count(app) == 1


async def test_a_form_sent_twice_makes_one_session(app: App) -> None:
    link = await made(app.api, LINKS, TICKETS)
    page = (await (await app.anybody()).get(page_of(link))).text
    token = re.findall(r'name="form" value="([0-9a-f]{32})"', page)[0]
    # Without cookies, as the second click is sent before the first answer came.
    browsers = [await app.anybody() for _ in range(5)]
    answers = await asyncio.gather(*(order(each, link, form=token, quantity="2") for each in browsers))
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert (await stock_of(app, link))["reserved"] == 2
    other = await order(await app.anybody(), link, form=token, quantity="1")  # another order, after the back button
    assert other.headers["location"] != answers[0].headers["location"]


async def test_who_comes_back_finds_the_open_payment_and_orders_nothing_twice(app: App) -> None:
    link = await made(app.api, LINKS, BOUNDED)
    browser = await app.anybody()
    first = await ordered(app, browser, link, amount="20")
    page = (await browser.get(page_of(link))).text
    assert "You have an open payment of" in page
    assert f'href="/checkout/{first["id"]}"' in page
    assert 'value="20.00"' in page
    assert (await ordered(app, browser, link, amount="20.00"))["id"] == first["id"]
    assert (await ordered(app, browser, link, amount="21"))["id"] != first["id"]
    assert "open payment" not in (await (await app.anybody()).get(page_of(link))).text


async def test_other_sites_and_gone_links_make_nothing(app: App) -> None:
    link = await made(app.api, LINKS, TICKETS)
    browser = await app.anybody()
    foreign = await browser.post(page_of(link), data={"quantity": "1"}, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
    await app.api.patch(f"{LINKS}/{link['id']}", json={"active": False})
    assert (await browser.get(page_of(link))).status_code == 400
    assert (await order(browser, link, quantity="1")).status_code == 400
    await app.api.delete(f"{LINKS}/{link['id']}")
    assert (await order(browser, link, quantity="1")).status_code == 404
    assert await count(app) == 0


async def test_the_last_piece_is_sold_once(app: App) -> None:
    link = await made(app.api, LINKS, {**TICKETS, "quantity": {"max": 1, "stock": 1}})
    browsers = [await app.anybody(address=f"10.0.0.{number}") for number in range(8)]
    answers = await asyncio.gather(
        *(order(each, link) for each in browsers),
        *(app.api.post(SESSIONS, json={"linkId": link["id"]}) for _ in range(4)),
    )
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses.count(303) + statuses.count(201) == 1
    assert statuses.count(409) == 11
    assert await stock_of(app, link) == {"min": 1, "max": 1, "stock": 1, "sold": 0, "reserved": 1, "available": 0}
    loser = next(each for each, answer in zip(browsers, answers, strict=False) if answer.status_code == 409)
    assert "Sold out" in (await loser.get(page_of(link))).text


async def test_fewer_pieces_than_ordered_are_told_and_can_be_ordered(app: App) -> None:
    link = await made(app.api, LINKS, TICKETS)
    browser, other = await app.anybody(), await app.anybody()
    await ordered(app, browser, link, quantity="4")
    assert "2 left" in words((await other.get(page_of(link))).text)
    answer = await order(other, link, quantity="3")
    assert answer.status_code == 409
    assert "Only 2 left." in words(answer.text)
    await ordered(app, other, link, quantity="2")
    assert (await stock_of(app, link))["available"] == 0


async def test_what_is_not_paid_in_time_is_for_sale_again(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        link = await made(app.api, LINKS, TICKETS)
        kept = await ordered(app, await app.anybody(), link, quantity="2")
        await paid(app, kept["id"])
        await ordered(app, await app.anybody(), link, quantity="4")
        assert (await stock_of(app, link))["available"] == 0
        clock.move(seconds=TTL + 60)
        await app.api.post("/test_helpers/chain/mine", json={"blocks": 2})
        stock = await stock_of(app, link)
        assert (stock["sold"], stock["reserved"], stock["available"]) == (2, 0, 4)


async def test_one_client_reserves_a_part_of_the_stock_only_until_it_pays(app: App) -> None:
    link = await made(app.api, LINKS, {**TICKETS, "quantity": {"max": 1, "stock": 100}})
    sessions = [await ordered(app, await app.anybody(), link) for _ in range(MOST_UNPAID)]
    refused = await order(await app.anybody(), link)
    assert refused.status_code == 429
    assert "too many unpaid orders" in refused.text
    assert (await order(await app.anybody(address="10.9.9.9"), link)).status_code == 303
    await paid(app, sessions[3]["id"])
    await ordered(app, await app.anybody(), link)
    endless = await made(app.api, LINKS, {**TICKETS, "quantity": {"max": 4}})
    for _ in range(MOST_UNPAID + 1):
        await ordered(app, await app.anybody(), endless, quantity="4")


async def test_forms_sent_at_the_same_time_reserve_no_more_than_one_after_another(app: App) -> None:
    link = await made(app.api, LINKS, {**TICKETS, "quantity": {"max": 1, "stock": 100}})
    browsers = [await app.anybody() for _ in range(3 * MOST_UNPAID)]
    answers = await asyncio.gather(*(order(each, link) for each in browsers))
    assert [each.status_code for each in answers].count(303) == MOST_UNPAID
    assert (await stock_of(app, link))["reserved"] == MOST_UNPAID


async def test_a_preview_names_the_price_of_a_piece_or_any_amount(app: App) -> None:
    free, tickets = await made(app.api, LINKS, FREE), await made(app.api, LINKS, TICKETS)
    bot = await app.anybody()
    headers = {"User-Agent": "WhatsApp/2.23"}
    assert 'og:description" content="Any amount"' in (await bot.get(page_of(free), headers=headers)).text
    assert 'og:description" content="15.00 USD"' in (await bot.get(page_of(tickets), headers=headers)).text
    for language in ("en", "ar", "ja"):
        picture = await bot.get(f"{page_of(free)}/preview.png?lang={language}")
        assert picture.headers["content-type"] == "image/png"


async def test_the_api_takes_an_amount_or_a_number_where_the_link_does(app: App) -> None:
    free, tickets, fixed = [await made(app.api, LINKS, body) for body in (BOUNDED, TICKETS, LINK)]
    amount = {"value": "20.00", "currency": "EUR"}
    session = await made(app.api, SESSIONS, {"linkId": free["id"], "amount": amount})
    assert session["fiat"] == {"amount": "20.00", "currency": "EUR"}
    assert (await made(app.api, SESSIONS, {"linkId": tickets["id"], "quantity": 2}))["fiat"]["amount"] == "30.00"
    assert (await made(app.api, SESSIONS, {"linkId": tickets["id"]}))["quantity"] == 1
    for body, code, param in (
        ({"linkId": free["id"]}, "invalid_body", "amount"),
        ({"linkId": free["id"], "amount": amount, "quantity": 2}, "invalid_body", "quantity"),
        ({"linkId": free["id"], "amount": {**amount, "currency": "USD"}}, "invalid_body", "amount.currency"),
        ({"linkId": free["id"], "amount": {**amount, "value": "4.99"}}, "amount_too_small", "amount.value"),
        ({"linkId": free["id"], "amount": {**amount, "value": "500.01"}}, "amount_too_large", "amount.value"),
        ({"linkId": tickets["id"], "quantity": 5}, "invalid_body", "quantity"),
        ({"linkId": tickets["id"], "quantity": 4}, "link_sold_out", "quantity"),
        ({"linkId": tickets["id"], "amount": amount}, "invalid_body", "amount"),
        ({"linkId": fixed["id"], "amount": amount}, "invalid_body", "amount"),
        ({"linkId": fixed["id"], "quantity": 1}, "invalid_body", "quantity"),
    ):
        found = error(await app.api.post(SESSIONS, json=body))
        assert (found["code"], found["param"]) == (code, param), body


async def test_a_link_changes_its_kind_of_price(app: App) -> None:
    link = await made(app.api, LINKS, BOUNDED)
    path = f"{LINKS}/{link['id']}"
    refused = error(await app.api.patch(path, json={"fiatAmount": "10.00"}))
    assert refused["param"] == "minFiatAmount"
    nothing = {"minFiatAmount": None, "maxFiatAmount": None, "suggestedAmounts": None}
    fixed = (await app.api.patch(path, json={"fiatAmount": "10.00", **nothing, "quantity": {"stock": 3}})).json()
    assert (fixed["fiatAmount"], fixed["quantity"]["available"]) == ("10.00", 3)
    assert error(await app.api.patch(path, json={"fiatAmount": None}))["param"] == "quantity"
    free = (await app.api.patch(path, json={"fiatAmount": None, "quantity": None})).json()
    assert (free["fiatAmount"], free["quantity"]) == (None, None)
    # An amount that a new currency can't have is told by its own name.
    await app.api.patch(path, json={"minFiatAmount": "1.50"})
    assert error(await app.api.patch(path, json={"fiatCurrency": "JPY"}))["param"] == "minFiatAmount"
