"""What links and sessions ask of payers, in the API: what is taken, what is refused, and what comes back."""

from typing import Any

import httpx
import pytest

from tests.support.api import LINK, PRICE, error, made

SESSIONS = "/checkout_sessions"
LINKS = "/payment_links"
SIZE = {"key": "size", "label": "Your size", "type": "choice", "options": ["S", "M"]}
TEXT = {"key": "engraving", "label": "Engraving", "type": "text"}


async def test_fields_come_back_complete(api: httpx.AsyncClient) -> None:
    given = {"payerFields": {"email": "required"}, "customFields": [SIZE, {**TEXT, "required": True, "maxLength": 20}]}
    for path, body in ((LINKS, LINK), (SESSIONS, PRICE)):
        resource = await made(api, path, {**body, **given})
        assert resource["payerFields"] == {"email": "required", "name": "no", "note": "no"}
        assert resource["customFields"] == [
            {**SIZE, "required": False, "maxLength": None},
            {**TEXT, "required": True, "options": None, "maxLength": 20},
        ]
        assert (await api.get(f"{path}/{resource['id']}")).json() == resource


async def test_nothing_is_asked_by_default(api: httpx.AsyncClient) -> None:
    for path, body in ((LINKS, LINK), (SESSIONS, PRICE)):
        resource = await made(api, path, body)
        assert (resource["payerFields"], resource["customFields"]) == (None, None)


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"payerFields": {"email": "maybe"}}, "payerFields.email"),
        ({"payerFields": {"phone": "required"}}, "payerFields.phone"),
        ({"payerFields": "email"}, "payerFields"),
        ({"customFields": [TEXT] * 6}, "customFields"),
        ({"customFields": [TEXT, TEXT]}, "customFields[1].key"),
        ({"customFields": [{**TEXT, "key": "x" * 41}]}, "customFields[0].key"),
        ({"customFields": [{**TEXT, "key": ""}]}, "customFields[0].key"),
        ({"customFields": [{**TEXT, "label": "two\nlines"}]}, "customFields[0].label"),
        ({"customFields": [{**TEXT, "label": "x" * 101}]}, "customFields[0].label"),
        ({"customFields": [{**TEXT, "type": "date"}]}, "customFields[0].type"),
        ({"customFields": [{**TEXT, "options": ["S"]}]}, "customFields[0].options"),
        ({"customFields": [{**TEXT, "maxLength": 501}]}, "customFields[0].maxLength"),
        ({"customFields": [{**TEXT, "maxLength": 0}]}, "customFields[0].maxLength"),
        ({"customFields": [{**SIZE, "options": None}]}, "customFields[0].options"),
        ({"customFields": [{**SIZE, "options": []}]}, "customFields[0].options"),
        ({"customFields": [{**SIZE, "options": ["S", "S"]}]}, "customFields[0].options"),
        ({"customFields": [{**SIZE, "options": [" S"]}]}, "customFields[0].options"),
        ({"customFields": [{**SIZE, "options": [""]}]}, "customFields[0].options[0]"),
        ({"customFields": [{**SIZE, "maxLength": 3}]}, "customFields[0].maxLength"),
        ({"customFields": [SIZE], "metadata": {"size": "M"}}, "customFields"),
        ({"customFields": [SIZE], "metadata": {str(n): "" for n in range(50)}}, "customFields"),
    ],
)
async def test_what_cant_be_asked_is_refused_with_its_field(
    api: httpx.AsyncClient, given: dict[str, Any], param: str
) -> None:
    for path, body in ((LINKS, LINK), (SESSIONS, PRICE)):
        answer = await api.post(path, json={**body, **given})
        assert answer.status_code == 400
        assert (error(answer)["code"], error(answer)["param"]) == ("invalid_body", param)


async def test_a_link_is_changed_as_a_whole_and_its_metadata_never_collides(api: httpx.AsyncClient) -> None:
    link = await made(api, LINKS, {**LINK, "payerFields": {"email": "required", "note": "optional"}})
    path = f"{LINKS}/{link['id']}"
    changed = (await api.patch(path, json={"payerFields": {"name": "required"}, "customFields": [SIZE]})).json()
    assert changed["payerFields"] == {"email": "no", "name": "required", "note": "no"}
    assert [each["key"] for each in changed["customFields"]] == ["size"]
    assert (await api.patch(path, json={"title": "Other"})).json()["customFields"] == changed["customFields"]
    answer = await api.patch(path, json={"metadata": {"size": "M"}})
    assert (answer.status_code, error(answer)["param"]) == (400, "customFields")
    removed = (await api.patch(path, json={"payerFields": None, "customFields": None})).json()
    assert (removed["payerFields"], removed["customFields"]) == (None, None)


async def test_a_session_asks_what_its_link_asks_unless_it_says_otherwise(api: httpx.AsyncClient) -> None:
    link = await made(api, LINKS, {**LINK, "payerFields": {"email": "required"}, "customFields": [SIZE]})
    session = await made(api, SESSIONS, {"linkId": link["id"]})
    assert (session["payerFields"], session["customFields"]) == (link["payerFields"], link["customFields"])
    assert session["payerAnswered"] is False
    other = await made(api, SESSIONS, {"linkId": link["id"], "payerFields": {}, "customFields": []})
    assert (other["payerAnswered"], other["customFields"]) == (True, [])
    taken = await api.post(SESSIONS, json={"linkId": link["id"], "metadata": {"size": "M"}})
    assert (taken.status_code, error(taken)["param"]) == (400, "customFields")


async def test_a_name_is_kept_with_the_session_and_its_customer(api: httpx.AsyncClient) -> None:
    body = {**PRICE, "customerEmail": "ada@example.com", "customerName": "Ada Lovelace"}
    session = await made(api, SESSIONS, body)
    assert session["customerName"] == "Ada Lovelace"
    await api.post(f"/test_helpers{SESSIONS}/{session['id']}/pay", json={"scenario": "exact"})
    (customer,) = (await api.get("/customers", params={"email": "ada@example.com"})).json()["data"]
    assert customer["name"] == "Ada Lovelace"


async def test_a_test_session_is_answered_for_its_payer(api: httpx.AsyncClient) -> None:
    asks = {"payerFields": {"email": "required", "note": "optional"}, "customFields": [{**SIZE, "required": True}]}
    session = await made(api, SESSIONS, {**PRICE, **asks})
    path = f"/test_helpers{SESSIONS}/{session['id']}/answer"
    for wrong, param in (
        ({"email": "ada@example.com"}, "customFields.size"),
        ({"email": "ada", "customFields": {"size": "M"}}, "email"),
        ({"email": "ada@example.com", "customFields": {"size": "L"}}, "customFields.size"),
        ({"email": "ada@example.com", "customFields": {"size": "M", "colour": "red"}}, "customFields.colour"),
        ({"email": "ada@example.com", "name": "Ada", "customFields": {"size": "M"}}, "name"),
    ):
        answer = await api.post(path, json=wrong)
        assert (answer.status_code, error(answer)["param"]) == (400, param)
    answered = (await api.post(path, json={"email": "ada@example.com", "customFields": {"size": "M"}})).json()
    assert (answered["customerEmail"], answered["metadata"], answered["payerAnswered"]) == (
        "ada@example.com",
        {"size": "M"},
        True,
    )
    assert answered == (await api.get(f"{SESSIONS}/{session['id']}")).json()
    await api.post(f"/test_helpers{SESSIONS}/{session['id']}/pay", json={})
    refused = await api.post(path, json={"email": "eve@example.com", "customFields": {"size": "S"}})
    assert (refused.status_code, error(refused)["code"]) == (409, "session_not_open")
    asks_nothing = await made(api, SESSIONS, PRICE)
    refused = await api.post(f"/test_helpers{SESSIONS}/{asks_nothing['id']}/answer", json={})
    assert (refused.status_code, error(refused)["code"]) == (409, "session_not_open")
