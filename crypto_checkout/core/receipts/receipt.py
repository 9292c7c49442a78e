"""Receipts: a number for each session that was ever settled, and the seller and item as they were then.

A receipt's number is never changed and never given again. Whether it is valid follows from its session: while the chain
has taken the money back, it is void; once the money is there again, the same number is valid again.
"""

from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.core.checkout.session import SETTLED, Session


@dataclass(frozen=True, slots=True)
class Seller:
    """The shop as receipts name it; an empty text is left out. The address may have several lines."""

    name: str = ""
    address: str = ""
    tax_number: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt as stored. In each mode and year (UTC) numbers begin with 1 and have no gaps.

    `title` is that of the session's payment link when it was settled, None without one.
    """

    livemode: bool
    year: int
    number: int
    session_id: str
    title: str | None
    seller: Seller
    issued_at: datetime

    @property
    def name(self) -> str:
        """The number as it is printed: `2026-000123`, and `T2026-000123` in test mode."""
        return f"{'' if self.livemode else 'T'}{self.year}-{self.number:06d}"


def item(title: str | None, quantity: int | None) -> str | None:
    """Return what was sold, with the number of pieces before it where there were several."""
    return f"{quantity} × {title}" if title is not None and (quantity or 1) > 1 else title  # noqa: RUF001 - as in print


def is_valid(session: Session) -> bool:
    """Tell whether the receipt of a session is valid now, rather than void."""
    return session.receipt_number is not None and session.status in SETTLED
