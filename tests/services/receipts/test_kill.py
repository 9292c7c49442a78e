"""A server that ends while it sends a mail: stopped, it is sent once; killed, again, and can be told to be the same."""

import asyncio
import signal
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.support.mailbox import Mailbox, mailbox
from tests.support.server import Server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.process


async def test_a_mail_that_was_taken_as_the_server_died_comes_again_with_its_message_id(tmp_path: Path) -> None:
    with mailbox() as box:
        first = Server(tmp_path, mails_to(box))
        take = box.handle_DATA

        async def take_and_kill(smtp: SMTP, session: Session, envelope: Envelope) -> str:
            answer = await take(smtp, session, envelope)
            first.kill()  # the mail is here, and the server never hears of it
            return answer

        box.handle_DATA = take_and_kill  # type: ignore[method-assign,assignment]
        session_id = pay(first)
        wait_until(lambda: first.process.poll() is not None, "end")
        box.handle_DATA = take  # type: ignore[method-assign]
        assert len(box.mails) == 1

        second = Server(tmp_path)
        try:
            wait_until(lambda: "mail sent" in second.log, "send the mail again", output=lambda: second.log)
            assert_same(box, session_id)
        finally:
            second.kill()
        # Once it is recorded, no restart sends it again.
        third = Server(tmp_path)
        try:
            third.wait_until(lambda: third.client(None).get(f"{third.url}/readyz").is_success, "be ready")
            assert len(box.mails) == 2
        finally:
            third.kill()


async def test_a_server_that_is_stopped_as_its_mail_is_taken_records_it(tmp_path: Path) -> None:
    with mailbox() as box:
        first = Server(tmp_path, mails_to(box))
        take = box.handle_DATA

        async def stop_and_take(smtp: SMTP, session: Session, envelope: Envelope) -> str:
            first.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.5)  # long enough for the server's loops to be told to end
            return await take(smtp, session, envelope)

        box.handle_DATA = stop_and_take  # type: ignore[method-assign,assignment]
        pay(first)
        wait_until(lambda: first.process.poll() is not None, "end")
        first.stop()  # closes its clients
        assert len(box.mails) == 1
        assert "mail sent" in first.log


def mails_to(box: Mailbox) -> str:
    return f"""
    [mail]
    from = "shop@pay.example"
    smtp_host = "127.0.0.1"
    smtp_port = {box.port}
    smtp_security = "none"
    receipts = true
    test_mode = true
    """


def pay(server: Server) -> str:
    """Pay a new session of a customer; return its ID."""
    price = {"amount": {"value": "30.00", "currency": "USD"}, "customerEmail": "ada@example.com"}
    session_id = server.api.post("/checkout_sessions", json=price).json()["id"]
    with suppress(httpx.TransportError):  # the mail, and so the end, may come before the answer
        server.api.post(f"/test_helpers/checkout_sessions/{session_id}/pay", json={"scenario": "exact"})
    return str(session_id)


def assert_same(box: Mailbox, session_id: str) -> None:
    ids = {mail["Message-ID"] for mail in box.mails}
    assert ids == {f"<receipt.test.{session_id}.1@pay.example>"}
