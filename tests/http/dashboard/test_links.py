"""The dashboard's pages of payment links: each action, and what it refuses."""

import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto_checkout.core.checkout.pay_button import pay_button
from crypto_checkout.http.dashboard.frame.forms import Form
from crypto_checkout.http.dashboard.pages import metadata_form
from tests.support.api import LINK, App, listed, made, open_app
from tests.support.dashboard import signed_in
from tests.support.shop import XPUB

FORM: Mapping[str, str] = {"title": "A book", "amount": "30.00", "currency": "USD"}
FULL: Mapping[str, str] = {
    **FORM,
    "description": "The one with\r\nthe whale.",
    "coins": "1337:ETH",
    "success_url": "https://shop.example.com/thanks?id={CHECKOUT_SESSION_ID}",
    "cancel_url": "https://shop.example.com/cart",
    "metadata": "sku = moby-dick\r\nshelf = 3 = top",
}
LIVE: Mapping[str, Any] = {
    "wallet": {"xpub": XPUB},
    "chains": [{"id": 1, "name": "Ethereum", "rpc_urls": ["http://127.0.0.1:9"]}],
}


@pytest.fixture
async def owner(app: App) -> httpx.AsyncClient:
    return await signed_in(app)


async def only(app: App) -> dict[str, Any]:
    (link,) = (await listed(app.api, "/payment_links"))["data"]
    return dict(link)


async def test_a_link_is_made_with_all_that_it_can_have(app: App, owner: httpx.AsyncClient) -> None:
    answer = await owner.post("/test/links", data=FULL)
    link = await only(app)
    assert answer.headers["location"] == f"/dashboard/test/links/{link['id']}"
    assert link["title"] == "A book"
    assert (link["fiatAmount"], link["fiatCurrency"]) == ("30.00", "USD")
    assert link["description"] == "The one with\nthe whale."
    assert (link["chainId"], link["asset"], link["assets"]) == (1337, "ETH", None)
    assert link["successUrl"] == FULL["success_url"]
    assert link["cancelUrl"] == FULL["cancel_url"]
    assert link["metadata"] == {"sku": "moby-dick", "shelf": "3 = top"}
    page = (await owner.get(f"/test/links/{link['id']}")).text
    assert link["checkoutUrl"] in page
    assert "moby-dick" in page
    assert pay_button(link["checkoutUrl"], "Pay 30.00 USD") in html.unescape(page)  # as the command line prints it
    trail = (await owner.get("/test/settings/trail")).text
    assert "payment_link.created" in trail
    assert link["id"] in trail


async def test_a_link_takes_several_coins(app: App, owner: httpx.AsyncClient) -> None:
    page = (await owner.get("/test/links/new")).text
    coins = re.findall(r'name="coins" value="([^"]+)"', page)
    assert len(coins) > 1
    answer = await owner.post("/test/links", data={**FORM, "coins": coins})
    assert answer.status_code == 303
    link = await only(app)
    assert [f"{each['chainId']}:{each['asset']}" for each in link["assets"]] == coins
    assert (link["chainId"], link["asset"]) == (None, None)
    page = (await owner.get(f"/test/links/{link['id']}/edit")).text
    assert len(re.findall(r'name="coins" value="[^"]+" checked', page)) == len(coins)
    await owner.post(f"/test/links/{link['id']}", data={**FORM, "coins": coins[0]})
    link = await only(app)
    assert (f"{link['chainId']}:{link['asset']}", link["assets"]) == (coins[0], None)


async def test_a_new_link_begins_with_the_currency_and_coins_of_the_newest(owner: httpx.AsyncClient) -> None:
    page = (await owner.get("/test/links/new")).text
    assert re.search(r'name="currency" value="USD"', page)
    coins = re.findall(r'name="coins" value="([^"]+)"', page)
    await owner.post("/test/links", data={**FORM, "currency": "EUR", "coins": coins[1:]})
    page = (await owner.get("/test/links/new")).text
    assert re.search(r'name="currency" value="EUR"', page)
    assert re.findall(r'name="coins" value="([^"]+)" checked', page) == coins[1:]
    assert FORM["title"] not in page


async def test_saving_a_form_as_it_stands_changes_nothing(app: App, owner: httpx.AsyncClient) -> None:
    notes_of_a_program = {"a = b": "two\nlines \\ and more ", " c": "", "d\\": "=="}
    before = await made(
        app.api,
        "/payment_links",
        {**LINK, "description": " x <b>\ny", "asset": "ETH", "chainId": 1337, "metadata": notes_of_a_program},
    )
    page = (await owner.get(f"/test/links/{before['id']}/edit")).text
    assert "<b>" not in page
    fields = {**FORM, "description": " x <b>\r\ny", "coins": "1337:ETH"}
    fields["metadata"] = metadata_form.to_lines(notes_of_a_program).replace("\n", "\r\n")
    await owner.post(f"/test/links/{before['id']}", data=fields)
    after = await only(app)
    assert {**after, "updatedAt": None, "description": None} == {**before, "updatedAt": None, "description": None}


async def test_a_changed_link_keeps_what_its_sessions_cost(app: App, owner: httpx.AsyncClient) -> None:
    link = await made(app.api, "/payment_links", LINK)
    session = await made(app.api, "/checkout_sessions", {"linkId": link["id"]})
    answer = await owner.post(f"/test/links/{link['id']}", data={**FORM, "amount": "25.5", "currency": "eur"})
    assert answer.status_code == 303
    after = await only(app)
    assert (after["fiatAmount"], after["fiatCurrency"]) == ("25.50", "EUR")
    assert (await app.api.get(f"/checkout_sessions/{session['id']}")).json()["fiat"]["amount"] == "30.00"


MISTAKES = (
    ("title", "", "This field is required."),
    ("title", "two\nlines", "a single line"),
    ("title", "x" * 201, "Use at most 200"),
    ("description", "x" * 1_001, "Use at most 1000"),
    ("amount", "ten", "ten"),
    ("amount", "1.001", "decimal"),
    ("amount", "0", "more than zero"),
    ("currency", "XXQ", "XXQ"),
    ("success_url", "shop.example.com", "must be an absolute URL"),
    ("success_url", "javascript:alert(1)", "must be an absolute URL"),
    ("cancel_url", "https://ada:pw@shop.example.com", "user name or password"),
    ("cancel_url", "https://shop.example.com/a b", "no spaces"),
    ("metadata", "no note", "is not an entry"),
    ("metadata", "a = 1\na = 2", "is listed twice"),
    ("metadata", "x" * 41 + " = 1", "at most 40"),
    ("metadata", "a = " + "x" * 501, "at most 500"),
    ("metadata", "\n".join(f"n{number} = 1" for number in range(51)), "At most 50"),
)


async def test_a_mistake_stands_at_its_field_with_all_that_was_typed(app: App, owner: httpx.AsyncClient) -> None:
    for field, typed, said in MISTAKES:
        answer = await owner.post("/test/links", data={**FULL, field: typed})
        assert answer.status_code == 400, field
        assert said in answer.text.partition(f'id="{field}-wrong">')[2].partition("</p>")[0], field
        for name, value in {**FULL, field: typed}.items():
            if name != "coins":
                assert value.replace("\r\n", "\n").replace("&", "&amp;") in answer.text, (field, name)
        assert 'value="1337:ETH" checked' in answer.text
    assert (await listed(app.api, "/payment_links"))["data"] == []


async def test_a_coin_that_is_not_offered_is_left_out(app: App, owner: httpx.AsyncClient) -> None:
    await owner.post("/test/links", data={**FORM, "coins": ["1337:ETH", "1:ETH", "x"]})
    assert ((await only(app))["chainId"], (await only(app))["asset"]) == (1337, "ETH")


async def test_a_link_is_switched_off_and_on(app: App, owner: httpx.AsyncClient) -> None:
    link = await made(app.api, "/payment_links", LINK)
    answer = await owner.post(f"/test/links/{link['id']}/off")
    assert answer.headers["location"] == f"/dashboard/test/links/{link['id']}"
    assert (await only(app))["active"] is False
    assert "This link is inactive" in (await owner.get(f"/test/links/{link['id']}")).text
    await owner.post(f"/test/links/{link['id']}/on")
    assert (await only(app))["active"] is True
    assert (await owner.get("/test/settings/trail")).text.count("payment_link.updated") == 2


async def test_a_deleted_link_is_gone(app: App, owner: httpx.AsyncClient) -> None:
    link = await made(app.api, "/payment_links", LINK)
    answer = await owner.post(f"/test/links/{link['id']}/delete")
    assert answer.headers["location"] == "/dashboard/test/links"
    assert "was deleted" in (await owner.get("/test/links")).text
    assert (await listed(app.api, "/payment_links"))["data"] == []
    assert (await owner.get(f"/test/links/{link['id']}")).status_code == 404
    assert "payment_link.deleted" in (await owner.get("/test/settings/trail")).text


async def test_the_list_is_filtered_and_leads_on(app: App, owner: httpx.AsyncClient) -> None:
    for number in range(27):
        await made(app.api, "/payment_links", {**LINK, "title": f"Book {number:02}", "active": number % 2 == 0})
    first = (await owner.get("/test/links")).text
    assert "Book 26" in first
    assert "Book 01" not in first
    older = re.search(r'href="/dashboard/test/links\?after=(\d+)" rel="next"', first)
    assert older is not None
    second = (await owner.get("/test/links", params={"after": older[1]})).text
    assert "Book 01" in second
    assert "Book 26" not in second
    on = (await owner.get("/test/links", params={"active": "yes"})).text
    assert "Book 02" in on
    assert "Book 03" not in on
    off = (await owner.get("/test/links", params={"active": "no"})).text
    assert "Book 03" in off
    assert "Book 02" not in off
    assert (await owner.get("/test/links", params={"after": "pl_unknown"})).status_code == 400


async def test_a_link_tells_what_became_of_its_sessions(app: App, owner: httpx.AsyncClient) -> None:
    link = await made(app.api, "/payment_links", LINK)
    assert "none yet" in (await owner.get("/test/links")).text
    sessions = [await made(app.api, "/checkout_sessions", {"linkId": link["id"]}) for _ in range(3)]
    answer = await app.api.post(f"/test_helpers/checkout_sessions/{sessions[0]['id']}/pay", json={"scenario": "exact"})
    assert answer.json()["status"] == "paid"
    for path in ("/test/links", f"/test/links/{link['id']}"):
        page = (await owner.get(path)).text
        assert "1 of 3 paid" in page
    assert f'href="/dashboard/test/payments?link={link["id"]}"' in page
    assert sessions[0]["id"] in (await owner.get("/test/payments", params={"link": link["id"]})).text


async def test_the_qr_code_is_a_file_of_its_own(app: App, owner: httpx.AsyncClient) -> None:
    link = await made(app.api, "/payment_links", LINK)
    answer = await owner.get(f"/test/links/{link['id']}/qr.svg")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.headers["content-disposition"] == f'attachment; filename="{link["slug"]}.svg"'
    assert answer.content.startswith(b"<?xml")
    assert b'xmlns="http://www.w3.org/2000/svg"' in answer.content


ACTIONS = ("", "/off", "/on", "/delete")


@pytest.mark.parametrize("action", ACTIONS)
async def test_another_sites_form_changes_no_link(app: App, owner: httpx.AsyncClient, action: str) -> None:
    before = await made(app.api, "/payment_links", {**LINK, "active": action != "/on"})
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        answer = await owner.post(f"/test/links/{before['id']}{action}", data=FULL, headers=headers)
        assert answer.status_code == 403
        assert (await owner.post("/test/links", data=FULL, headers=headers)).status_code == 403
    assert await only(app) == before


async def test_the_other_modes_links_are_not_there(tmp_path: Path) -> None:
    async with open_app(tmp_path, **LIVE) as app:
        owner = await signed_in(app)
        api = await app.client(livemode=True)
        live, test = await made(api, "/payment_links", LINK), await made(app.api, "/payment_links", LINK)
        for mode, link, strange in (("", live, test), ("/test", test, live)):
            assert (await owner.get(f"{mode}/links/{link['id']}")).status_code == 200
            for path in ("", "/edit", "/qr.svg"):
                assert (await owner.get(f"{mode}/links/{strange['id']}{path}")).status_code == 404, path
            for action in ACTIONS:
                answer = await owner.post(f"{mode}/links/{strange['id']}{action}", data=FULL)
                assert answer.status_code == 404, action
            page = (await owner.get(f"{mode}/links")).text
            assert link["id"] in page
            assert strange["id"] not in page


def test_notes_come_back_as_they_were() -> None:
    told = {"a=b": "c = d", "x\\": "two\nlines\ttab", "empty": ""}
    form = Form({"metadata": [f"{metadata_form.to_lines(told)}\n\nmore = 1"]})
    assert metadata_form.read(form, "metadata") == {**told, "more": "1"}
    assert form.is_valid


async def test_a_link_in_a_coin_that_is_not_configured_any_more_can_be_switched_off(tmp_path: Path) -> None:
    (first,) = LIVE["chains"]
    second = {"id": 5, "name": "Former", "rpc_urls": ["http://127.0.0.1:9"]}
    async with open_app(tmp_path, **{**LIVE, "chains": [first, second]}) as app:
        api = await app.client(livemode=True)
        link = await made(api, "/payment_links", {**LINK, "chainId": 5, "asset": "ETH"})
    async with open_app(tmp_path, **LIVE) as app:
        owner = await signed_in(app)
        page = (await owner.get(f"/links/{link['id']}/edit")).text
        assert 'value="5:ETH" checked' in page
        assert "ETH on chain 5 (no longer configured)" in page
        answer = await owner.post(f"/links/{link['id']}", data={**FORM, "coins": "5:ETH"})
        assert answer.status_code == 400
        assert "Chain 5 is not configured" in answer.text.partition('id="coins-wrong">')[2].partition("</p>")[0]
        assert (await owner.post(f"/links/{link['id']}/off")).status_code == 303
        page = (await owner.get(f"/links/{link['id']}")).text
        assert "This link is inactive" in page
        assert (await owner.post(f"/links/{link['id']}/on")).status_code == 400
        answer = await owner.post(f"/links/{link['id']}", data={**FORM, "coins": "1:ETH"})
        assert answer.status_code == 303
        assert (await owner.post(f"/links/{link['id']}/on")).status_code == 303


FREE_FORM: Mapping[str, str] = {
    "title": "A gift", "kind": "free", "currency": "eur", "minimum": "5", "maximum": "500.00",
    "suggested": "10, 25;50.00",
}  # fmt: skip
PIECES_FORM: Mapping[str, str] = {
    **FORM, "kind": "pieces", "pieces_min": "1", "pieces_max": "4", "stock": "1200", "minimum": "ignored",
}  # fmt: skip


async def test_the_payer_may_decide_on_the_amount(app: App, owner: httpx.AsyncClient) -> None:
    await owner.post("/test/links", data=FREE_FORM)
    link = await only(app)
    assert (link["fiatAmount"], link["fiatCurrency"], link["quantity"]) == (None, "EUR", None)
    assert (link["minFiatAmount"], link["maxFiatAmount"]) == ("5.00", "500.00")
    assert link["suggestedAmounts"] == ["10.00", "25.00", "50.00"]
    page = (await owner.get(f"/test/links/{link['id']}")).text
    assert "Any amount, 5.00 EUR to 500.00 EUR" in page
    assert "Pay&lt;/a&gt;" in page  # the button names no price
    assert "Any amount" in (await owner.get("/test/links")).text
    form = (await owner.get(f"/test/links/{link['id']}/edit")).text
    assert '<option value="free" selected>' in form
    assert 'value="10.00 25.00 50.00"' in form
    await owner.post(f"/test/links/{link['id']}", data=PIECES_FORM)
    changed = await only(app)
    assert (changed["fiatAmount"], changed["minFiatAmount"], changed["suggestedAmounts"]) == ("30.00", None, None)
    assert changed["quantity"]["available"] == 1200


async def test_a_link_shows_what_is_left(app: App, owner: httpx.AsyncClient) -> None:
    await owner.post("/test/links", data={**PIECES_FORM, "stock": "5"})
    link = await only(app)
    path = f"/test/links/{link['id']}"
    session = await made(app.api, "/checkout_sessions", {"linkId": link["id"], "quantity": 4})
    await app.api.post(f"/test_helpers/checkout_sessions/{session['id']}/pay", json={"scenario": "exact"})
    await made(app.api, "/checkout_sessions", {"linkId": link["id"]})
    page = (await owner.get(path)).text
    assert "all sold or reserved: 4 sold, 1 reserved" in page
    assert "More was sold" not in page
    assert "30.00 USD <span" in (await owner.get("/test/links")).text
    form = (await owner.get(f"{path}/edit")).text
    assert "including those already sold (4)" in form
    await owner.post(path, data={**PIECES_FORM, "stock": "3"})
    assert "More was sold than there was: 4 of 3." in (await owner.get(path)).text
    assert "oversold link" in (await owner.get("/test")).text


PRICE_MISTAKES: Sequence[tuple[Mapping[str, str], str, str, str]] = (
    (FREE_FORM, "minimum", "1e9", "is not an amount"),
    (FREE_FORM, "minimum", "600", "less than minFiatAmount"),
    (FREE_FORM, "suggested", "1 2 3 4 5 6 7", "At most 6 amounts"),
    (FREE_FORM, "suggested", "10 4.99", "not within"),
    (FREE_FORM, "currency", "ZZZ", "is not a currency"),
    (PIECES_FORM, "amount", "", "This field is required"),
    (PIECES_FORM, "pieces_max", "0", "whole number from 1 to 10,000"),
    (PIECES_FORM, "pieces_min", "5", "is less than"),
    (PIECES_FORM, "stock", "-1", "whole number from 0"),
    (PIECES_FORM, "stock", "٣", "whole number from 0"),
    (FORM, "kind", "gift", "Choose one of the options"),
)


@pytest.mark.parametrize(("form", "field", "typed", "said"), PRICE_MISTAKES)
async def test_a_wrong_price_is_told_at_its_field(
    app: App, owner: httpx.AsyncClient, form: Mapping[str, str], field: str, typed: str, said: str
) -> None:
    answer = await owner.post("/test/links", data={**form, field: typed})
    assert answer.status_code == 400
    wrong = re.findall(r'id="(\w+)-wrong">(.*?)</p>', answer.text)
    assert [said in words for _, words in wrong] == [True], wrong
    assert (await listed(app.api, "/payment_links"))["data"] == []
