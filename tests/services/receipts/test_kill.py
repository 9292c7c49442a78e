"""A server that is killed while it sends a mail: the mail is sent again, and can be told to be the same."""

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
        config = f"""
        [mail]
        from = "shop@pay.example"
        smtp_host = "127.0.0.1"
        smtp_port = {box.port}
        smtp_security = "none"
        receipts = true
        test_mode = true
        """
        first = Server(tmp_path, config)
        take = box.handle_DATA

        async def take_and_kill(smtp: SMTP, session: Session, envelope: Envelope) -> str:
            answer = await take(smtp, session, envelope)
            first.kill()  # the mail is here, and the server never hears of it
            return answer

        box.handle_DATA = take_and_kill  # type: ignore[method-assign,assignment]
        price = {"amount": {"value": "30.00", "currency": "USD"}, "customerEmail": "ada@example.com"}
        session = first.api.post("/checkout_sessions", json=price).json()
        with suppress(httpx.TransportError):  # the mail, and so the kill, may come before the answer
            first.api.post(f"/test_helpers/checkout_sessions/{session['id']}/pay", json={"scenario": "exact"})
        wait_until(lambda: first.process.poll() is not None, "end")
        box.handle_DATA = take  # type: ignore[method-assign]
        assert len(box.mails) == 1

        second = Server(tmp_path)
        try:
            wait_until(lambda: "mail sent" in second.log, "send the mail again", output=lambda: second.log)
            assert_same(box, session["id"])
        finally:
            second.kill()
        # Once it is recorded, no restart sends it again.
        third = Server(tmp_path)
        try:
            third.wait_until(lambda: third.client(None).get(f"{third.url}/readyz").is_success, "be ready")
            assert len(box.mails) == 2
        finally:
            third.kill()


def assert_same(box: Mailbox, session_id: str) -> None:
    ids = {mail["Message-ID"] for mail in box.mails}
    assert ids == {f"<receipt.test.{session_id}.1@pay.example>"}
