"""Payment links through the API."""

import httpx
import pytest

from crypto_checkout.core import ids
from tests.support.api import LINK, App, error, listed, made

FIELDS = """
    id object livemode slug title description fiatAmount fiatCurrency minFiatAmount maxFiatAmount suggestedAmounts
    quantity chainId asset assets successUrl cancelUrl metadata payerFields customFields active checkoutUrl createdAt
    updatedAt
"""
LINKS = "/payment_links"


async def test_a_link_needs_a_title_and_an_amount_only(api: httpx.AsyncClient) -> None:
    link = await made(api, LINKS, {"title": "A book", "fiatAmount": "30"})
    assert list(link) == FIELDS.split()
    assert ids.is_id(link["id"], ids.LINK)
    assert link["checkoutUrl"] == f"http://127.0.0.1:4020/l/{link['slug']}"
    assert link["createdAt"] == link["updatedAt"]
    expected = {
        "object": "payment_link", "livemode": False, "title": "A book", "description": None, "fiatAmount": "30.00",
        "fiatCurrency": "USD", "minFiatAmount": None, "maxFiatAmount": None, "suggestedAmounts": None,
        "quantity": None, "chainId": None, "asset": None, "successUrl": None, "cancelUrl": None,
        "metadata": None, "active": True,
    }  # fmt: skip
    assert {name: link[name] for name in expected} == expected


async def test_what_was_given_comes_back_as_it_was(api: httpx.AsyncClient) -> None:
    given = {
        "title": "Ein Buch 📖",
        "description": "It has\r\ntwo lines.",
        "fiatAmount": "4500",
        "fiatCurrency": "JPY",
        "chainId": 1337,
        "asset": "USDC",
        "successUrl": "https://shop.example/thanks/{CHECKOUT_SESSION_ID}",
        "cancelUrl": "http://shop.example/",
        "metadata": {"book": "1"},
        "active": False,
    }
    link = await made(api, LINKS, given)
    assert {name: link[name] for name in given} == given
    assert (await api.get(f"{LINKS}/{link['id']}")).json() == link


async def test_a_slug_is_fit_for_a_url_and_comes_only_once(api: httpx.AsyncClient) -> None:
    slugs = {(await made(api, LINKS, LINK))["slug"] for _ in range(50)}
    assert len(slugs) == 50
    assert all(slug.isalnum() and slug.isascii() and len(slug) >= 16 for slug in slugs)


async def test_links_are_found_by_whether_they_are_active(api: httpx.AsyncClient) -> None:
    on = await made(api, LINKS, LINK)
    off = await made(api, LINKS, {**LINK, "active": False})
    assert (await listed(api, LINKS))["data"] == [off, on]
    assert (await listed(api, LINKS, active="true"))["data"] == [on]
    assert (await listed(api, LINKS, active="false"))["data"] == [off]


async def test_a_deleted_link_is_gone_with_its_page(app: App) -> None:
    link = await made(app.api, LINKS, LINK)
    page = f"http://shop.example/l/{link['slug']}"
    assert (await app.api.head(page)).status_code == 200
    answer = await app.api.delete(f"{LINKS}/{link['id']}")
    assert answer.status_code == 200
    assert answer.json() == {"id": link["id"], "object": "payment_link", "deleted": True}
    assert (await app.api.head(page)).status_code == 404
    assert (await listed(app.api, LINKS))["data"] == []
    for method in ("GET", "DELETE"):
        again = await app.api.request(method, f"{LINKS}/{link['id']}")
        assert error(again)["code"] == "resource_not_found"


@pytest.mark.parametrize("body", [b"", b"{}"])
async def test_a_deletion_needs_no_body_and_may_have_an_empty_one(api: httpx.AsyncClient, body: bytes) -> None:
    link = await made(api, LINKS, LINK)
    headers = {"Content-Type": "application/json"} if body else {}
    answer = await api.request("DELETE", f"{LINKS}/{link['id']}", content=body, headers=headers)
    assert answer.status_code == 200


async def test_making_and_deleting_a_link_are_events(api: httpx.AsyncClient) -> None:
    link = await made(api, LINKS, LINK)
    await api.delete(f"{LINKS}/{link['id']}")
    events = (await listed(api, "/events", resourceId=link["id"]))["data"]
    assert [event["type"] for event in events] == ["payment_link.deleted", "payment_link.created"]
    assert [event["data"] for event in events] == [link, link]
