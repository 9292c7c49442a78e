"""The payer's refund page: it works by forms alone, says what happened, and shows nobody's secrets."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.refunds.claims import MOST_CLAIMS
from crypto_checkout.store.checkout import sessions
from tests.support.api import PRICE, App, listed, made, open_app
from tests.support.dashboard import signed_in
from tests.support.mailbox import Mailbox, mailbox

SESSIONS, HELPERS = "/checkout_sessions", "/test_helpers"
MINE = "0x00000000000000000000000000000000000deCAf"
THEIRS = "0x000000000000000000000000000000000BaD0BAD"


async def overpaid(app: App, **fields: Any) -> str:
    session = await made(app.api, SESSIONS, {**PRICE, **fields})
    await app.api.post(f"{HELPERS}{SESSIONS}/{session['id']}/pay", json={"amount": "0.02"})
    await app.api.post(f"{HELPERS}/chain/mine", json={"blocks": 3})
    return str(session["id"])


async def browser(app: App) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app.opened.web, client=("127.0.0.1", 50_000))
    client = httpx.AsyncClient(
        transport=transport, base_url="http://127.0.0.1:4020", headers={"Origin": "http://127.0.0.1:4020"}
    )
    return await app.clients.enter_async_context(client)


def item(page: str) -> str:
    found = re.search(r'name="item" value="([^"]*)"', page)
    assert found is not None, page
    return found[1]


async def test_a_payer_gives_an_address_by_a_form_and_reads_that_it_is_not_proven(app: App) -> None:
    session_id, client = await overpaid(app), await browser(app)
    path = f"/checkout/{session_id}"
    assert f'href="{path}/refund"' in (await client.get(path)).text
    page = (await client.get(f"{path}/refund")).text
    assert "0.01 ETH" in page
    assert "ETH</bdi> on " in page
    given = await client.post(f"{path}/refund", data={"item": item(page), "action": "give", "address": MINE.lower()})
    assert (given.status_code, given.headers["location"]) == (303, f"{path}/refund")
    page = (await client.get(f"{path}/refund")).text
    assert MINE.lower() in page.lower()
    assert "not verified" in page
    (refund,) = (await listed(app.api, "/refunds"))["data"]
    assert (refund["status"], refund["proof"], refund["amount"]["value"]) == ("awaiting_approval", "none", "0.01")
    events = [each["type"] for each in (await listed(app.api, "/events", resourceId=refund["id"]))["data"]]
    assert events == ["refund.address_given", "refund.created"]


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("", "That isn’t a valid address"),
        (MINE.swapcase().replace("X", "x"), "That isn’t a valid address"),
        ("0x" + "00" * 20, "would be lost"),
        ("<script>", "That isn’t a valid address"),
    ],
)
async def test_an_address_that_loses_money_is_refused_with_a_sentence(app: App, address: str, says: str) -> None:
    session_id, client = await overpaid(app), await browser(app)
    path = f"/checkout/{session_id}/refund"
    form = {"item": item((await client.get(path)).text), "action": "give", "address": address}
    refused = await client.post(path, data=form)
    assert refused.status_code == 400
    assert says in refused.text
    assert "<script>" not in refused.text
    assert (await listed(app.api, "/refunds"))["data"] == []


async def test_another_site_gives_no_address(app: App) -> None:
    session_id, client = await overpaid(app), await browser(app)
    path = f"/checkout/{session_id}/refund"
    form = {"item": item((await client.get(path)).text), "action": "give", "address": THEIRS}
    assert (await client.post(path, data=form, headers={"Origin": "https://evil.example"})).status_code == 403
    assert (await listed(app.api, "/refunds"))["data"] == []


async def test_a_refund_of_the_merchant_asks_the_payer_for_the_address(app: App) -> None:
    session = await made(app.api, SESSIONS, PRICE)
    await app.api.post(f"{HELPERS}{SESSIONS}/{session['id']}/pay")
    await app.api.post(f"{HELPERS}/chain/mine", json={"blocks": 3})
    client, path = await browser(app), f"/checkout/{session['id']}/refund"
    assert "nothing to refund" in (await client.get(path)).text
    fields = {"sessionId": session["id"], "amount": "0.003", "reason": "Out of <b>print</b>"}
    refund = await made(app.api, "/refunds", fields)
    page = (await client.get(path)).text
    assert "0.003 ETH" in page
    assert "Out of &lt;b&gt;print&lt;/b&gt;" in page
    await client.post(path, data={"item": refund["id"], "action": "give", "address": MINE})
    shown = (await app.api.get(f"/refunds/{refund['id']}")).json()
    assert (shown["status"], shown["destination"].lower()) == ("awaiting_approval", MINE.lower())
    await app.api.post(f"{HELPERS}/refunds/{refund['id']}/pay")
    page = (await client.get(path)).text
    assert "The money was sent to this address" in page
    gone = await client.post(path, data={"item": refund["id"], "action": "give", "address": THEIRS})
    assert gone.status_code == 400


@asynccontextmanager
async def mailing(tmp_path: Path) -> AsyncIterator[tuple[Mailbox, App]]:
    """Run a shop that can mail to its payers."""
    with mailbox() as box:
        mail = {
            "from": "shop@shop.example",
            "smtp_host": "127.0.0.1",
            "smtp_port": box.port,
            "smtp_security": "none",
        }
        async with open_app(tmp_path, mail=mail) as app:
            yield box, app


def code_in(box: Mailbox) -> str:
    (code,) = re.findall(r"\b\d{6}\b", box.text())
    return str(code)


def forms(page: str, action: str) -> list[str]:
    """Return the addresses of a page's forms with an action."""
    return [
        address
        for form in re.findall(r"<form.*?</form>", page, re.DOTALL)
        if f'name="action" value="{action}"' in form
        for address in re.findall(r'name="address" value="([^"]*)"', form)
    ]


async def test_a_code_in_the_customers_mail_proves_the_address_beside_which_it_was_asked_for(tmp_path: Path) -> None:
    async with mailing(tmp_path) as (box, app):
        nobody, session_id = await overpaid(app), await overpaid(app, customerEmail="ada@example.com")
        client = await browser(app)
        path = f"/checkout/{session_id}/refund"

        async def act(action: str, **form: str) -> httpx.Response:
            key = item((await client.get(path)).text)
            return await client.post(path, data={"item": key, "action": action, **form})

        await act("give", address=THEIRS)
        await act("give", address=MINE)
        page = (await client.get(path)).text
        assert forms(page, "mail") == [checksum(Address(each.lower())) for each in (THEIRS, MINE)]
        # A stranger asks for a code at the same time: each mail names its address, and proves no other.
        mailed = await act("mail", address=MINE)
        assert (mailed.status_code, forms(mailed.text, "code")) == (200, [checksum(Address(MINE.lower()))])
        assert MINE.lower() in box.text().lower()
        assert box.recipients[-1] == ["ada@example.com"]
        code = code_in(box)
        await act("mail", address=THEIRS)
        assert THEIRS.lower() in box.text().lower()
        theirs = code_in(box)
        for guess in (f"{(int(code) + 1) % 10**6:06d}", theirs):
            wrong = await act("code", address=MINE, code=guess)
            assert (wrong.status_code, "That code is wrong or has expired" in wrong.text) == (400, True)
            assert forms(wrong.text, "code") == [checksum(Address(MINE.lower()))]
        assert (await act("code", address=THEIRS, code=code)).status_code == 400
        assert (await act("code", address=MINE, code=code)).status_code == 303
        (refund,) = (await listed(app.api, "/refunds", sessionId=session_id))["data"]
        assert (refund["proof"], refund["destination"].lower()) == ("email", MINE.lower())
        assert (await act("code", address=MINE, code=code)).status_code == 400
        await client.post(f"/checkout/{nobody}/refund", data={"item": "1337:", "address": MINE})
        page = (await client.get(f"/checkout/{nobody}/refund")).text
        assert forms(page, "mail") == [], "nobody's address is known there"


async def test_strangers_who_used_up_the_claims_keep_no_payer_from_a_code(tmp_path: Path) -> None:
    async with mailing(tmp_path) as (box, app):
        session_id = await overpaid(app, customerEmail="ada@example.com")
        client, path = await browser(app), f"/checkout/{session_id}/refund"
        for number in range(MOST_CLAIMS):
            key = item((await client.get(path)).text)
            await client.post(path, data={"item": key, "address": f"0x{0xBAD0BAD0 + number:040x}"})
        form = {"item": item((await client.get(path)).text), "address": MINE.lower()}
        refused = await client.post(path, data=form)
        assert (refused.status_code, MINE.lower() in forms(refused.text, "mail")) == (400, True)
        mailed = await client.post(path, data={**form, "action": "mail"})
        (address,) = forms(mailed.text, "code")
        await client.post(path, data={**form, "action": "code", "address": address, "code": code_in(box)})
        (refund,) = (await listed(app.api, "/refunds", sessionId=session_id))["data"]
        assert (refund["proof"], refund["destination"].lower()) == ("email", MINE.lower())


async def test_five_wrong_codes_are_one_code_less_and_five_codes_a_day_are_all(tmp_path: Path) -> None:
    async with mailing(tmp_path) as (box, app):
        session_id = await overpaid(app, customerEmail="ada@example.com")
        client, path = await browser(app), f"/checkout/{session_id}/refund"
        await client.post(path, data={"item": "1337:", "address": MINE})
        form = {"item": item((await client.get(path)).text), "address": MINE}
        await client.post(path, data={**form, "action": "mail"})
        code = code_in(box)
        for _ in range(5):
            await client.post(path, data={**form, "action": "code", "code": "no"})
        assert (await client.post(path, data={**form, "action": "code", "code": code})).status_code == 400
        answers = [await client.post(path, data={**form, "action": "mail"}) for _ in range(5)]
        assert [each.status_code for each in answers] == [200, 200, 200, 200, 400]
        assert len(box.mails) == 5


async def mailed_code(app: App, language: str) -> str:
    """Have a code mailed from a page in a language, and return the session."""
    session_id, client = await overpaid(app, customerEmail="ada@example.com"), await browser(app)
    form = {"item": "1337:", "action": "mail", "address": MINE}
    mailed = await client.post(f"/checkout/{session_id}/refund", data=form, headers={"Accept-Language": language})
    assert mailed.status_code == 200
    return session_id


async def give(app: App, session_id: str, language: str) -> None:
    """Give the address on a page in a language."""
    client = await browser(app)
    (refund,) = (await listed(app.api, "/refunds", sessionId=session_id))["data"]
    form = {"item": refund["id"], "address": MINE}
    given = await client.post(f"/checkout/{session_id}/refund", data=form, headers={"Accept-Language": language})
    assert given.status_code == 303


async def approve(app: App, session_id: str) -> None:
    """Have the owner approve the address."""
    owner = await signed_in(app)
    (refund,) = (await listed(app.api, "/refunds", sessionId=session_id))["data"]
    form = {"choice": f"none {MINE.lower()}"}
    assert (await owner.post(f"/test/refunds/{refund['id']}/approve", data=form)).status_code == 303


def html_in(box: Mailbox) -> str:
    part = box.mails[-1].get_body(("html",))
    assert part is not None
    return str(part.get_content())


async def test_mails_about_a_refund_are_text_and_html(tmp_path: Path) -> None:
    async with mailing(tmp_path) as (box, app):
        session_id = await mailed_code(app, "en")
        code = code_in(box)
        assert box.mails[-1]["Subject"] == f"{code} is your code for a refund"
        for shown in (box.text(), html_in(box)):
            assert "for a refund to this address:" in shown
            assert f"enter the code {code} on the page" in shown
            assert checksum(Address(MINE.lower())) in shown
            assert "Test mode: no real money" in shown
        assert "Amount: 0.01 ETH" in box.text()
        assert '<html lang="en" dir="ltr">' in html_in(box)
        assert "View receipt" not in html_in(box)
        await give(app, session_id, "en")
        await approve(app, session_id)
        assert len(box.mails) == 2
        assert box.mails[-1]["Subject"] == "Your refund is approved"
        assert "If this isn’t your address, contact the shop at once." in box.text()


async def test_mails_about_a_refund_are_in_the_language_of_the_payers_page(tmp_path: Path) -> None:
    async with mailing(tmp_path) as (box, app):
        session_id = await mailed_code(app, "ar")
        code = code_in(box)
        assert box.mails[-1]["Subject"] == f"رمزك لطلب الاسترداد هو \u2068{code}\u2069"
        assert f"فأدخل الرمز \u2068{code}\u2069 في الصفحة" in box.text()
        assert "المبلغ: \u20680.01 ETH\u2069" in box.text(), "an amount is read from left to right"
        assert '<html lang="ar" dir="rtl">' in html_in(box)
        assert "<bdi>0.01 ETH</bdi>" in html_in(box)
        await give(app, session_id, "de")
        await approve(app, session_id)
        assert box.mails[-1]["Subject"] == "Ihre Erstattung ist freigegeben", "the page was read in German last"
        assert '<html lang="de" dir="ltr">' in html_in(box)


async def test_a_refund_is_mailed_in_english_where_the_language_is_not_known(tmp_path: Path) -> None:
    async with mailing(tmp_path) as (box, app):
        session_id = await mailed_code(app, "tlh")
        assert "is your code for a refund" in box.mails[-1]["Subject"]
        await give(app, session_id, "de")
        await app.opened.db.write(lambda unit: sessions.note_language(unit, session_id, "tlh"))
        await approve(app, session_id)
        assert (len(box.mails), box.mails[-1]["Subject"]) == (2, "Your refund is approved")
        assert '<html lang="en" dir="ltr">' in html_in(box)
