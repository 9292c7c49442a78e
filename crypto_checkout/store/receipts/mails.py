"""The outbox of mails: one row for each kind and subject, whatever becomes of it."""

from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.core.receipts.mail import PAUSES, Mail, MailKind
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.table import Table

_MAILS = Table("mails", Mail)
_KEY = ("kind", "livemode", "subject_id")
_ADD = f"{_MAILS.insert} ON CONFLICT ({', '.join(_KEY)}) DO NOTHING"
_SAVE = _MAILS.upsert(_KEY, ("recipients", "next_attempt_at", "status", "round", "attempts", "error", "sent_at"))


def add(unit: WriteUnit, mail: Mail) -> None:
    """Store a new mail; one of the same kind and subject stays as it is."""
    unit.run(_ADD, _MAILS.values(mail))


def save(unit: WriteUnit, mail: Mail) -> None:
    """Store a mail in its new state."""
    unit.run(_SAVE, _MAILS.values(mail))


def find(unit: ReadUnit, kind: MailKind, livemode: bool, subject_id: str) -> Mail | None:
    """Return the mail of a kind about a subject."""
    return _MAILS.one(
        unit,
        "WHERE kind = :kind AND livemode = :livemode AND subject_id = :subject_id",
        {"kind": kind, "livemode": int(livemode), "subject_id": subject_id},
    )


def due(unit: ReadUnit, now: datetime, limit: int) -> list[Mail]:
    """Return mails to send now, those that are due longest first.

    None waits longer than the longest pause: a later time was set by a clock that was ahead.
    """
    found: list[Mail] = []
    for times, moment in (("<= :moment", now), ("> :moment", now + PAUSES[-1])):
        found += _MAILS.all(
            unit,
            f"WHERE status = 'pending' AND next_attempt_at {times} ORDER BY next_attempt_at LIMIT :limit",
            {"moment": moments.to_text(moment), "limit": limit - len(found)},
        )
    return found


def release(unit: WriteUnit, session_id: str, livemode: bool) -> None:
    """Have the mails about a session sent that were held back."""
    unit.run(
        """
        UPDATE mails SET status = 'pending', next_attempt_at = :now
        WHERE kind IN ('receipt', 'paid') AND livemode = :livemode AND subject_id = :session_id AND status = 'held'
        """,
        {"session_id": session_id, "livemode": int(livemode), "now": unit.now_text},
    )


def undelivered(unit: ReadUnit, livemode: bool, limit: int) -> list[Mail]:
    """Return the newest mails that were refused or not sent, without those whose issue was dismissed."""
    return _MAILS.all(
        unit,
        """
        WHERE livemode = :livemode AND status IN ('bounced', 'failed')
          AND NOT EXISTS (
            SELECT 1 FROM attention_dismissed
            WHERE cause = 'mail:' || mails.kind || ':' || mails.subject_id || ':' || CAST(mails.round AS TEXT)
          )
        ORDER BY seq DESC
        LIMIT :limit
        """,
        {"livemode": int(livemode), "limit": limit},
    )


def last_day_before(unit: ReadUnit, livemode: bool, day: str) -> str | None:
    """Return the last day before another one that has a daily mail; None if there is none."""
    row = unit.one(
        "SELECT MAX(subject_id) AS day FROM mails WHERE kind = 'day' AND livemode = :livemode AND subject_id < :day",
        {"livemode": int(livemode), "day": day},
    )
    return None if row is None else row["day"]
