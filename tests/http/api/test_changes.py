"""PATCH: what is given changes, what isn't stays, and what is wrong changes nothing."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.api import ENDPOINT, LINK, PRICE, App, Clock, error, listed, made, open_app
from tests.support.receiver import Receiver
from tests.support.waiting import until

LINKS, ENDPOINTS, CUSTOMERS = "/payment_links", "/webhook_endpoints", "/customers"
CUSTOMER = {"email": "ada@example.com", "name": "Ada", "metadata": {"tier": "gold"}}
RICH = {
    **LINK,
    "description": "The one with the whale.",
    "chainId": 1337,
    "asset": "USDC",
    "successUrl": "https://shop.example/thanks",
    "cancelUrl": "https://shop.example/cart",
    "metadata": {"sku": "1"},
}

LINK_CHANGES: list[dict[str, Any]] = [
    {"title": "Another book"},
    {"fiatAmount": "25.50"},
    {"fiatAmount": "25.00", "fiatCurrency": "EUR"},
    {"fiatAmount": "4500", "fiatCurrency": "JPY"},
    {"fiatCurrency": "EUR"},
    {"description": None},
    {"description": "New"},
    {"chainId": None, "asset": None},
    {"asset": "ETH"},
    {"successUrl": None, "cancelUrl": "https://shop.example/other"},
    {"metadata": {"other": "2"}},
    {"metadata": {}},
    {"metadata": None},
    {"active": False},
    {},
]


@pytest.mark.parametrize("change", LINK_CHANGES, ids=str)
async def test_a_link_changes_in_what_is_given(tmp_path: Path, change: dict[str, Any]) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        link = await made(app.api, LINKS, RICH)
        clock.move(seconds=5)
        answer = await app.api.patch(f"{LINKS}/{link['id']}", json=change)
        assert answer.status_code == 200, answer.text
        changed = answer.json()
        assert {**changed, "updatedAt": None} == {**link, **change, "updatedAt": None}
        assert changed["updatedAt"] > link["updatedAt"]
        assert (await app.api.get(f"{LINKS}/{link['id']}")).json() == changed
        (event,) = (await listed(app.api, "/events", type="payment_link.updated"))["data"]
        assert event["data"] == changed


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"title": None}, "invalid_body", "title"),
        ({"title": ""}, "invalid_body", "title"),
        ({"fiatAmount": ""}, "invalid_body", "fiatAmount"),
        ({"fiatAmount": "0"}, "invalid_body", "fiatAmount"),
        ({"fiatAmount": 10}, "invalid_body", "fiatAmount"),
        ({"fiatCurrency": ""}, "invalid_body", "fiatCurrency"),
        ({"fiatCurrency": "JPY"}, "invalid_body", "fiatAmount"),  # 30.00 is no amount of yen
        ({"asset": "BTC"}, "unsupported_asset", "asset"),
        ({"chainId": 1}, "unsupported_chain", "chainId"),
        ({"successUrl": "ftp://shop.example"}, "invalid_body", "successUrl"),
        ({"active": None}, "invalid_body", "active"),
        ({"slug": "mine"}, "invalid_body", "slug"),
        ({"id": "pl_1"}, "invalid_body", "id"),
        ({"title": "Good", "metadata": {"k": 1}}, "invalid_body", "metadata.k"),
    ],
    ids=str,
)
async def test_a_wrong_change_of_a_link_changes_nothing(
    api: httpx.AsyncClient, change: dict[str, Any], code: str, param: str
) -> None:
    link = await made(api, LINKS, LINK)
    answer = await api.patch(f"{LINKS}/{link['id']}", json=change)
    assert (error(answer)["code"], error(answer)["param"]) == (code, param)
    assert (await api.get(f"{LINKS}/{link['id']}")).json() == link
    assert (await listed(api, "/events", type="payment_link.updated"))["data"] == []


async def test_sessions_keep_the_price_their_link_had(api: httpx.AsyncClient) -> None:
    link = await made(api, LINKS, LINK)
    before = await made(api, "/checkout_sessions", {"linkId": link["id"]})
    await api.patch(f"{LINKS}/{link['id']}", json={"fiatAmount": "60.00"})
    after = await made(api, "/checkout_sessions", {"linkId": link["id"]})
    assert (await api.get(f"/checkout_sessions/{before['id']}")).json() == before
    assert (before["fiat"]["amount"], after["fiat"]["amount"]) == ("30.00", "60.00")


@pytest.mark.parametrize(
    "change",
    [
        {"url": "https://other.example/hook"},
        {"events": ["session.paid", "session.failed"]},
        {"events": ["*"]},
        {"description": "Mine"},
        {"description": None},
        {"active": False},
        {},
    ],
    ids=str,
)
async def test_an_endpoint_changes_in_what_is_given(api: httpx.AsyncClient, change: dict[str, Any]) -> None:
    endpoint = await made(api, ENDPOINTS, {**ENDPOINT, "events": ["session.created"], "description": "Old"})
    del endpoint["secret"]
    answer = await api.patch(f"{ENDPOINTS}/{endpoint['id']}", json=change)
    assert answer.status_code == 200, answer.text
    expected = {**endpoint, **change, "updatedAt": answer.json()["updatedAt"]}
    if change.get("active") is False:
        expected["missedSince"] = expected["updatedAt"]
    assert answer.json() == expected
    assert (await api.get(f"{ENDPOINTS}/{endpoint['id']}")).json() == answer.json()
    assert (await listed(api, "/events", type="webhook_endpoint.updated"))["data"][0]["data"] == answer.json()


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"url": ""}, "url"),
        ({"url": "ftp://shop.example"}, "url"),
        ({"url": "https://user:word@shop.example/"}, "url"),
        ({"events": []}, "events"),
        ({"events": None}, "events"),
        ({"events": ["session.payed"]}, "events"),
        ({"secret": "whsec_mine"}, "secret"),
    ],
    ids=str,
)
async def test_a_wrong_change_of_an_endpoint_changes_nothing(
    api: httpx.AsyncClient, change: dict[str, Any], param: str
) -> None:
    endpoint = await made(api, ENDPOINTS, ENDPOINT)
    del endpoint["secret"]
    answer = await api.patch(f"{ENDPOINTS}/{endpoint['id']}", json=change)
    assert (error(answer)["code"], error(answer)["param"]) == ("invalid_body", param)
    assert (await api.get(f"{ENDPOINTS}/{endpoint['id']}")).json() == endpoint


async def test_an_endpoint_that_is_switched_off_gets_nothing_until_it_is_on_again(app: App) -> None:
    with Receiver() as receiver:
        endpoint = await made(app.api, ENDPOINTS, {"url": receiver.url, "events": ["payment_link.created"]})
        path = f"{ENDPOINTS}/{endpoint['id']}"
        await app.api.patch(path, json={"active": False})
        await made(app.api, LINKS, {**LINK, "title": "unheard"})
        await app.api.patch(path, json={"active": True})
        await made(app.api, LINKS, {**LINK, "title": "heard"})
        await until(lambda: receiver.received, "the delivery")
    assert [event["data"]["title"] for event in receiver.events("payment_link.created")] == ["heard"]


@pytest.mark.parametrize(
    "change",
    [{"name": "Ada Lovelace"}, {"name": None}, {"email": "ADA@example.com"}, {"email": "bob@example.com"},
     {"metadata": {"a": "b"}}, {"metadata": None}, {}],
    ids=str,
)  # fmt: skip
async def test_a_customer_changes_in_what_is_given(api: httpx.AsyncClient, change: dict[str, Any]) -> None:
    customer = await made(api, CUSTOMERS, CUSTOMER)
    answer = await api.patch(f"{CUSTOMERS}/{customer['id']}", json=change)
    assert answer.status_code == 200, answer.text
    assert {**answer.json(), "updatedAt": None} == {**customer, **change, "updatedAt": None}
    assert (await api.get(f"{CUSTOMERS}/{customer['id']}")).json() == answer.json()
    assert (await listed(api, "/events", type="customer.updated"))["data"][0]["data"] == answer.json()


async def test_two_customers_never_share_an_email(api: httpx.AsyncClient) -> None:
    ada = await made(api, CUSTOMERS, CUSTOMER)
    bob = await made(api, CUSTOMERS, {"email": "bob@example.com"})
    for answer in (
        await api.post(CUSTOMERS, json={"email": "Ada@Example.COM"}),
        await api.patch(f"{CUSTOMERS}/{bob['id']}", json={"email": "ADA@example.com"}),
    ):
        assert (answer.status_code, error(answer)["code"], error(answer)["param"]) == (409, "customer_exists", "email")
        assert ada["id"] in error(answer)["message"]
    assert (await api.get(f"{CUSTOMERS}/{ada['id']}")).json() == ada
    assert (await api.get(f"{CUSTOMERS}/{bob['id']}")).json() == bob


@pytest.mark.parametrize("path", [LINKS, ENDPOINTS, CUSTOMERS])
async def test_a_change_is_made_once_for_each_idempotency_key(api: httpx.AsyncClient, path: str) -> None:
    bodies: dict[str, dict[str, Any]] = {LINKS: LINK, ENDPOINTS: ENDPOINT, CUSTOMERS: CUSTOMER}
    one = f"{path}/{(await made(api, path, bodies[path]))['id']}"
    headers = {"Idempotency-Key": "once"}
    first, second = [await api.patch(one, json={"metadata" if path != ENDPOINTS else "description": None},
                                     headers=headers) for _ in range(2)]  # fmt: skip
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert second.headers["idempotent-replayed"] == "true"
    updated = [event for event in (await listed(api, "/events"))["data"] if event["type"].endswith(".updated")]
    assert len(updated) == 1


async def test_nothing_is_changed_that_is_not_there(api: httpx.AsyncClient) -> None:
    for path in (f"{LINKS}/pl_1", f"{ENDPOINTS}/we_1", f"{CUSTOMERS}/cus_1"):
        answer = await api.patch(path, json={})
        assert (answer.status_code, error(answer)["code"]) == (404, "resource_not_found")
    session = await made(api, "/checkout_sessions", PRICE)
    assert (await api.patch(f"/checkout_sessions/{session['id']}", json={})).status_code == 405
