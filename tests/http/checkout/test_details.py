"""The form for what a session asks of its payer: shown first, filled in once, corrected by its own browser only."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from crypto_checkout.http.checkout.translations import LANGUAGES
from tests.support.api import App, Clock, listed, made, open_app

SESSIONS = "/checkout_sessions"
FIELDS = [
    {"key": "size", "label": "Your size", "type": "choice", "required": True, "options": ["S", "M"]},
    {"key": "engraving", "label": "Engraving", "type": "text", "maxLength": 20},
]
ASKS = {
    "payerFields": {"email": "required", "name": "optional", "note": "optional"},
    "customFields": FIELDS,
}
PRICE = {"amount": {"value": "30.00", "currency": "USD"}}
FILLED = {"email": "ada@example.com", "name": "Ada", "note": "Hello", "field-1": "M", "field-2": "For C."}


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    async with open_app(tmp_path) as opened:
        yield opened


async def a_payer(app: App) -> httpx.AsyncClient:
    client = await app.anybody()
    client.base_url = httpx.URL("http://127.0.0.1:4020")
    return client


async def fill_in(
    payer: httpx.AsyncClient, session: Mapping[str, Any], fields: Mapping[str, str], secret: str = "s"
) -> httpx.Response:
    form = {"secret": secret, **fields}
    return await payer.post(f"/checkout/{session['id']}/details", content=urlencode(form))


async def look(app: App, session: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await app.api.get(f"{SESSIONS}/{session['id']}")).json()
    return found


def plain(page: httpx.Response) -> str:
    return unescape(re.sub(r"<wbr>|\s+", " ", page.text))


async def updates(app: App, session: Mapping[str, Any]) -> list[dict[str, Any]]:
    page = await listed(app.api, "/events", resourceId=session["id"], type="session.updated")
    return [each["data"] for each in page["data"]]


# --- before the answer -----------------------------------------------------------------------------------------------


async def test_until_it_is_filled_in_nothing_public_has_the_address(app: App) -> None:
    session = await made(app.api, SESSIONS, {**PRICE, **ASKS})
    assert session["payerAnswered"] is False
    payer = await a_payer(app)
    for path in ("", "?qr=address", "?qr=request", "/status", "/details", "/choose", "/refund", "/preview.png"):
        answer = await payer.get(f"/checkout/{session['id']}{path}", follow_redirects=True)
        assert answer.status_code == 200, path
        told = answer.content.replace(b"<wbr>", b"").lower()
        for secret in (session["address"], session["address"][2:7], session["address"][-5:], "ethereum:"):
            assert secret.lower().encode() not in told, path
        assert b'class="qr' not in told
    status = (await payer.get(f"/checkout/{session['id']}/status")).json()
    assert (status["payerAnswered"], status["address"], status["paymentUri"]) == (False, None, None)
    assert (await look(app, session))["address"] == session["address"], "the merchant's API shows it"


async def test_a_session_that_ends_unanswered_never_shows_its_address(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        session = await made(app.api, SESSIONS, {**PRICE, **ASKS})
        payer = await a_payer(app)
        clock.move(hours=1)
        page = await payer.get(f"/checkout/{session['id']}")
        assert "This payment has expired" in plain(page) or "expired" in plain(page)
        assert session["address"] not in page.text
        assert (await payer.get(f"/checkout/{session['id']}/status")).json()["address"] is None
        answer = await fill_in(payer, session, FILLED)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/checkout/{session['id']}")
        assert (await look(app, session))["customerEmail"] is None


async def test_a_session_that_asks_nothing_shows_its_address_at_once(app: App) -> None:
    nothing: dict[str, Any] = {"payerFields": {"email": "no"}, "customFields": []}
    for asks in ({}, nothing):
        session = await made(app.api, SESSIONS, {**PRICE, **asks})
        assert session["payerAnswered"] is True
        assert session["address"][2:6] in (await (await a_payer(app)).get(f"/checkout/{session['id']}")).text


async def test_what_the_merchant_gave_is_not_asked_again(app: App) -> None:
    session = await made(app.api, SESSIONS, {**PRICE, **ASKS, "customerEmail": "eve@example.com"})
    assert session["payerFields"] == {"email": "no", "name": "optional", "note": "optional"}
    payer = await a_payer(app)
    page = await payer.get(f"/checkout/{session['id']}")
    assert 'name="email"' not in page.text
    assert "eve@example.com" not in page.text
    await fill_in(payer, session, FILLED)
    assert (await look(app, session))["customerEmail"] == "eve@example.com"
    known = {**PRICE, "payerFields": {"email": "required", "name": "required"}, "customerEmail": "eve@example.com"}
    assert (await made(app.api, SESSIONS, {**known, "customerName": "Eve"}))["payerAnswered"] is True


# --- the answer ------------------------------------------------------------------------------------------------------


async def test_the_answers_are_kept_as_customer_and_metadata_and_told_in_one_event(app: App) -> None:
    session = await made(app.api, SESSIONS, {**PRICE, **ASKS, "metadata": {"order": "7"}})
    payer = await a_payer(app)
    answer = await fill_in(payer, session, FILLED)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/checkout/{session['id']}")
    answered = await look(app, session)
    assert (answered["customerEmail"], answered["customerName"]) == ("ada@example.com", "Ada")
    assert answered["customerNote"] == "Hello"
    assert answered["metadata"] == {"order": "7", "size": "M", "engraving": "For C."}
    assert answered["payerAnswered"] is True
    assert await updates(app, session) == [answered]
    page = await payer.get(f"/checkout/{session['id']}")
    assert session["address"][2:6] in page.text
    for told in FILLED.values():
        assert f">{told}<" not in page.text, "whoever has the link reads no answers"
    assert (await payer.get(f"/checkout/{session['id']}/status")).json()["address"] == session["address"]


async def test_a_paid_session_makes_a_customer_with_the_name_and_keeps_a_name_that_the_merchant_set(app: App) -> None:
    await made(app.api, "/customers", {"email": "BOB@example.com", "name": "Robert"})
    await made(app.api, "/customers", {"email": "eve@example.com"})
    for email, name in (("ada@example.com", "Ada"), ("bob@example.com", "Robert"), ("eve@example.com", "Ada")):
        session = await made(app.api, SESSIONS, {**PRICE, **ASKS})
        await fill_in(await a_payer(app), session, {**FILLED, "email": email})
        await app.api.post(f"/test_helpers/checkout_sessions/{session['id']}/pay", json={"scenario": "exact"})
        (customer,) = (await app.api.get("/customers", params={"email": email})).json()["data"]
        assert customer["name"] == name


async def test_what_is_wrong_is_said_beside_its_field_and_what_was_typed_is_kept(app: App) -> None:
    session = await made(app.api, SESSIONS, {**PRICE, **ASKS})
    payer = await a_payer(app)
    wrong = {"email": "ada@nowhere", "name": "Ada & <b>", "note": 'a "note"\n</textarea>', "field-2": "x" * 21}
    page = await fill_in(payer, session, wrong)
    assert page.status_code == 400
    problems = dict(re.findall(r'id="([a-z0-9-]+)-problem">.*?<span>(.*?)</span>', page.text, re.DOTALL))
    assert problems == {
        "email": "Enter an email address like name@example.com.",
        "field-1": "Choose one of these.",
        "field-2": "This is too long. Maximum number of characters: 20",
    }
    for name in problems:
        described = re.search(rf'<(?:input|select)[^>]* id="{name}"[^>]*>', page.text)
        assert described is not None
        assert f'aria-describedby="{name}-problem"' in described[0]
        assert 'aria-invalid="true"' in described[0]
    assert page.text.count("autofocus") == 1
    assert 'value="ada@nowhere"' in page.text
    assert "Ada &amp; &lt;b&gt;" in page.text
    assert "&lt;/textarea&gt;" in page.text
    assert (await look(app, session))["payerAnswered"] is False
    assert await updates(app, session) == []


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_form_is_in_the_payers_language(app: App, language: str) -> None:
    session = await made(app.api, SESSIONS, {**PRICE, **ASKS})
    payer = await a_payer(app)
    page = await payer.get(f"/checkout/{session['id']}?lang={language}")
    assert page.status_code == 200
    assert ("Your details" in page.text) == (language == "en")
    wrong = await fill_in(payer, session, {})
    assert wrong.text.count('class="problem"') == 2


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ({"note": "<script>alert(1)</script>"}, {"customerNote": "<script>alert(1)</script>"}),
        ({"name": "=cmd|' /C calc'!A0"}, {"customerName": "=cmd|' /C calc'!A0"}),
        ({"name": "Ada\u202egnp.exe"}, {"customerName": "Adagnp.exe"}),
        ({"name": " \u2067Ada\u2069 "}, {"customerName": "Ada"}),
        ({"name": "\u200b\u00ad\u3000"}, {"customerName": None}),
        ({"name": "عَبْد‌الله 🥐"}, {"customerName": "عَبْد‌الله 🥐"}),
        ({"note": "a\r\nb\rc\u2028d"}, {"customerNote": "a\nb\nc\nd"}),
        ({"field-2": "'; DROP TABLE checkout_sessions; --"[:20]}, {}),
        ({"field-3": "x", "customerEmail": "y", "metadata": "z", "key": "w"}, {"customerNote": "Hello"}),
    ],
)
async def test_hostile_values_are_kept_as_text(app: App, typed: dict[str, str], kept: dict[str, Any]) -> None:
    session = await made(app.api, SESSIONS, {**PRICE, **ASKS})
    answer = await fill_in(await a_payer(app), session, {**FILLED, **typed})
    assert answer.status_code == 303
    answered = await look(app, session)
    assert {name: answered[name] for name in kept} == kept
    assert set(answered["metadata"]) == {"size", "engraving"}


@pytest.mark.parametrize(
    "typed",
    [
        {"name": "a\x00b"},
        {"name": "a\x1b[31m"},
        {"name": "two\nlines"},
        {"field-2": "tab\there"},
        {"note": "bell\x07"},
        {"name": "x" * 201},
        {"note": "x" * 501},
        {"email": f"{'x' * 250}@example.com"},
        {"email": "ada\u202e@example.com"},
        {"email": "ada@example.com\r\nBcc: all@example.com"},
        {"email": "ada@example.com, eve@example.com"},
        {"field-1": "XL"},
        {"field-1": "s"},
    ],
)
async def test_what_cant_be_kept_is_refused(app: App, typed: dict[str, str]) -> None:
    session = await made(app.api, SESSIONS, {**PRICE, **ASKS})
    answer = await fill_in(await a_payer(app), session, {**FILLED, **typed})
    assert answer.status_code == 400
    assert answer.text.count('class="problem"') == 1
    assert (await look(app, session))["payerAnswered"] is False


async def test_a_form_of_ten_megabytes_is_refused_unread(app: App) -> None:
    session = await made(app.api, SESSIONS, {**PRICE, **ASKS})
    answer = await fill_in(await a_payer(app), session, {**FILLED, "note": "x" * 10_000_000})
    assert answer.status_code == 413
    assert (await look(app, session))["payerAnswered"] is False


async def test_another_sites_form_changes_nothing(app: App) -> None:
    session = await made(app.api, SESSIONS, {**PRICE, **ASKS})
    payer = await a_payer(app)
    payer.headers["Sec-Fetch-Site"] = "cross-site"
    assert (await fill_in(payer, session, FILLED)).status_code == 403
    assert (await look(app, session))["payerAnswered"] is False


# --- corrections -----------------------------------------------------------------------------------------------------


async def test_the_browser_that_filled_it_in_can_correct_it_until_money_comes(app: App) -> None:
    session = await made(app.api, SESSIONS, {**PRICE, **ASKS})
    payer = await a_payer(app)
    await fill_in(payer, session, FILLED, "mine")
    path = f"/checkout/{session['id']}/details"
    form = await payer.get(path)
    assert form.status_code == 200
    assert 'value="ada@example.com"' in form.text
    assert 'name="secret" value="mine"' in form.text
    answer = await fill_in(payer, session, {**FILLED, "email": "ada@example.org", "field-2": ""}, "mine")
    assert answer.status_code == 303
    corrected = await look(app, session)
    assert corrected["customerEmail"] == "ada@example.org"
    assert corrected["metadata"] == {"size": "M"}
    assert len(await updates(app, session)) == 2
    await fill_in(payer, session, {**FILLED, "email": "ada@example.org", "field-2": ""}, "mine")
    assert len(await updates(app, session)) == 2, "the same again is told once"
    await app.api.post(f"/test_helpers/checkout_sessions/{session['id']}/pay", json={"amount": "0.001"})
    assert (await fill_in(payer, session, FILLED, "mine")).status_code == 409
    assert (await payer.get(path)).status_code == 303
    assert (await look(app, session))["customerEmail"] == "ada@example.org"


async def test_nobody_else_reads_or_changes_the_answers(app: App) -> None:
    session = await made(app.api, SESSIONS, {**PRICE, **ASKS})
    await fill_in(await a_payer(app), session, FILLED, "mine")
    stranger = await a_payer(app)
    answer = await fill_in(stranger, session, {**FILLED, "email": "eve@example.com"}, "guess")
    assert answer.status_code == 409
    assert "ada@example.com" not in answer.text
    for secret in ("", "guess"):
        stranger.cookies.set("details", secret)
        assert (await stranger.get(f"/checkout/{session['id']}/details")).status_code == 303
    assert (await look(app, session))["customerEmail"] == "ada@example.com"


async def test_answers_can_be_corrected_only_so_often(app: App) -> None:
    session = await made(app.api, SESSIONS, {**PRICE, **ASKS})
    payer = await a_payer(app)
    answers = [(await fill_in(payer, session, {**FILLED, "name": f"Ada {n}"})).status_code for n in range(12)]
    assert answers == [303] * 10 + [409] * 2
    assert len(await updates(app, session)) == 10
    assert (await look(app, session))["customerName"] == "Ada 9"


async def test_of_two_browsers_at_once_the_first_wins_and_a_double_click_counts_once(app: App) -> None:
    session = await made(app.api, SESSIONS, {**PRICE, **ASKS})
    payers = [await a_payer(app) for _ in range(8)]
    answers = await asyncio.gather(
        *(
            fill_in(payer, session, {**FILLED, "email": f"{n // 2}@example.com"}, f"secret {n // 2}")
            for n, payer in enumerate(payers)
        )
    )
    assert sorted(each.status_code for each in answers) == [303] * 2 + [409] * 6
    (event,) = await updates(app, session)
    winner = next(n for n, each in enumerate(answers) if each.status_code == 303)
    assert event["customerEmail"] == f"{winner // 2}@example.com"
    assert (await look(app, session))["customerEmail"] == event["customerEmail"]


# --- money without an answer -----------------------------------------------------------------------------------------


async def test_money_that_comes_before_an_answer_counts_and_ends_the_asking(app: App) -> None:
    session = await made(app.api, SESSIONS, {**PRICE, **ASKS})
    pay = f"/test_helpers/checkout_sessions/{session['id']}/pay"
    assert (await app.api.post(pay, json={"amount": "0.004"})).status_code == 200
    payer = await a_payer(app)
    page = await payer.get(f"/checkout/{session['id']}")
    assert 'class="details"' not in page.text
    assert session["address"][2:6] in page.text
    answer = await fill_in(payer, session, FILLED)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/checkout/{session['id']}")
    await app.api.post(pay, json={})
    await app.api.post("/test_helpers/chain/mine", json={"blocks": 5})
    assert (await look(app, session))["status"] == "paid"
    assert (await look(app, session))["payerAnswered"] is False
    assert (await look(app, session))["customerEmail"] is None


@pytest.mark.parametrize("scenario", ["exact", "underpaid", "overpaid", "late", "wrong_token", "reorged_after_paid"])
async def test_every_scenario_plays_on_a_session_that_asks(app: App, scenario: str) -> None:
    session = await made(app.api, SESSIONS, {**PRICE, **ASKS})
    pay = f"/test_helpers/checkout_sessions/{session['id']}/pay"
    assert (await app.api.post(pay, json={"scenario": scenario})).status_code == 200
    page = await (await a_payer(app)).get(f"/checkout/{session['id']}")
    assert page.status_code == 200
    assert 'class="details"' not in page.text


async def test_the_questions_come_before_the_choice_of_a_coin(app: App) -> None:
    assets = [{"chainId": 1337, "asset": "ETH"}, {"chainId": 1337, "asset": "USDC"}]
    session = await made(app.api, SESSIONS, {**PRICE, **ASKS, "assets": assets})
    payer = await a_payer(app)
    assert 'class="details"' in (await payer.get(f"/checkout/{session['id']}")).text
    await fill_in(payer, session, FILLED)
    page = await payer.get(f"/checkout/{session['id']}")
    assert 'class="choices"' in page.text
    assert session["address"][2:7] not in page.text


async def test_a_link_asks_what_it_asked_when_the_session_was_made(app: App) -> None:
    link = await made(app.api, "/payment_links", {"title": "A ring", "fiatAmount": "30.00", **ASKS})
    payer = await a_payer(app)
    visit = await payer.get(f"/l/{link['slug']}")
    session_id = visit.headers["location"].rpartition("/")[2]
    await app.api.patch(f"/payment_links/{link['id']}", json={"payerFields": None, "customFields": None})
    session = (await app.api.get(f"{SESSIONS}/{session_id}")).json()
    assert session["payerFields"] == {"email": "required", "name": "optional", "note": "optional"}
    assert [each["key"] for each in session["customFields"]] == ["size", "engraving"]
    page = await payer.get(f"/checkout/{session_id}")
    assert 'class="details"' in page.text
    assert "A ring" in page.text
    later = await made(app.api, SESSIONS, {"linkId": link["id"]})
    assert (later["payerFields"], later["customFields"], later["payerAnswered"]) == (None, None, True)
