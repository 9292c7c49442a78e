"""Customers: entered by the merchant or made by paying, found by email, listed by numbered pages."""

from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.core import ids
from crypto_checkout.core.checkout.customer import email_key
from tests.support.api import PRICE, App, Clock, error, listed, made, open_app

CUSTOMERS, SESSIONS = "/customers", "/checkout_sessions"


async def numbered(api: httpx.AsyncClient, **query: str | int) -> dict[str, object]:
    answer = await api.get(CUSTOMERS, params=query)
    assert answer.status_code == 200, answer.text
    page: dict[str, object] = answer.json()
    assert list(page) == ["object", "data", "total", "page", "limit"]
    return page


def emails(page: dict[str, object]) -> list[str]:
    data = page["data"]
    assert isinstance(data, list)
    return [customer["email"] for customer in data]


async def pay(app: App, email: str) -> str:
    session = await made(app.api, SESSIONS, {**PRICE, "customerEmail": email})
    assert (await app.api.post(f"/test_helpers{SESSIONS}/{session['id']}/pay")).status_code == 200
    await app.api.post("/test_helpers/chain/mine", json={"blocks": 3})
    paid = (await app.api.get(f"{SESSIONS}/{session['id']}")).json()
    assert paid["status"] == "paid"
    return str(session["id"])


async def test_a_new_customer_has_every_field(api: httpx.AsyncClient) -> None:
    customer = await made(api, CUSTOMERS, {"email": "Ada@Example.com", "name": "Ada", "metadata": {"tier": "gold"}})
    fields = ["id", "object", "livemode", "email", "name", "metadata", "createdAt", "updatedAt"]
    assert list(customer) == fields
    assert ids.is_id(customer["id"], ids.CUSTOMER)
    assert (customer["object"], customer["livemode"]) == ("customer", False)
    assert (customer["email"], customer["name"], customer["metadata"]) == ("Ada@Example.com", "Ada", {"tier": "gold"})
    assert (await api.get(f"{CUSTOMERS}/{customer['id']}")).json() == customer
    (event,) = (await listed(api, "/events", type="customer.created"))["data"]
    assert event["data"] == customer


async def test_paying_with_an_email_makes_a_customer_once(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        unpaid = await made(app.api, SESSIONS, {**PRICE, "customerEmail": "ada@example.com"})
        assert unpaid["status"] == "pending"
        assert emails(await numbered(app.api)) == []
        await pay(app, "ada@example.com")
        (first,) = (await app.api.get(CUSTOMERS)).json()["data"]
        assert (first["email"], first["name"], first["metadata"]) == ("ada@example.com", None, None)
        assert len((await listed(app.api, "/events", type="customer.created"))["data"]) == 1
        clock.move(seconds=30)
        await pay(app, "ADA@Example.com")
        (touched,) = (await app.api.get(CUSTOMERS)).json()["data"]
        assert {**touched, "updatedAt": None} == {**first, "updatedAt": None}
        assert touched["updatedAt"] > first["updatedAt"]
        assert len((await listed(app.api, "/events", type="customer.created"))["data"]) == 1


async def test_paying_keeps_what_the_merchant_wrote(app: App) -> None:
    written = await made(app.api, CUSTOMERS, {"email": "ada@example.com", "name": "Ada", "metadata": {"a": "b"}})
    await pay(app, "Ada@example.com")
    kept = (await app.api.get(f"{CUSTOMERS}/{written['id']}")).json()
    assert {**kept, "updatedAt": None} == {**written, "updatedAt": None}


async def test_a_customer_is_found_by_email_whatever_its_case(api: httpx.AsyncClient) -> None:
    await made(api, CUSTOMERS, {"email": "ada@example.com"})
    await made(api, CUSTOMERS, {"email": "bob@example.com"})
    found = await numbered(api, email="ADA@EXAMPLE.COM")
    assert (emails(found), found["total"]) == (["ada@example.com"], 1)
    assert (emails(await numbered(api, email="ada@example.com", page=2)), 1) == ([], 1)
    nobody = await numbered(api, email="eve@example.com")
    assert (emails(nobody), nobody["total"]) == ([], 0)


@pytest.mark.parametrize(
    "likeness",
    [
        "mike@example.com",
        "MIKE@EXAMPLE.COM",
        "mi\u212ae@example.com",  # the Kelvin sign
        "\uff4dike@example.com",  # a full-width m
        "\u2133ike@example.com",  # a script M
    ],
)
async def test_a_look_alike_of_an_email_is_that_email_everywhere(app: App, likeness: str) -> None:
    customer = await made(app.api, CUSTOMERS, {"email": "Mike@example.com"})
    taken = await app.api.post(CUSTOMERS, json={"email": likeness})
    assert (taken.status_code, error(taken)["code"], error(taken)["param"]) == (409, "customer_exists", "email")
    assert customer["id"] in error(taken)["message"]
    session_id = await pay(app, likeness)
    assert (await numbered(app.api))["total"] == 1
    (found,) = (await app.api.get(CUSTOMERS, params={"email": likeness})).json()["data"]
    assert found["id"] == customer["id"]
    page = await listed(app.api, SESSIONS, customerEmail="mike@example.com")
    assert [each["id"] for each in page["data"]] == [session_id]


@given(st.text(max_size=12))
def test_an_email_is_folded_one_way(text: str) -> None:
    folded = email_key(text)
    assert email_key(folded) == folded
    if text.isascii():
        assert folded == text.lower()


async def test_pages_have_a_number_and_a_total_newest_first(api: httpx.AsyncClient) -> None:
    for number in range(5):
        await made(api, CUSTOMERS, {"email": f"{number}@example.com"})
    pages = [await numbered(api, page=page, limit=2) for page in (1, 2, 3, 4)]
    assert [[email[0] for email in emails(page)] for page in pages] == [["4", "3"], ["2", "1"], ["0"], []]
    assert {(page["total"], page["limit"]) for page in pages} == {(5, 2)}
    assert [page["page"] for page in pages] == [1, 2, 3, 4]
    assert (await numbered(api))["limit"] == 25


@pytest.mark.parametrize(
    "query",
    ["page=0", "page=-1", "page=one", "page=1.0", "limit=0", "limit=101", "email=ada", "starting_after=cus_1", "page="],
)
async def test_a_wrong_page_is_refused_by_its_name(api: httpx.AsyncClient, query: str) -> None:
    answer = await api.get(f"{CUSTOMERS}?{query}")
    assert (answer.status_code, error(answer)["code"], error(answer)["param"]) == (
        400, "invalid_query", query.partition("=")[0]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "email"),
        ({"email": None}, "email"),
        ({"email": "ada"}, "email"),
        ({"email": "ada@example.com", "name": ""}, "name"),
        ({"email": "ada@example.com", "phone": "1"}, "phone"),
        ({"email": "ada@example.com", "metadata": {"k": None}}, "metadata.k"),
    ],
)
async def test_a_wrong_customer_is_refused_by_its_field(
    api: httpx.AsyncClient, body: dict[str, object], param: str
) -> None:
    answer = await api.post(CUSTOMERS, json=body)
    assert (error(answer)["code"], error(answer)["param"]) == ("invalid_body", param)
    assert (await numbered(api))["total"] == 0
