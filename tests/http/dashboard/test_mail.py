"""Mail in the dashboard: what is sent, a test of it, and what became of each receipt."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.api import PRICE, App, made, open_app
from tests.support.dashboard import signed_in
from tests.support.mailbox import Mailbox, mailbox
from tests.support.waiting import until

SESSIONS, HELPERS = "/checkout_sessions", "/test_helpers"


@asynccontextmanager
async def shop(folder: Path, **mail: Any) -> AsyncIterator[tuple[App, httpx.AsyncClient, Mailbox]]:
    with mailbox() as box:
        server = {"from": "shop@pay.example", "smtp_host": "127.0.0.1", "smtp_port": box.port, "smtp_security": "none"}
        async with open_app(folder, mail={**server, "test_mode": True, **mail}) as app:
            yield app, await signed_in(app), box


async def paid(app: App, **fields: Any) -> str:
    session = await made(app.api, SESSIONS, {**PRICE, **fields})
    await app.api.post(f"{HELPERS}{SESSIONS}/{session['id']}/pay", json={"scenario": "exact"})
    return str(session["id"])


async def text_of(owner: httpx.AsyncClient, path: str) -> str:
    answer = await owner.get(path)
    assert answer.status_code == 200, answer.text
    return unescape(answer.text)


async def test_without_a_mail_server_the_page_has_the_lines_to_add(app: App) -> None:
    page = await text_of(await signed_in(app), "/test/settings/mail")
    assert "No email is sent" in page
    assert "notify_paid = " in page


async def test_a_test_goes_to_the_owner_and_its_outcome_is_told(tmp_path: Path) -> None:
    async with shop(tmp_path, notify_paid="daily", notify_to=["owner@shop.example"]) as (_, owner, box):
        page = await text_of(owner, "/test/settings/mail")
        assert "Once a day, at 08:00 UTC, to owner@shop.example" in page
        assert "The test was sent" in unescape((await owner.post("/test/settings/mail")).text)
        assert box.recipients == [["owner@shop.example"]]
        box.refusal = "550 not here"
        refused = unescape((await owner.post("/test/settings/mail")).text)
        assert "The test was not sent" in refused
        assert "550 not here" in refused


async def test_the_payments_page_shows_the_receipt_and_sends_it_again(tmp_path: Path) -> None:
    async with shop(tmp_path) as (app, owner, box):
        session_id = await paid(app, customerEmail="ada@example.com")
        path = f"/test/payments/{session_id}"
        page = await text_of(owner, path)
        assert "-000001" in page
        assert "Not sent" in page
        assert "Send to ada@example.com" in page
        answer = await owner.post(f"{path}/receipt")
        assert answer.status_code == 303
        await until(lambda: box.mails, "the mail")

        async def is_sent() -> bool:
            return "Send again to ada@example.com" in await text_of(owner, path)

        await until(is_sent, "the page that says so")
        await owner.post(f"{path}/receipt")
        await until(lambda: len(box.mails) == 2, "the second mail")
        first, second = (mail["Message-ID"] for mail in box.mails)
        assert (first.partition("@")[0][-2:], second.partition("@")[0][-2:]) == (".1", ".2")
        trail = await text_of(owner, "/test/settings/trail")
        assert "receipt" in trail.lower()


async def test_a_bounce_is_an_issue_until_it_is_sent_again(tmp_path: Path) -> None:
    async with shop(tmp_path, receipts=True) as (app, owner, box):
        box.refusal = "550 no such user"
        session_id = await paid(app, customerEmail="ada@example.com")
        path = f"/test/payments/{session_id}"

        async def has_bounced() -> bool:
            return "Bounced, to ada@example.com" in await text_of(owner, path)

        await until(has_bounced, "the bounce")
        assert "550 no such user" in await text_of(owner, path)
        overview = await text_of(owner, "/test")
        assert "undelivered email" in overview
        box.refusal = None
        await owner.post(f"{path}/receipt")
        await until(lambda: box.mails, "the mail")

        async def is_clear() -> bool:
            return "undelivered email" not in await text_of(owner, "/test")

        await until(is_clear, "the end of the issue")


async def test_what_can_not_be_mailed_is_told(tmp_path: Path) -> None:
    async with shop(tmp_path) as (app, owner, box):
        nobody = await paid(app)
        unpaid = (await made(app.api, SESSIONS, {**PRICE, "customerEmail": "ada@example.com"}))["id"]
        for session_id, reason in ((nobody, "isn't known"), (unpaid, "no valid receipt")):
            answer = await owner.post(f"/test/payments/{session_id}/receipt")
            assert answer.status_code == 303
            assert reason in await text_of(owner, f"/test/payments/{session_id}")
        assert (await owner.post("/test/payments/cs_none/receipt")).status_code == 404
        assert box.mails == []


@pytest.mark.usefixtures("still_rate_limits")
async def test_mails_sent_by_hand_are_limited(tmp_path: Path) -> None:
    async with shop(tmp_path, notify_paid="each", notify_to=["owner@shop.example"]) as (app, owner, box):
        path = f"/test/payments/{await paid(app, customerEmail='ada@example.com')}/receipt"
        for _ in range(6):
            assert (await owner.post("/test/settings/mail")).status_code == 200
            assert (await owner.post(path)).status_code == 303
        for each in (path, "/test/settings/mail", "/test/settings/alerts"):
            assert (await owner.post(each)).status_code == 429
        assert len(box.mails) <= 13
