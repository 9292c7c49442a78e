"""What a link asks its payers, in the dashboard: set by form, shown with the payment, found by the search."""

import re
from collections.abc import Mapping
from html import unescape
from typing import Any

import httpx
import pytest

from tests.http.checkout.test_details import ASKS, FILLED, PRICE, a_payer, fill_in
from tests.support.api import App, listed, made
from tests.support.dashboard import signed_in

FORM: Mapping[str, str] = {"title": "A ring", "amount": "30.00", "currency": "USD"}
FULL: Mapping[str, str] = {
    **FORM,
    "ask_email": "required",
    "ask_name": "optional",
    "ask_note": "no",
    "field1_label": "Your size",
    "field1_type": "choice",
    "field1_required": "required",
    "field1_options": "Small\r\n\r\n Medium \r\n",
    "field3_label": "Engraving",
    "field3_type": "text",
    "field3_required": "optional",
    "field3_length": "20",
    "field3_key": "engraved",
}
OWN = [
    {
        "key": "your_size",
        "label": "Your size",
        "type": "choice",
        "required": True,
        "options": ["Small", "Medium"],
        "maxLength": None,
    },
    {"key": "engraved", "label": "Engraving", "type": "text", "required": False, "options": None, "maxLength": 20},
]


@pytest.fixture
async def owner(app: App) -> httpx.AsyncClient:
    return await signed_in(app)


async def only(app: App) -> dict[str, Any]:
    (link,) = (await listed(app.api, "/payment_links"))["data"]
    return dict(link)


def values(page: str) -> dict[str, str]:
    """Return what a form shows in its fields and selects, as a browser would send it."""
    found = {
        name: unescape(value) for name, value in re.findall(r'<input id="[^"]*" name="([^"]*)" value="([^"]*)"', page)
    }
    for name, body in re.findall(r'<textarea id="[^"]*" name="([^"]*)"[^>]*>(.*?)</textarea>', page, re.DOTALL):
        found[name] = unescape(body)
    for name, body in re.findall(r'<select id="[^"]*" name="([^"]*)"[^>]*>(.*?)</select>', page, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', body) or re.search(r'value="([^"]*)"', body)
        assert chosen is not None
        found[name] = chosen[1]
    return found


async def test_the_form_sets_what_payers_are_asked_and_keeps_it_when_saved_again(
    app: App, owner: httpx.AsyncClient
) -> None:
    assert (await owner.post("/test/links", data=FULL)).status_code == 303
    link = await only(app)
    assert link["payerFields"] == {"email": "required", "name": "optional", "note": "no"}
    assert link["customFields"] == OWN
    shown = (await owner.get(f"/test/links/{link['id']}")).text
    assert "email (required), name (optional)" in shown
    assert "Small, Medium" in shown
    form = values((await owner.get(f"/test/links/{link['id']}/edit")).text)
    assert (await owner.post(f"/test/links/{link['id']}", data=form)).status_code == 303
    again = await only(app)
    assert (again["payerFields"], again["customFields"]) == (link["payerFields"], link["customFields"])
    nothing = {**form, "ask_email": "no", "ask_name": "no"}
    nothing |= {name: "" for name in form if re.fullmatch(r"field\d_(label|key|options|length)", name)}
    await owner.post(f"/test/links/{link['id']}", data=nothing)
    none = await only(app)
    assert (none["payerFields"], none["customFields"]) == (None, None)


@pytest.mark.parametrize(
    ("wrong", "field", "words"),
    [
        ({"field1_options": ""}, "field1_options", "one per line"),
        ({"field1_options": "S\nS"}, "field1_options", "only once"),
        ({"field1_options": "x" * 101}, "field1_options", "at most 100"),
        ({"field1_type": "text"}, "field1_options", "Only a choice"),
        ({"field1_length": "5"}, "field1_length", "Only a line"),
        ({"field3_length": "0"}, "field3_length", "1 to 500"),
        ({"field3_length": "٣"}, "field3_length", "1 to 500"),
        ({"field3_key": "your_size"}, "field3_key", "another question"),
        ({"field3_label": ""}, "field3_label", ""),
        ({"metadata": "engraved = yes"}, "metadata", "key of metadata"),
    ],
)
async def test_a_mistake_is_said_at_its_field_and_nothing_is_lost(
    app: App, owner: httpx.AsyncClient, wrong: dict[str, str], field: str, words: str
) -> None:
    sent = {**FULL, **wrong}
    answer = await owner.post("/test/links", data=sent)
    assert answer.status_code == 400
    said = re.search(rf'id="{field}-wrong">(.*?)</p>', answer.text)
    assert said is not None
    assert words in said[1]
    kept = values(answer.text)
    assert {name: kept[name] for name in sent} == {name: value.replace("\r\n", "\n") for name, value in sent.items()}
    assert (await listed(app.api, "/payment_links"))["data"] == []


async def test_a_payment_shows_the_answers_and_is_found_by_them(app: App, owner: httpx.AsyncClient) -> None:
    session = await made(app.api, "/checkout_sessions", {**PRICE, **ASKS})
    path = f"/test/payments/{session['id']}"
    assert "has seen no address" in (await owner.get(path)).text
    assert "form not filled in" in (await owner.get("/test/payments")).text
    answers = {**FILLED, "name": "Ada <b>Lovelace</b>", "note": "Leave it\nwith the neighbour"}
    await fill_in(await a_payer(app), session, answers, "mine")
    page = (await owner.get(path)).text
    for told in ("ada@example.com", "Ada &lt;b&gt;Lovelace", "with the neighbour", "Your size", "For C."):
        assert told in page
    assert "filled in the form, and" not in page
    assert "The payer filled in the form." in page
    assert page.count("became pending") <= 1, "an answer changes no status"
    for text in ("ada@example.com", "lovelace", "NEIGHBOUR", "size=M", "For C.", "customerName=Ada"):
        found = (await owner.get("/test/payments", params={"q": text})).text
        assert session["id"] in found, text
    await fill_in(await a_payer(app), session, {**answers, "name": "Charles", "note": ""}, "mine")
    for text in ("lovelace", "neighbour"):
        assert session["id"] not in (await owner.get("/test/payments", params={"q": text})).text
    assert session["id"] in (await owner.get("/test/payments", params={"q": "charles"})).text
