"""Mails about payments, by a real mail server: to whom, when, in which words, and what becomes of those refused."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from crypto_checkout.core.errors import MailRefused
from crypto_checkout.core.receipts.mail import PAUSES, Mail, MailKind, MailStatus
from crypto_checkout.mail import Letter, MailServer
from crypto_checkout.store.receipts import mails as store
from tests.support.api import PRICE, App, made, open_app
from tests.support.mailbox import Mailbox, mailbox
from tests.support.waiting import until

SESSIONS, HELPERS = "/checkout_sessions", "/test_helpers"
START = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
FROM, ADA = "shop@pay.example", "ada@example.com"


class Clock:
    """A clock that stands still until it is set forward."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@asynccontextmanager
async def shop(folder: Path, box: Mailbox, clock: Clock, **mail: Any) -> AsyncIterator[App]:
    """Run a shop that mails receipts in test mode too."""
    settings = {
        "from": FROM,
        "smtp_host": "127.0.0.1",
        "smtp_port": box.port,
        "smtp_security": "none",
        "receipts": True,
        "test_mode": True,
        **mail,
    }
    branding = {"name": "Tea & Sons", "support_email": "help@pay.example", "color": "#ffb000"}
    async with open_app(folder, clock=clock, mail=settings, branding=branding) as app:
        yield app


async def paid(app: App, scenario: str = "exact", language: str | None = None, **fields: Any) -> str:
    session = await made(app.api, SESSIONS, {**PRICE, "customerEmail": ADA, **fields})
    if language is not None:
        transport = httpx.ASGITransport(app=app.opened.web, client=("127.0.0.1", 50_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:4020") as payer:
            await payer.get(f"/checkout/{session['id']}", headers={"Accept-Language": language})
    path = f"{HELPERS}{SESSIONS}/{session['id']}/pay"
    assert (await app.api.post(path, json={"scenario": scenario})).status_code == 200
    return str(session["id"])


async def mail_of(app: App, session_id: str, kind: MailKind = MailKind.RECEIPT) -> Mail:
    found = await app.opened.db.read(lambda unit: store.find(unit, kind, False, session_id))
    assert found is not None
    return found


async def in_state(app: App, subject_id: str, status: MailStatus, kind: MailKind = MailKind.RECEIPT) -> Mail:
    """Wait until the receipt of a session, or another mail, is in a state."""

    async def is_there() -> bool:
        return (await mail_of(app, subject_id, kind)).status is status

    await until(is_there, f"the {kind} mail is {status}")
    return await mail_of(app, subject_id, kind)


async def after_an_attempt(app: App, session_id: str) -> Mail:
    """Wait until the receipt of a session was tried to be sent."""

    async def was_tried() -> bool:
        return (await mail_of(app, session_id)).attempts > 0

    await until(was_tried, "an attempt")
    return await mail_of(app, session_id)


def parts(mail: EmailMessage) -> dict[str, str]:
    return {part.get_content_type(): part.get_content() for part in mail.walk() if not part.is_multipart()}


async def test_a_payer_gets_the_receipt_in_the_language_of_their_page(tmp_path: Path) -> None:
    with mailbox() as box:
        async with shop(tmp_path, box, Clock()) as app:
            session_id = await paid(app, language="ar")
            await until(lambda: box.mails, "the mail")
            number = (await app.api.get(f"{SESSIONS}/{session_id}")).json()["receiptNumber"]
        (mail,) = box.mails
        assert (mail["To"], mail["Reply-To"]) == (ADA, "help@pay.example")
        assert mail["From"].addresses[0].display_name == "Tea & Sons"
        assert mail["From"].addresses[0].addr_spec == FROM
        assert mail["Message-ID"] == f"<receipt.test.{session_id}.1@pay.example>"
        assert mail["Auto-Submitted"] == "auto-generated"
        assert number in mail["Subject"]
        found = parts(mail)
        assert list(found) == ["text/plain", "text/html"]
        assert f"/checkout/{session_id}/receipt?lang=ar" in found["text/plain"]
        assert 'dir="rtl"' in found["text/html"]
        assert "شكرًا لك" in found["text/plain"]
        assert "السعر: \u206830.00 USD\u2069" in found["text/plain"], "an amount is read from left to right"
        assert "Tea &amp; Sons" in found["text/html"]
        assert "background: #ffb000; color: #000000" in found["text/html"], "the button is in the shop's color"


async def test_a_session_is_mailed_once_whatever_becomes_of_it(tmp_path: Path) -> None:
    clock = Clock()
    with mailbox() as box:
        async with shop(tmp_path, box, clock) as app:
            session_id = await paid(app, "overpaid")
            await until(lambda: box.mails, "the mail")
            assert (await app.api.post(f"{SESSIONS}/{session_id}/accept")).status_code == 200
            other = await paid(app)
            await in_state(app, other, MailStatus.SENT)
            assert len(box.mails) == 2
        clock.now += timedelta(days=3)
        async with shop(tmp_path, box, clock) as app:
            third = await paid(app)
            await in_state(app, third, MailStatus.SENT)
        assert len(box.mails) == 3


async def test_a_mail_server_that_is_down_delays_the_receipt_and_loses_none(tmp_path: Path) -> None:
    clock = Clock()
    with mailbox() as box:
        box.refusal = "451 come back later"
        async with shop(tmp_path, box, clock) as app:
            session_id = await paid(app)
            waiting = await after_an_attempt(app, session_id)
            assert (waiting.status, waiting.attempts) == (MailStatus.PENDING, 1)
            assert "451" in (waiting.error or "")
            assert waiting.next_attempt_at == START + PAUSES[0]
        box.refusal = None
        clock.now += PAUSES[0]
        async with shop(tmp_path, box, clock) as app:  # a restart looks at once
            sent = await in_state(app, session_id, MailStatus.SENT)
            assert (sent.attempts, sent.error, sent.sent_at) == (2, None, clock.now)
        assert len(box.mails) == 1


@pytest.mark.parametrize("ahead", [timedelta(days=2), timedelta(days=3_650)])
async def test_a_clock_that_was_ahead_keeps_no_receipt_waiting(tmp_path: Path, ahead: timedelta) -> None:
    clock = Clock()
    clock.now += ahead
    with mailbox() as box:
        box.refusal = "451 come back later"
        async with shop(tmp_path, box, clock) as app:
            session_id = await paid(app)
            await after_an_attempt(app, session_id)
        box.refusal, clock.now = None, START
        async with shop(tmp_path, box, clock) as app:
            await in_state(app, session_id, MailStatus.SENT)
        assert len(box.mails) == 1


async def test_a_refusal_for_good_is_a_bounce_that_needs_a_person(tmp_path: Path) -> None:
    with mailbox() as box:
        box.refusal = "550 no such user"
        async with shop(tmp_path, box, Clock()) as app:
            session_id = await paid(app)
            bounced = await in_state(app, session_id, MailStatus.BOUNCED)
            assert bounced.attempts == 1
            assert "550 no such user" in (bounced.error or "")
        assert box.mails == []


class HostileServer(asyncio.Protocol):
    """A mail server that refuses each message in bytes of its own: no UTF-8, and what a terminal obeys."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(b"220 ready\r\n")

    def data_received(self, data: bytes) -> None:
        answer = b"550 Empf\xe4nger\x1b[2J\x00 unbekannt\r\n" if data[:4] == b"RCPT" else b"250 ok\r\n"
        self._transport.write(answer)


async def test_a_refusal_in_any_bytes_is_recorded_as_text(tmp_path: Path) -> None:
    server = await asyncio.get_running_loop().create_server(HostileServer, "127.0.0.1", 0)
    async with server, shop(tmp_path, Mailbox(server.sockets[0].getsockname()[1]), Clock()) as app:
        bounced = await in_state(app, await paid(app), MailStatus.BOUNCED)
    assert bounced.error is not None
    assert "550 Empf" in bounced.error
    assert "unbekannt" in bounced.error
    assert bounced.error.isprintable()


async def test_a_receipt_waits_while_its_payment_is_reversed(tmp_path: Path) -> None:
    clock = Clock()
    with mailbox() as box:
        box.refusal = "451 come back later"
        async with shop(tmp_path, box, clock) as app:
            session_id = await paid(app, "reorged_after_paid")  # a mail may be refused before it is reversed
        box.refusal = None
        clock.now += timedelta(hours=1)
        async with shop(tmp_path, box, clock) as app:
            await in_state(app, session_id, MailStatus.HELD)
            assert box.mails == []
            await app.api.post(f"{HELPERS}{SESSIONS}/{session_id}/pay", json={})
            await app.api.post(f"{HELPERS}/chain/mine", json={"blocks": 5})
            await in_state(app, session_id, MailStatus.SENT)
        assert len(box.mails) == 1


@pytest.mark.parametrize("settings", [{"test_mode": False}, {"receipts": False}])
async def test_nothing_is_mailed_unless_it_is_switched_on(tmp_path: Path, settings: dict[str, Any]) -> None:
    with mailbox() as box:
        async with shop(tmp_path, box, Clock(), **settings) as app:
            session_id = await paid(app)
            assert (
                await app.opened.db.read(lambda unit: store.find(unit, MailKind.RECEIPT, False, session_id))
            ) is None
        assert box.mails == []


async def test_a_session_without_an_address_is_not_mailed_to(tmp_path: Path) -> None:
    with mailbox() as box:
        async with shop(tmp_path, box, Clock()) as app:
            session_id = await paid(app, customerEmail=None)
            row = await app.opened.db.read(lambda unit: unit.one("SELECT COUNT(*) AS found FROM mails"))
            assert row is not None
            assert row["found"] == 0, session_id
        assert box.mails == []


async def test_a_payer_of_a_part_is_thanked_for_that_part(tmp_path: Path) -> None:
    with mailbox() as box:
        async with shop(tmp_path, box, Clock()) as app:
            session_id = await paid(app, "underpaid")
            await app.api.post(f"{SESSIONS}/{session_id}/accept")
            await in_state(app, session_id, MailStatus.SENT)
    plain = box.mails[-1].get_body(("plain",))
    assert plain is not None
    text = str(plain.get_content())
    assert "Your payment of 15.00 USD to Tea & Sons has arrived." in text
    assert "Received: 0.005 ETH (15.00 USD)" in text


async def test_the_owner_is_told_of_each_payment(tmp_path: Path) -> None:
    with mailbox() as box:
        wanted = {"receipts": False, "notify_paid": "each", "notify_to": ["owner@shop.example", "two@shop.example"]}
        async with shop(tmp_path, box, Clock(), **wanted) as app:
            link = await made(app.api, "/payment_links", {"title": "Earl Grey", "fiatAmount": "30.00"})
            session = await made(app.api, SESSIONS, {"linkId": link["id"], "customerEmail": ADA})
            await app.api.post(f"{HELPERS}{SESSIONS}/{session['id']}/pay", json={"scenario": "exact"})
            await until(lambda: box.mails, "the mail")
        (mail,) = box.mails
        assert box.recipients == [["owner@shop.example", "two@shop.example"]]
        assert mail["Subject"] == "[Tea & Sons] (test mode) You got paid 30.00 USD"
        text = box.text()
        assert "0.01 ETH on Sandbox arrived for 30.00 USD." in text
        assert "For: Earl Grey" in text
        assert f"Customer: {ADA}" in text
        assert f"/dashboard/test/payments/{session['id']}" in text


async def test_the_daily_mail_has_what_was_paid_since_the_last_one(tmp_path: Path) -> None:
    clock = Clock()
    daily = {"receipts": False, "notify_paid": "daily", "notify_to": ["owner@shop.example"], "daily_at": 8}
    daily["time_zone"] = "Europe/Berlin"
    with mailbox() as box:
        async with shop(tmp_path, box, clock, **daily) as app:
            await paid(app)
            await paid(app, amount={"value": "12.50", "currency": "EUR"})
            await paid(app, "reorged_after_paid")
        assert box.mails == []
        # Two days later, past the hour in Berlin (7:00 UTC): one mail has both days.
        clock.now = datetime(2026, 11, 25, 7, 1, tzinfo=UTC)
        async with shop(tmp_path, box, clock, **daily) as app:
            await until(lambda: box.mails, "the mail")
            # The server notes it a moment after the mailbox has it; one that ends before would send it again.
            await in_state(app, "2026-11-25", MailStatus.SENT, MailKind.DAY)
        (mail,) = box.mails
        assert mail["Subject"] == "[Tea & Sons] (test mode) 3 payments, 12.50 EUR, 30.00 USD"
        text = box.text()
        assert "From 2026-11-23 08:00 to 2026-11-25 08:00 (Europe/Berlin):" in text
        assert re.search(r"\* 30.00 USD, receipt T2026-00000\d \(reversed since\)", text)
        assert "Needs attention:" in text
        async with shop(tmp_path, box, clock, **daily) as app:
            row = await app.opened.db.read(
                lambda unit: unit.all("SELECT subject_id, status FROM mails WHERE kind = 'day' AND livemode = 0")
            )
        assert {each["subject_id"]: each["status"] for each in row} == {"2026-11-23": "empty", "2026-11-25": "sent"}
        assert len(box.mails) == 1


async def test_the_owners_mails_have_what_was_received_where_that_is_not_the_price(tmp_path: Path) -> None:
    clock = Clock()
    owner = {"receipts": False, "notify_to": ["owner@shop.example"], "daily_at": 8, "time_zone": "UTC"}
    with mailbox() as box:
        async with shop(tmp_path, box, clock, **owner, notify_paid="each") as app:
            session_id = await paid(app, "underpaid")
            accepted = await app.api.post(f"{SESSIONS}/{session_id}/accept")
            assert (accepted.json()["status"], accepted.json()["fiat"]["amount"]) == ("paid", "30.00")
            await in_state(app, session_id, MailStatus.SENT, MailKind.PAID)
        assert box.mails[0]["Subject"] == "[Tea & Sons] (test mode) You got paid 15.00 USD"
        assert "0.005 ETH on Sandbox, worth 15.00 USD, arrived for 30.00 USD." in box.text()
        box.mails.clear()
        async with shop(tmp_path, box, clock, **owner, notify_paid="daily") as app:
            await paid(app)
            await paid(app, "overpaid")
        clock.now = datetime(2026, 11, 24, 8, 1, tzinfo=UTC)
        async with shop(tmp_path, box, clock, **owner, notify_paid="daily"):
            await until(lambda: box.mails, "the mail")
        # As the dashboard's revenue does: half the price, the price, and twice the price.
        assert box.mails[0]["Subject"] == "[Tea & Sons] (test mode) 3 payments, 105.00 USD"
        text = box.text()
        assert "* 15.00 USD for 30.00 USD, receipt T2026-000001" in text
        assert "* 30.00 USD, receipt T2026-000002" in text
        assert "* 60.00 USD for 30.00 USD, receipt T2026-000003" in text


HOSTILE = ["a@b.example\r\nBcc: x@y.example", "a@b.example, x@y.example", "<script>@b.example\n", "a b@c.example"]
UNREADABLE = [
    "<a@b.example",
    "(@b.example",
    ":@b.example",
    "a@[b.example",
    'a"@b.example',
    "a(x)@b.example",
    "é@b.example",
]
"""Addresses that payers may type, which no mail program can read, or not as one address."""


@pytest.mark.parametrize("address", HOSTILE + UNREADABLE)
async def test_no_address_can_add_a_header_or_a_receiver(address: str) -> None:
    with mailbox() as box:
        server = MailServer("127.0.0.1", box.port, "none")
        with pytest.raises(MailRefused):
            await server.send(Letter(FROM, [address], "subject", "text"), START)
        assert box.mails == []


@pytest.mark.parametrize("field", ["subject", "sender_name", "message_id", "reply_to"])
async def test_no_text_can_add_a_header(field: str) -> None:
    with mailbox() as box:
        server = MailServer("127.0.0.1", box.port, "none")
        texts = {"subject": "s", field: "<a@b.example>\r\nBcc: x@y.example"}
        with pytest.raises(MailRefused):
            await server.send(Letter(FROM, [ADA], text="text", **texts), START)
        assert box.mails == []


@pytest.mark.parametrize("address", UNREADABLE)
async def test_a_receipt_that_can_not_be_addressed_keeps_no_other_waiting(tmp_path: Path, address: str) -> None:
    with mailbox() as box:
        async with shop(tmp_path, box, Clock()) as app:
            hostile = await paid(app, customerEmail=address)
            await in_state(app, await paid(app), MailStatus.SENT)
            assert (await mail_of(app, hostile)).status is MailStatus.BOUNCED
        assert [each["To"] for each in box.mails] == [ADA]
