"""Alerts reach a person: once for each cause, whatever restarts; over mail and webhook; and never a flood."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from crypto_checkout.cli import main
from crypto_checkout.core.alerts import alerts as core
from crypto_checkout.core.alerts.alerts import MOST_LISTED, Alert
from crypto_checkout.core.alerts.issues import Issue, IssueKind
from crypto_checkout.core.errors import MessageNotSent
from crypto_checkout.core.shop import Shop
from crypto_checkout.mail import Letter, MailServer
from crypto_checkout.services.alerts.channels import MailChannel, WebhookChannel
from crypto_checkout.services.alerts.issues import IssueList, Issues
from crypto_checkout.services.alerts.notifier import Notifier
from crypto_checkout.store.alerts import alerts as store
from crypto_checkout.store.database import Database
from crypto_checkout.store.migrate import migrate
from crypto_checkout.webhooks import signing
from crypto_checkout.webhooks.networks import Reach
from crypto_checkout.webhooks.send import Sender
from tests.support.api import App, Clock, made, open_app
from tests.support.mailbox import PASSWORD, USER, Mailbox, mailbox, make_certificate
from tests.support.receiver import Receiver
from tests.support.sqlite import writer
from tests.support.waiting import WAIT_SECONDS, until

SHOP = Shop("Ada's books", "https://pay.example")
SECRET = signing.new_secret(bytes(range(32)))
FROM, TO = "shop@pay.example", ("ada@example.com", "bob@example.com")
START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def issue(number: int = 1, kind: IssueKind = IssueKind.OVERPAID) -> Issue:
    return Issue(
        kind=kind,
        cause=f"{kind}:cs_{number}",
        subject_id=f"cs_{number}",
        livemode=True,
        words=f"Received 0.02 ETH, expected 0.01 ETH ({number}).",
        advice="Accept it.",
        since=START,
        path=f"/payments/cs_{number}",
    )


class Needs(Issues):
    """Issues, as a test sets them."""

    def __init__(self) -> None:
        self.issues: list[Issue] = []
        self.cut: frozenset[IssueKind] = frozenset()
        self.is_broken = False

    async def gather(self, _: bool, __: int = 0) -> IssueList:
        if self.is_broken:
            raise OSError("the disk is gone")
        return IssueList(tuple(self.issues), self.cut)

    async def of_server(self, _: bool) -> list[Issue]:
        return [issue(9, IssueKind.DATABASE)]

    async def try_prices(self) -> None:
        pass


@pytest.fixture
async def db(tmp_path: Path) -> Any:
    migrate(tmp_path / "checkout.db")
    async with await Database.open(tmp_path / "checkout.db", lambda: START) as opened:
        yield opened


def mail_channel(box: Mailbox, clock: Clock) -> MailChannel:
    return MailChannel(
        MailServer("127.0.0.1", box.port, "none", timeout_seconds=WAIT_SECONDS), sender=FROM, to=TO, clock=clock
    )


def notifier(db: Database, needs: Needs, channels: Sequence[Any], clock: Clock) -> Notifier:
    return Notifier(
        db, needs, channels, modes=(True,), every=timedelta(minutes=15), shop=SHOP, clock=clock
    )  # fmt: skip


# --- by mail ---------------------------------------------------------------------------------------------------------


async def test_a_cause_is_mailed_once_and_once_more_when_it_is_over(db: Database) -> None:
    needs, clock = Needs(), Clock(START)
    with mailbox() as box:
        loop = notifier(db, needs, [mail_channel(box, clock)], clock)
        await loop.turn()
        assert box.mails == []
        needs.issues = [issue()]
        for _ in range(5):
            await loop.turn()
            clock.move(minutes=16)
        (mail,) = box.mails
        assert box.recipients == [[*TO]]
        assert mail["Subject"] == "[Ada's books] An overpaid payment needs attention"
        assert (mail["From"], mail["To"], mail["Auto-Submitted"]) == (FROM, ", ".join(TO), "auto-generated")
        assert mail["Date"].datetime == START
        text = box.text()
        assert "An overpaid payment: Received 0.02 ETH, expected 0.01 ETH (1)." in text
        assert "Since 2026-11-23 09:00 UTC. https://pay.example/dashboard/payments/cs_1" in text
        assert "Accept it." in text
        needs.issues = []
        for _ in range(5):
            await loop.turn()
            clock.move(minutes=16)
        assert [each["Subject"] for each in box.mails[1:]] == ["[Ada's books] All clear"]
        assert "This is settled:" in box.text()
        assert await db.read(store.by_cause) == {}


async def are_noted(db: Database, count: int) -> bool:
    """Tell whether so many alerts are noted as sent."""
    known = await db.read(store.by_cause)
    return sum(bool(each.notified) for each in known.values()) == count


async def test_a_process_that_leads_again_repeats_nothing_that_another_sent_meanwhile(db: Database) -> None:
    needs, clock = Needs(), Clock(START)
    with mailbox() as box:
        first, second = (notifier(db, needs, [mail_channel(box, clock)], clock) for _ in range(2))
        for number, leader in enumerate((first, second, first), 1):
            needs.issues.append(issue(number))
            task = asyncio.create_task(leader.run())
            await until(lambda: are_noted(db, number), "send it, and note that")  # noqa: B023 - awaited here
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            clock.move(minutes=16)
        assert "(3)" in box.text()
        assert "(2)" not in box.text()


async def test_a_restart_repeats_nothing_and_opens_no_flood(db: Database) -> None:
    needs, clock = Needs(), Clock(START)
    with mailbox() as box:
        for number in range(1, 8):
            needs.issues.append(issue(number))
            await notifier(db, needs, [mail_channel(box, clock)], clock).turn()
            clock.move(minutes=1)
        assert len(box.mails) == 1
        clock.move(minutes=15)
        await notifier(db, needs, [mail_channel(box, clock)], clock).turn()
        assert [mail["Subject"] for mail in box.mails[1:]] == ["[Ada's books] 6 things need attention"]
        assert "(1)" not in box.text()


async def test_a_thousand_causes_are_one_mail_of_some_length(db: Database) -> None:
    needs, clock = Needs(), Clock(START)
    needs.issues = [issue(number) for number in range(1000)]
    with mailbox() as box:
        loop = notifier(db, needs, [mail_channel(box, clock)], clock)
        for _ in range(30):
            await loop.turn()
            clock.move(minutes=1)
        (mail,) = box.mails
        assert mail["Subject"] == "[Ada's books] 1000 things need attention"
        assert box.text().count("Accept it.") == MOST_LISTED
        assert "And 975 more: see the dashboard." in box.text()


async def test_a_mail_server_that_is_down_gets_it_later_and_is_asked_ever_less_often(db: Database) -> None:
    needs, clock = Needs(), Clock(START)
    needs.issues = [issue()]
    asked = 0
    with mailbox() as box:
        box.refusal = "451 come back later"
        channel = mail_channel(box, clock)
        send = channel.send

        async def counting(message: core.Message) -> None:
            nonlocal asked
            asked += 1
            await send(message)

        channel.send = counting  # type: ignore[method-assign]
        loop = notifier(db, needs, [channel], clock)
        for _ in range(120):
            await loop.turn()
            clock.move(minutes=1)
        assert box.mails == []
        assert 6 <= asked <= 8
        box.refusal = None
        clock.move(hours=1)
        await loop.turn()
        assert len(box.mails) == 1


async def test_one_channel_that_fails_keeps_nothing_from_the_other(db: Database) -> None:
    needs, clock = Needs(), Clock(START)
    needs.issues = [issue()]
    with mailbox() as box, Receiver(status=500) as receiver:
        async with Sender(timeout_seconds=WAIT_SECONDS, reach=Reach.ANY) as sender:
            hook = WebhookChannel(sender, url=receiver.url, secret=SECRET, clock=clock)
            loop = notifier(db, needs, [hook, mail_channel(box, clock)], clock)
            await loop.turn()
            assert (len(box.mails), len(receiver.received)) == (1, 1)
            receiver.status = 200
            clock.move(hours=2)
            await loop.turn()
            await loop.turn()
            assert (len(box.mails), len(receiver.received)) == (1, 2)


async def test_an_alert_is_sent_although_the_database_takes_nothing(db: Database) -> None:
    needs, clock = Needs(), Clock(START)
    with mailbox() as box:
        loop = notifier(db, needs, [mail_channel(box, clock)], clock)
        await loop.turn()
        needs.is_broken = True
        await writer(db).execute("PRAGMA query_only = ON")
        for _ in range(3):
            with pytest.raises(Exception, match="readonly"):
                await loop.turn()
            clock.move(minutes=16)
        assert [mail["Subject"] for mail in box.mails] == ["[Ada's books] The database needs attention"]
        await writer(db).execute("PRAGMA query_only = OFF")
        await loop.turn()
        assert [alert.notified for alert in (await db.read(store.by_cause)).values()] == [{"mail"}]


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_mail_goes_over_tls_with_a_password(
    tmp_path: Path, security: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path)
    with mailbox(certificate, security=security, sign_in=True) as box:
        server = MailServer("127.0.0.1", box.port, security, USER, PASSWORD, timeout_seconds=WAIT_SECONDS)
        with pytest.raises(MessageNotSent, match=r"(?i)certificate"):
            await server.send(Letter(FROM, TO, "subject", "text"), START)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        await server.send(Letter(FROM, TO, "subject", "Grüße"), START)
        assert box.text().strip() == "Grüße"
        wrong = replace(server, password="wrong horse")
        with pytest.raises(MessageNotSent, match="535") as caught:
            await wrong.send(Letter(FROM, TO, "subject", "text"), START)
        assert "horse" not in str(caught.value)
        assert "horse" not in repr(wrong)


async def test_mail_is_never_sent_in_the_open_where_tls_is_asked_for() -> None:
    with mailbox() as box:
        for security in ("starttls", "tls"):
            with pytest.raises(MessageNotSent):
                await MailServer("127.0.0.1", box.port, security, timeout_seconds=2).send(
                    Letter(FROM, TO, "s", "t"), START
                )
        assert box.mails == []


async def test_a_mail_server_that_hangs_is_given_up() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the other side gives up
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(MessageNotSent):
        await MailServer("127.0.0.1", port, "none", timeout_seconds=0.2).send(Letter(FROM, TO, "s", "t"), START)
    with pytest.raises(MessageNotSent):
        await MailServer("127.0.0.1", 1, "none", timeout_seconds=2).send(Letter(FROM, TO, "s", "t"), START)
    server.close()
    await server.wait_closed()


# --- by webhook ------------------------------------------------------------------------------------------------------


async def test_a_webhook_gets_the_same_signed_in_both_ways() -> None:
    clock = Clock(datetime.now(UTC))
    digest = core.Digest((Alert(issue(), START),), (Alert(issue(2), START, START),))
    message = core.message(digest, SHOP, clock())
    with Receiver() as receiver:
        async with Sender(timeout_seconds=WAIT_SECONDS, reach=Reach.ANY) as sender:
            await WebhookChannel(sender, url=receiver.url, secret=SECRET, clock=clock).send(message)
    (received,) = receiver.received
    Webhook(SECRET).verify(received.body, received.headers)
    signing.verify(
        received.headers["x-webhook-signature"], received.body, SECRET, now=int(clock().timestamp())
    )  # fmt: skip
    told = json.loads(received.body)
    assert told["id"] == received.headers["webhook-id"]
    assert (told["object"], told["shop"], told["raisedCount"], told["clearedCount"]) == ("alert", "Ada's books", 1, 1)
    assert told["raised"] == [
        {
            "kind": "overpaid",
            "subjectId": "cs_1",
            "livemode": True,
            "words": "Received 0.02 ETH, expected 0.01 ETH (1).",
            "advice": "Accept it.",
            "since": "2026-11-23T09:00:00.000Z",
            "url": "https://pay.example/dashboard/payments/cs_1",
        }
    ]
    assert told["subject"] == "[Ada's books] An overpaid payment needs attention, 1 all clear"


async def test_a_webhook_into_a_private_network_is_refused() -> None:
    message = core.sample_message(SHOP, START)
    with Receiver() as receiver:
        async with Sender(timeout_seconds=2) as sender:
            with pytest.raises(MessageNotSent, match="took no alert"):
                await WebhookChannel(sender, url=receiver.url, secret=SECRET, clock=Clock(START)).send(message)
    assert receiver.received == []


# --- when ------------------------------------------------------------------------------------------------------------


def look(
    known: dict[str, Alert], issues: Iterable[Issue], minutes: float, cut: Iterable[IssueKind] = ()
) -> dict[str, Alert]:
    now = START + timedelta(minutes=minutes)
    return core.observe(known, issues, unknown=frozenset(cut), channels=["mail"], now=now)


def due(known: dict[str, Alert], minutes: float) -> core.Digest:
    return core.due(known.values(), "mail", START + timedelta(minutes=minutes))


def test_what_may_pass_by_itself_is_given_time() -> None:
    known = look({}, [issue(kind=IssueKind.UNDERPAID)], 0)
    assert not due(known, 14)
    assert due(known, 15).raised
    assert look(known, [], 14) == {}


def test_what_comes_and_goes_is_one_alert() -> None:
    known = look({}, [issue()], 0)
    known = core.mark_notified(known, due(known, 0), "mail")
    for minute in range(1, 60):
        known = look(known, [] if minute % 4 else [issue()], minute)
        assert not due(known, minute)
    known = look(known, [], 60)
    assert due(look(known, [], 65), 65).cleared


def test_what_was_not_looked_at_is_not_taken_for_gone() -> None:
    known = look({}, [issue(1), issue(2)], 0)
    known = core.mark_notified(known, due(known, 0), "mail")
    assert look(known, [issue(2)], 10, cut=[IssueKind.OVERPAID]) == known


def test_a_clock_that_was_set_back_keeps_no_alert_waiting() -> None:
    known = look({}, [issue(kind=IssueKind.CHAIN)], 24 * 60)
    assert due(known, 0).raised


def test_a_channel_that_is_new_is_told_what_stands() -> None:
    known = look({}, [issue()], 0)
    known = core.mark_notified(known, due(known, 0), "mail")
    assert core.due(known.values(), "webhook", START).raised
    assert not due(known, 0)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60))
def test_a_cause_is_never_told_twice_without_an_all_clear_between(steps: list[tuple[bool, bool]]) -> None:
    known: dict[str, Alert] = {}
    told: list[str] = []
    for minute, (is_there, is_sent) in enumerate(steps):
        known = look(known, [issue()] if is_there else [], minute * 3)
        digest = due(known, minute * 3)
        if digest and is_sent:
            told += ["raised"] * len(digest.raised) + ["cleared"] * len(digest.cleared)
            known = core.mark_notified(known, digest, "mail")
    assert told == ["raised", "cleared"] * (len(told) // 2) + ["raised"] * (len(told) % 2)


# --- whole -----------------------------------------------------------------------------------------------------------


async def test_an_underpaid_session_of_a_running_server_is_mailed(tmp_path: Path) -> None:
    clock = Clock()
    with mailbox() as box:
        alerts = {
            "email_to": ["ada@example.com"],
            "test_mode": True,
        }
        server = {"from": FROM, "smtp_host": "127.0.0.1", "smtp_port": box.port, "smtp_security": "none"}
        async with open_app(tmp_path, clock=clock, alerts=alerts, mail=server) as app:
            await settle(app, "overpaid")
            (loop,) = [each for each in asyncio.all_tasks() if each.get_name() == "Notifier.run"]
            assert not loop.done()
        # Its first look came before there was anything: a restart looks at once.
        async with open_app(tmp_path, clock=clock, alerts=alerts, mail=server):
            await until(lambda: box.mails, "the mail")
    (mail,) = box.mails
    assert mail["Subject"] == "[Crypto Checkout] An overpaid payment needs attention"
    assert "(test mode): Received 0.02 ETH, expected 0.01 ETH (30.00 USD)." in box.text()


async def settle(app: App, scenario: str) -> None:
    session = await made(app.api, "/checkout_sessions", {"amount": {"value": "30.00", "currency": "USD"}})
    path = f"/test_helpers/checkout_sessions/{session['id']}/pay"
    assert (await app.api.post(path, json={"scenario": scenario})).status_code == 200


def invoke(folder: Path, toml: str, *arguments: str, **environ: str) -> Any:
    path = folder / "checkout.toml"
    path.write_text(toml, "utf-8")
    return CliRunner().invoke(main, ["--config", str(path), "alerts", "test", *arguments], env=environ)


def test_the_command_sends_a_test_and_says_what_came_of_it(tmp_path: Path) -> None:
    with mailbox(sign_in=True) as box, Receiver() as receiver:
        toml = f"""
        [webhooks]
        allow_private_networks = true
        [alerts]
        email_to = ["ada@example.com"]
        email_from = "shop@pay.example"
        smtp_host = "127.0.0.1"
        smtp_port = {box.port}
        smtp_security = "none"
        smtp_user = "{USER}"
        webhook_url = "{receiver.url}"
        """
        environ = {"CHECKOUT__ALERTS__SMTP_PASSWORD": PASSWORD, "CHECKOUT__ALERTS__WEBHOOK_SECRET": SECRET}
        outcome = invoke(tmp_path, toml, **environ)
        assert outcome.exit_code == 0, outcome.output
        assert outcome.output == f"mail to ada@example.com: sent\nwebhook to {receiver.url}: sent\n"
        assert box.mails[0]["Subject"] == "[Crypto Checkout] Test: alerts arrive"
        assert receiver.received[0].event["test"] is True
        receiver.status = 500
        outcome = invoke(tmp_path, toml, "--json", **{**environ, "CHECKOUT__ALERTS__SMTP_PASSWORD": "wrong"})
        assert outcome.exit_code == 1
        errors = [each["error"] for each in json.loads(outcome.output)]
        assert "took no mail" in errors[0]
        assert "answered 500" in errors[1]


def test_the_command_says_so_where_nobody_would_be_alerted(tmp_path: Path) -> None:
    outcome = invoke(tmp_path, "")
    assert outcome.exit_code == 1
    assert "There is nobody to alert" in outcome.output
