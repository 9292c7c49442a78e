"""The pages about payments, customers and events: what each filter finds, and what each button does."""

from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.api import LINK, PRICE, App, listed, made, open_app
from tests.support.dashboard import signed_in
from tests.support.shop import XPUB

EVIL = {"Origin": "https://evil.example"}


@pytest.fixture
async def owner(app: App) -> httpx.AsyncClient:
    return await signed_in(app)


async def text_of(owner: httpx.AsyncClient, path: str, **query: str) -> str:
    answer = await owner.get(f"/test{path}", params=query)
    assert answer.status_code == 200, answer.text
    return unescape(answer.text)


async def session(api: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    return await made(api, "/checkout_sessions", {**PRICE, **more})


async def played(api: httpx.AsyncClient, scenario: str, **more: Any) -> dict[str, Any]:
    """Make a session and drive it through a scenario."""
    new = await session(api, **more)
    answer = await api.post(f"/test_helpers/checkout_sessions/{new['id']}/pay", json={"scenario": scenario})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_the_list_tells_what_a_shopkeeper_asks(app: App, owner: httpx.AsyncClient) -> None:
    assert "No payments yet." in await text_of(owner, "/payments")
    link = await made(app.api, "/payment_links", {**LINK, "title": "A <book>"})
    await made(app.api, "/checkout_sessions", {"linkId": link["id"], "customerEmail": "ada@example.com"})
    paid = await played(app.api, "exact", metadata={"order": "1042"})
    page = await text_of(owner, "/payments")
    assert "2 payments" in page
    assert f'href="/dashboard/test/payments/{paid["id"]}"><span class="whole">30.00 USD' in page
    for wanted in ("A <book>", "ada@example.com", "order: 1042", "Pending", "Paid", paid["amount"]["value"]):
        assert wanted in page, wanted
    assert "A <book>" not in (await owner.get("/test/payments")).text


async def test_each_filter_and_search_finds_its_own(app: App, owner: httpx.AsyncClient) -> None:
    link = await made(app.api, "/payment_links", LINK)
    linked = await made(app.api, "/checkout_sessions", {"linkId": link["id"]})
    paid = await played(app.api, "exact", metadata={"order": "1042"}, customerEmail="ada@example.com")
    today = datetime.now(UTC).date().isoformat()

    async def found(**query: str) -> set[str]:
        page = await text_of(owner, "/payments", **query)
        return {each["id"] for each in (linked, paid) if each["id"] in page}

    both, first, second = {linked["id"], paid["id"]}, {linked["id"]}, {paid["id"]}
    assert await found() == both
    assert await found(status="paid") == second
    assert await found(status="pending") == first
    assert await found(status="failed") == set()
    assert await found(link=link["id"]) == first
    assert await found(to="2020-01-01") == set()
    assert await found(**{"from": "2020-01-01", "to": "2100-01-01"}) == both
    assert await found(**{"from": "2100-01-01"}) == set()
    assert today <= "2100"
    for text in (paid["id"], paid["address"], paid["txHash"], "Ada@example.com", "1042", "order=1042"):
        assert await found(q=f" {text} ") == second, text
    assert await found(q="nothing like it") == set()
    assert await found(q="1042", status="pending") == set()
    assert "No payments match these filters." in await text_of(owner, "/payments", q="nothing like it")


@pytest.mark.parametrize(
    "query", [{"status": "rich"}, {"from": "tomorrow"}, {"to": "0001-01-01"}, {"from": "9999-12-31"}, {"after": "x"}]
)
async def test_a_filter_that_no_form_makes_is_refused_with_a_page(
    owner: httpx.AsyncClient, query: dict[str, str]
) -> None:
    answer = await owner.get("/test/payments", params=query)
    assert answer.status_code == 400
    assert "That didn&#39;t work" in answer.text


async def test_the_pager_leads_through_all_pages_and_keeps_the_filters(app: App, owner: httpx.AsyncClient) -> None:
    ids = [(await session(app.api))["id"] for _ in range(28)]
    page = await text_of(owner, "/payments", status="pending")
    assert [each for each in ids if each in page] == ids[3:]
    older = page.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0]
    assert "status=pending" in older
    last = unescape((await owner.get(older.removeprefix("/dashboard"))).text)
    assert [each for each in ids if each in last] == ids[:3]
    assert 'rel="prev"' in last
    assert 'rel="next"' not in last


async def test_the_timeline_uses_the_words_of_the_statuses(app: App, owner: httpx.AsyncClient) -> None:
    late = await played(app.api, "late")
    page = await text_of(owner, f"/payments/{late['id']}")
    for step in ("Expired.", "Confirming.", "Paid late."):
        assert step in page
    assert "became" not in page


async def test_a_payment_is_told_from_beginning_to_end(app: App, owner: httpx.AsyncClient) -> None:
    paid = await played(app.api, "exact", metadata={"order": "<1042>"}, successUrl="https://shop.example/thanks")
    page = await text_of(owner, f"/payments/{paid['id']}")
    for wanted in (
        "Payment of 30.00 USD",
        "Paid: ",
        "received on time",
        "Session created.",
        "Paid.",
        paid["address"],
        paid["txHash"],
        paid["checkoutUrl"],
        "<1042>",
        "https://shop.example/thanks",
        "No webhooks were sent",
    ):
        assert wanted in page, wanted
    assert "Accept payment" not in page
    assert "Close payment" not in page
    assert f'href="{paid["successUrl"]}"' not in page


async def test_what_is_underpaid_can_be_accepted_once_and_the_trail_says_so(app: App, owner: httpx.AsyncClient) -> None:
    short = await played(app.api, "underpaid")
    path = f"/payments/{short['id']}"
    page = await text_of(owner, path)
    assert "Accept payment" in page
    assert f"{short['amountReceived']['value']} ETH</strong> received" in page
    refused = await owner.post(f"/test{path}/accept", headers=EVIL)
    assert refused.status_code == 403
    assert (await app.api.get(f"/checkout_sessions/{short['id']}")).json()["status"] == "underpaid"
    answer = await owner.post(f"/test{path}/accept")
    assert answer.headers["location"] == f"/dashboard/test{path}"
    page = await text_of(owner, path)
    assert "Accepted. The amount received counts" in page
    assert "Accept payment" not in page
    accepted = (await app.api.get(f"/checkout_sessions/{short['id']}")).json()
    assert (accepted["status"], accepted["statusReason"]) == ("paid", "accepted")
    await owner.post(f"/test{path}/accept")
    assert "Nothing was changed" in await text_of(owner, path)
    trail = await text_of(owner, "/settings/trail")
    assert trail.count(short["id"]) == 1
    assert "session.paid" in trail


async def test_what_waits_can_be_closed_once_and_the_trail_says_so(app: App, owner: httpx.AsyncClient) -> None:
    waiting = await session(app.api)
    path = f"/payments/{waiting['id']}"
    page = await text_of(owner, path)
    assert "Close payment" in page
    assert "Accept payment" not in page
    assert (await owner.post(f"/test{path}/expire", headers=EVIL)).status_code == 403
    assert (await app.api.get(f"/checkout_sessions/{waiting['id']}")).json()["status"] == "pending"
    assert (await owner.post(f"/test{path}/expire")).status_code == 303
    page = await text_of(owner, path)
    assert "Closed. Anything sent" in page
    closed = (await app.api.get(f"/checkout_sessions/{waiting['id']}")).json()
    assert (closed["status"], closed["statusReason"]) == ("expired", "closed")
    await owner.post(f"/test{path}/expire")
    assert "Nothing was changed" in await text_of(owner, path)
    assert (await text_of(owner, "/settings/trail")).count(waiting["id"]) == 1


async def test_check_now_looks_at_the_chain_and_says_what_it_found(app: App, owner: httpx.AsyncClient) -> None:
    waiting = await session(app.api)
    path = f"/payments/{waiting['id']}"
    assert (await owner.post(f"/test{path}/check", headers=EVIL)).status_code == 403
    await owner.post(f"/test{path}/check")
    assert "Nothing new has arrived." in await text_of(owner, path)
    await app.api.post("/test_helpers/chain/outage", json={"seconds": 600})
    await owner.post(f"/test{path}/check")
    assert "could not be checked" in await text_of(owner, path)


async def test_a_transaction_that_the_payer_names_is_looked_up(app: App, owner: httpx.AsyncClient) -> None:
    paid, other = await played(app.api, "exact"), await session(app.api)
    found = await text_of(owner, f"/payments/{paid['id']}/look-up", transaction=f" {paid['txHash']} ")
    assert "It was sent to this payment’s address." in found
    elsewhere = await text_of(owner, f"/payments/{other['id']}/look-up", transaction=paid["txHash"])
    assert "another payment" in elsewhere
    assert f"/dashboard/test/payments/{paid['id']}" in elsewhere
    unknown = await text_of(owner, f"/payments/{paid['id']}/look-up", transaction="0x" + "ab" * 32)
    assert "sent to" not in unknown
    assert "That is not a transaction hash" in await text_of(
        owner, f"/payments/{paid['id']}/look-up", transaction="<hello>"
    )


async def test_money_that_nobody_asked_for_stands_out_and_has_a_list(app: App, owner: httpx.AsyncClient) -> None:
    assert "No unmatched payments." in await text_of(owner, "/payments/unmatched")
    other = await played(app.api, "wrong_token")
    page = await text_of(owner, f"/payments/{other['id']}")
    assert '<h2 id="unmatched">Unmatched payments</h2>' in page
    listed = await text_of(owner, "/payments/unmatched")
    assert f"/dashboard/test/payments/{other['id']}" in listed


async def test_a_payment_tells_what_became_of_its_webhooks(app: App, owner: httpx.AsyncClient) -> None:
    endpoint = {"url": "http://127.0.0.1:9/hook", "events": ["session.created"]}
    await made(app.api, "/webhook_endpoints", endpoint)
    told = await session(app.api)
    page = await text_of(owner, f"/payments/{told['id']}")
    assert "http://127.0.0.1:9/hook" in page
    assert "Session created" in page


async def test_events_are_found_by_type_and_resource_and_shown_whole(app: App, owner: httpx.AsyncClient) -> None:
    link = await made(app.api, "/payment_links", {**LINK, "title": "Tea & <cake>"})
    paid = await played(app.api, "exact")
    everything = await text_of(owner, "/events")
    for wanted in ("Link created", "session.paid", "Tea & <cake>", paid["id"]):
        assert wanted in everything, wanted
    of_link = await text_of(owner, "/events", resource=link["id"])
    assert "payment_link.created" in of_link.partition("<table")[2]
    assert paid["id"] not in of_link
    of_type = await text_of(owner, "/events", type="session.paid")
    assert paid["id"] in of_type
    assert link["id"] not in of_type
    assert (await owner.get("/test/events", params={"type": "session.eaten"})).status_code == 400
    (event,) = (await app.api.get("/events", params={"type": "session.paid"})).json()["data"]
    shown = await text_of(owner, f"/events/{event['id']}")
    assert '"type": "session.paid"' in shown
    assert f'"txHash": "{paid["txHash"]}"' in shown
    assert (await owner.get("/test/events/evt_0")).status_code == 404


async def test_a_customer_is_found_shown_with_payments_and_changed(app: App, owner: httpx.AsyncClient) -> None:
    assert "No customers yet." in await text_of(owner, "/customers")
    paid = await played(app.api, "exact", customerEmail="Ada@example.com")
    other = await made(app.api, "/customers", {"email": "bo@example.com", "metadata": {"since": "1999"}})
    page = await text_of(owner, "/customers")
    assert "2 customers" in page
    found = await text_of(owner, "/customers", q="ADA@exam")
    assert "Ada@example.com" in found
    assert '<span class="sum">30.00 USD</span>' in found
    assert "bo@example.com" not in found
    assert "1999" not in await text_of(owner, "/customers", q="nobody")
    assert "bo@example.com" in await text_of(owner, "/customers", q="199")
    assert "bo@example.com" not in await text_of(owner, "/customers", sort="payment")
    assert "No customers match “cy@example.com”." in await text_of(owner, "/customers", q="cy@example.com")
    customer_id = found.partition("/customers/")[2].partition("?")[0]
    path = f"/customers/{customer_id}"
    assert paid["id"] in await text_of(owner, path)
    assert f"/dashboard/test{path}" in await text_of(owner, f"/payments/{paid['id']}")
    change = {"name": " Ada <L> ", "notes": "size = XL\nsays = a = b"}
    assert (await owner.post(f"/test{path}", data=change, headers=EVIL)).status_code == 403
    assert (await owner.post(f"/test{path}", data=change)).status_code == 303
    changed = (await app.api.get(path)).json()
    assert (changed["name"], changed["metadata"]) == ("Ada <L>", {"size": "XL", "says": "a = b"})
    assert customer_id in await text_of(owner, "/settings/trail")
    refused = await owner.post(f"/test{path}", data={"name": "Ada", "notes": "no equals sign"})
    assert refused.status_code == 400
    assert "no equals sign" in refused.text
    assert (await app.api.get(path)).json() == changed
    assert "since = 1999" in await text_of(owner, f"/customers/{other['id']}")
    assert (await owner.post(f"/test/customers/{other['id']}", data={"name": "", "notes": ""})).status_code == 303
    assert (await app.api.get(f"/customers/{other['id']}")).json()["metadata"] is None


async def test_what_is_of_the_other_mode_is_not_there(tmp_path: Path) -> None:
    chain = {"id": 31337, "name": "Nowhere", "rpc_urls": ["http://127.0.0.1:1"]}
    async with open_app(tmp_path, wallet={"xpub": XPUB}, chains=[chain]) as app:
        owner = await signed_in(app)
        short = await played(app.api, "underpaid", customerEmail="ada@example.com")
        customer = await made(app.api, "/customers", {"email": "bo@example.com"})
        (event,) = (await app.api.get("/events", params={"type": "session.underpaid"})).json()["data"]
        payment, person = f"/payments/{short['id']}", f"/customers/{customer['id']}"
        for path in (payment, f"{payment}/look-up?transaction={short['txHash']}", person, f"/events/{event['id']}"):
            assert (await owner.get(f"/test{path}")).status_code == 200, path
            assert (await owner.get(path)).status_code == 404, path
        for path in (f"{payment}/accept", f"{payment}/expire", f"{payment}/check"):
            assert (await owner.post(path)).status_code == 404, path
        assert (await owner.post(person, data={"name": "Eve", "notes": ""})).status_code == 404
        for path in ("/payments", f"/payments?q={short['id']}", "/customers", "/events", "/payments/unmatched"):
            page = (await owner.get(path)).text
            assert f"/{short['id']}" not in page
            assert f"/{customer['id']}" not in page
        assert (await app.api.get(f"/checkout_sessions/{short['id']}")).json()["status"] == "underpaid"
        assert (await app.api.get(person)).json() == customer


async def test_all_that_came_is_listed_page_by_page(app: App, owner: httpx.AsyncClient) -> None:
    paid = await session(app.api)
    for amount in ("0.001", "0.000001", "0.002"):
        answer = await app.api.post(f"/test_helpers/checkout_sessions/{paid['id']}/pay", json={"amount": amount})
        assert answer.status_code == 200
    page = await text_of(owner, f"/payments/{paid['id']}/transfers")
    assert page.index("0.002 ETH") < page.index("0.000001 ETH") < page.index("0.001 ETH")
    assert page.count("1 transfer too small to be listed") == 1
    found = await listed(app.api, f"/checkout_sessions/{paid['id']}/payments", limit=2)
    assert [(each["amount"]["value"], each["transfers"]) for each in found["data"]] == [("0.002", 1), ("0.000001", 1)]
    rest = await listed(app.api, f"/checkout_sessions/{paid['id']}/payments", starting_after=found["nextCursor"])
    assert [each["amount"]["value"] for each in rest["data"]] == ["0.001"]
    assert (await app.api.get(f"/checkout_sessions/{paid['id'][:-6]}000000/payments")).status_code == 404
    explained = await text_of(owner, f"/payments/{paid['id']}")
    assert "dust in 1 transfer" in explained


async def test_a_payment_in_many_parts_keeps_its_page_short(app: App, owner: httpx.AsyncClient) -> None:
    paid = await session(app.api)
    pages = {}
    for number in range(1, 32):
        answer = await app.api.post(f"/test_helpers/checkout_sessions/{paid['id']}/pay", json={"amount": "0.00001"})
        assert answer.status_code == 200, answer.text
        if number in (20, 21, 31):
            pages[number] = await text_of(owner, f"/payments/{paid['id']}")
    assert [page.count("0.00001 ETH</span></th>") for page in pages.values()] == [20, 20, 20]
    assert ["These are the newest 20." in page for page in pages.values()] == [False, True, True]
    assert ">View all 31</a>" in pages[31]
    assert ["<summary>Show" in page for page in pages.values()] == [False, False, True]
