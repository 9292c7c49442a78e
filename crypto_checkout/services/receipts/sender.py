"""Send the mails of the outbox: take those that are due, one after another, and record what became of each.

A mail is sent first and recorded then. A process killed between the two sends it once more, with the same Message-ID;
nothing shorter than a transaction across both could prevent that. So a mail is sent at least once, and hardly twice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from crypto_checkout.core.errors import DatabaseFailed, MailRefused, MessageNotSent, ResourceNotFound
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.receipts import mail as rules
from crypto_checkout.core.receipts.mail import Mail, MailKind, MailStatus, MailText
from crypto_checkout.core.receipts.receipt import is_valid
from crypto_checkout.log import get_logger
from crypto_checkout.mail import Letter, MailServer
from crypto_checkout.services.loops import every, not_cut_off
from crypto_checkout.store.checkout import sessions
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.receipts import mails as store

log = get_logger("mail")

_POLL_SECONDS = 15.0
_MOST_AT_ONCE = 50
_DATABASE_SECONDS = 5.0

Writer = Callable[[Mail], Awaitable[MailText | None]]
"""Writes a mail that is due; None where there is nothing to tell."""


@dataclass(frozen=True, slots=True)
class MailSenderName:
    """The address that mails come from, the shop's name, and where payers' answers go, if not to that address."""

    address: str
    name: str
    reply_to: str = ""


class MailSender:
    """The loop that sends mails; `writers` write those of each kind, and setting `woken` begins the next turn."""

    def __init__(
        self,
        db: Database,
        server: MailServer | None,
        sender: MailSenderName,
        writers: Mapping[MailKind, Writer],
        woken: asyncio.Event,
        clock: Clock,
    ) -> None:
        self._db = db
        self._server = server
        self._sender = sender
        self._writers = writers
        self._woken = woken
        self._clock = clock

    async def run(self) -> None:
        """Send until cancelled; do nothing without a mail server."""
        if self._server is not None:
            await every(_POLL_SECONDS, self.turn, log=log, failure="mails could not be sent", woken=self._woken)

    async def turn(self) -> float | None:
        """Send what is due. When the server takes nothing, the others wait for the next turn."""
        now = self._clock()
        due = await self._db.read(lambda unit: store.due(unit, now, _MOST_AT_ONCE))
        for mail in due:
            if not await not_cut_off(self._send(mail)):
                return None
        return 0.0 if len(due) == _MOST_AT_ONCE else None

    async def _send(self, mail: Mail) -> bool:
        """Send a mail, and record what became of it; return whether to go on with the next."""
        assert self._server is not None, "else there is no loop"
        if await self._db.write(partial(self._held, mail)):
            return True
        try:
            text = await self._writers[mail.kind](mail)
            if text is None:
                await self._record(mail, replace(mail, status=MailStatus.EMPTY))
                return True
            await self._server.send(self._letter(mail, text), self._clock())
        except MessageNotSent as error:
            is_permanent = isinstance(error, MailRefused)
            after = rules.after_failure(mail, str(error), self._clock(), is_permanent=is_permanent)
            log.warning("a mail was not sent", kind=mail.kind, subject=mail.subject_id, error=str(error))
            await self._record(mail, after)
            return is_permanent
        except Exception as error:  # a loop's boundary: a mail that can't be written must not keep the others waiting
            log.exception("a mail can't be written", kind=mail.kind, subject=mail.subject_id, error=str(error))
            await self._record(mail, rules.after_failure(mail, str(error), self._clock(), is_permanent=False))
            return True
        await self._record(mail, rules.after_sending(mail, self._clock()))
        log.info("mail sent", kind=mail.kind, subject=mail.subject_id)
        return True

    def _letter(self, mail: Mail, text: MailText) -> Letter:
        domain = self._sender.address.rpartition("@")[2]
        return Letter(
            self._sender.address,
            mail.to,
            text.subject,
            text.text,
            html=text.html,
            sender_name=self._sender.name,
            reply_to=self._sender.reply_to if mail.kind is MailKind.RECEIPT else "",
            message_id=mail.message_id(domain),
        )

    @staticmethod
    def _held(mail: Mail, unit: WriteUnit) -> bool:
        """Hold a mail back whose payment the network has reversed: the write that settles it again releases it.

        Return whether the mail is not to be sent now.
        """
        found = store.find(unit, mail.kind, mail.livemode, mail.subject_id)
        if found is None or (found.round, found.status) != (mail.round, MailStatus.PENDING):
            return True  # changed since it was read
        if mail.kind is MailKind.DAY:
            return False
        session = sessions.get(unit, mail.subject_id, mail.livemode)
        if session is None or is_valid(session):
            return False
        store.save(unit, replace(mail, status=MailStatus.HELD))
        return True

    async def _record(self, before: Mail, after: Mail) -> None:
        """Record an attempt, and retry while the database fails: a mail that isn't recorded would be sent again."""

        def record(unit: WriteUnit) -> None:
            found = store.find(unit, before.kind, before.livemode, before.subject_id)
            # The owner may have had it sent again meanwhile: that round is still to come.
            if found is not None and found.round == before.round:
                store.save(unit, after)

        while True:
            try:
                await self._db.write(record)
            except DatabaseFailed:
                await asyncio.sleep(_DATABASE_SECONDS)
            else:
                return


class ResendRefused(Exception):
    """A receipt that can't be mailed; the message says why."""


class Resending:
    """The owner's wish to have a receipt mailed, for the first time or again."""

    def __init__(self, db: Database, *, has_server: bool, wake: Callable[[], None]) -> None:
        self._db = db
        self.has_server = has_server
        self._wake = wake

    async def mail_of(self, livemode: bool, session_id: str) -> Mail | None:
        """Return the mail with the receipt of a session; None before there is one."""
        return await self._db.read(lambda unit: store.find(unit, MailKind.RECEIPT, livemode, session_id))

    def send(self, livemode: bool, session_id: str) -> Callable[[WriteUnit], str]:
        """Return the unit that has a receipt sent to the session's present customer, whose address it returns.

        The unit raises ResourceNotFound and ResendRefused.
        """

        def work(unit: WriteUnit) -> str:
            session = sessions.get(unit, session_id, livemode)
            if session is None:
                raise ResourceNotFound(f"There is no checkout session {session_id[:40]}.")
            email = session.options.customer_email
            if not self.has_server:
                raise ResendRefused("No mail server is configured under [mail].")
            if email is None:
                raise ResendRefused("The customer's email address isn't known.")
            if not is_valid(session):
                raise ResendRefused("There is no valid receipt of this payment.")
            known = store.find(unit, MailKind.RECEIPT, livemode, session_id)
            if known is None:
                store.add(unit, Mail(livemode, MailKind.RECEIPT, session_id, email, unit.now, unit.now))
            elif known.status is not MailStatus.PENDING:
                store.save(unit, rules.again(known, email, unit.now))
            unit.after_commit(self._wake)
            return email

        return work
