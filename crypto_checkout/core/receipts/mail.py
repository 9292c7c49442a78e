"""Mails that wait in the outbox: their kinds, their states, and the pauses between attempts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from crypto_checkout.core.rows import one_row_each


class MailKind(StrEnum):
    """The kinds of mail: a payer's receipt, the news of one payment for the owner, and those of a day."""

    RECEIPT = "receipt"
    PAID = "paid"
    DAY = "day"


class MailStatus(StrEnum):
    """The states of a mail: only a pending one is sent by itself."""

    PENDING = "pending"
    SENT = "sent"
    BOUNCED = "bounced"
    FAILED = "failed"
    HELD = "held"
    EMPTY = "empty"


MAIL_STATUSES: Mapping[MailStatus, str] = one_row_each(
    "core.receipts.mail.MAIL_STATUSES",
    MailStatus,
    {
        MailStatus.PENDING: "waiting to be sent",
        MailStatus.SENT: "sent",
        MailStatus.BOUNCED: "bounced",
        MailStatus.FAILED: "not sent",
        MailStatus.HELD: "held back while the payment is reversed",
        MailStatus.EMPTY: "nothing to tell",
    },
)
"""Every state in words for the owner."""

PAUSES: Sequence[timedelta] = tuple(
    timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 3 * 60, 6 * 60, 12 * 60, 24 * 60)
)
"""The pauses after the 1st, 2nd, … failed attempt; after the last one the mail has failed. Together about two days."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail in the outbox. `subject_id` is the session, or the day, that it is about; there is one of each kind.

    `recipients` are addresses separated by commas. `round` counts how often the owner had it sent, from 1; `attempts`
    are those of this round, and `error` is the answer to the last one that failed.
    """

    livemode: bool
    kind: MailKind
    subject_id: str
    recipients: str
    created_at: datetime
    next_attempt_at: datetime
    status: MailStatus = MailStatus.PENDING
    round: int = 1
    attempts: int = 0
    error: str | None = None
    sent_at: datetime | None = None

    @property
    def to(self) -> tuple[str, ...]:
        """The receivers' addresses."""
        return tuple(each for each in self.recipients.split(",") if each)

    def message_id(self, domain: str) -> str:
        """Return its Message-ID (RFC 5322), the same for every attempt: mail programs recognise repetitions by it."""
        mode = "live" if self.livemode else "test"
        return f"<{self.kind}.{mode}.{self.subject_id}.{self.round}@{domain}>"


@dataclass(frozen=True, slots=True)
class MailText:
    """The words of a mail; `html` is the same for programs that show it, empty for plain text only."""

    subject: str
    text: str
    html: str = ""


def after_sending(mail: Mail, now: datetime) -> Mail:
    """Return a mail that the server took."""
    return replace(mail, status=MailStatus.SENT, attempts=mail.attempts + 1, error=None, sent_at=now)


def after_failure(mail: Mail, error: str, now: datetime, *, is_permanent: bool) -> Mail:
    """Return a mail after an attempt that failed: refused for good, tried in vain to the end, or due again."""
    attempts = mail.attempts + 1
    if is_permanent:
        return replace(mail, status=MailStatus.BOUNCED, attempts=attempts, error=error)
    if attempts > len(PAUSES):
        return replace(mail, status=MailStatus.FAILED, attempts=attempts, error=error)
    return replace(mail, attempts=attempts, error=error, next_attempt_at=now + PAUSES[attempts - 1])


def again(mail: Mail, recipients: str, now: datetime) -> Mail:
    """Return a mail that the owner has sent once more, with a Message-ID of its own, to the present receivers."""
    return replace(
        mail,
        recipients=recipients,
        status=MailStatus.PENDING,
        round=mail.round + 1,
        attempts=0,
        error=None,
        next_attempt_at=now,
    )
