"""Receipts. A number follows from those before it in the same write, so that there are no gaps and no two alike."""

from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.core.checkout.session import Session
from crypto_checkout.core.receipts.receipt import Receipt, Seller
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.table import Table

_RECEIPTS = Table("receipts", Receipt)


def issue(unit: WriteUnit, session: Session, title: str | None, seller: Seller) -> Receipt:
    """Store the receipt of a session, with the next number of its mode in this year."""
    year = unit.now.year
    row = unit.one(
        "SELECT MAX(number) AS last FROM receipts WHERE livemode = :livemode AND year = :year",
        {"livemode": int(session.livemode), "year": year},
    )
    number = 1 + (row["last"] or 0 if row else 0)
    receipt = Receipt(session.livemode, year, number, session.id, title, seller, unit.now)
    _RECEIPTS.add(unit, receipt)
    return receipt


def of_session(unit: ReadUnit, session_id: str) -> Receipt | None:
    """Return the receipt of a session; None before it was settled."""
    return _RECEIPTS.one(unit, "WHERE session_id = :session_id", {"session_id": session_id})


def issued_between(unit: ReadUnit, livemode: bool, since: datetime, until: datetime, limit: int) -> list[Receipt]:
    """Return the receipts issued from one moment until before another, oldest first."""
    return _RECEIPTS.all(
        unit,
        """
        WHERE livemode = :livemode AND issued_at >= :since AND issued_at < :until
        ORDER BY issued_at
        LIMIT :limit
        """,
        {
            "livemode": int(livemode),
            "since": moments.to_text(since),
            "until": moments.to_text(until),
            "limit": limit,
        },
    )
