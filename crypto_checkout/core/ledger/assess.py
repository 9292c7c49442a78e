"""Judge a session by its payments and the last processed block. Judging the same evidence twice changes nothing.

The merchant's decisions (`ACCEPTED`, `CLOSED`) are part of the evidence, and no block undoes them.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from crypto_checkout.core.checkout.session import ACCEPTED, CLOSED, PAYMENT_REORGED, SETTLED, Session, Status, Terms
from crypto_checkout.core.ledger.payment import Payment


@dataclass(frozen=True, slots=True)
class Tip:
    """The last processed block of a chain.

    `final_number` is the newest block that the chain itself calls `safe` or `finalized`; None where depth decides.
    `compared_time` is the time of the last block whose balances were compared, None before the first.
    """

    number: int
    time: datetime
    final_number: int | None = None
    compared_time: datetime | None = None

    @property
    def expiry_time(self) -> datetime:
        """The time up to which all money is known that came, by contracts too: nothing expires beyond it.

        Where no balances were ever compared, contracts' payments aren't found at all, and blocks alone decide.
        """
        return self.time if self.compared_time is None else min(self.time, self.compared_time)

    def confirmations(self, block_number: int) -> int:
        """Count the confirmations of a block; its own block is the first."""
        return max(0, self.number - block_number + 1)

    def is_deep(self, block_number: int, required_confirmations: int) -> bool:
        """Tell whether a block is final enough to credit its payments."""
        return block_number <= self.deep_to(required_confirmations)

    def deep_to(self, required_confirmations: int) -> int:
        """Return the number of the newest block that is final enough."""
        if self.final_number is not None:
            return min(self.final_number, self.number)
        return self.number - max(1, required_confirmations) + 1


def deep_from(block_number: int, required_confirmations: int) -> int:
    """Return the number of the block with which a block becomes deep, where depth decides."""
    return block_number + max(1, required_confirmations) - 1


class Tally(StrEnum):
    """The sum of its session that a payment belongs to. On time and in grace, it counts."""

    ON_TIME = "on_time"
    GRACE = "grace"
    LATE = "late"


COUNTED = frozenset({Tally.ON_TIME, Tally.GRACE})
"""The sums of payments that count."""


@dataclass(frozen=True, slots=True)
class Received:
    """The sums by which a session is judged, in units: of all payments that count, and of those in deep blocks.

    With `awaits_depth` some of them are in blocks that are not deep yet. With `has_provisional` there is a provisional
    payment in the session's window.
    """

    units: int
    deep_units: int
    deep_on_time_units: int
    awaits_depth: bool
    has_provisional: bool


@dataclass(frozen=True, slots=True)
class Assessment:
    """A verdict: the status with its reason, and the units received and confirmed within the grace period.

    With `awaits_depth` some money is in blocks that are not deep yet, so the next block may change the verdict.
    """

    status: Status
    status_reason: str | None
    received_units: int
    confirmed_units: int
    awaits_depth: bool


def assess(session: Session, received: Received, tip: Tip) -> Assessment:
    """Judge a session by what it received and the last processed block."""
    status, reason = _verdict(session, received, tip)
    return Assessment(status, reason, received.units, received.deep_units, received.awaits_depth)


def tally(payment: Payment, session: Session) -> Tally | None:
    """Return the sum that a payment belongs to; None for one that is orphaned or provisional: it is in no sum."""
    if not payment.canonical or payment.is_provisional or not _is_asked_for(payment, session):
        return None
    if payment.transfer.block_time <= session.terms.expires_at:
        return Tally.ON_TIME
    return Tally.GRACE if is_in_window(payment, session) else Tally.LATE


def counts(payment: Payment, session: Session) -> bool:
    """Tell whether a payment counts: in a canonical block, not provisional, and in the session's window."""
    return tally(payment, session) in COUNTED


def is_in_window(payment: Payment, session: Session) -> bool:
    """Tell whether a payment is on time or in grace; once the merchant accepted the session, any time will do."""
    return payment.transfer.block_time <= session.terms.grace_until or session.accepted_units is not None


def _verdict(session: Session, received: Received, tip: Tip) -> tuple[Status, str | None]:
    if session.accepted_units is not None:
        return _accepted(session, session.accepted_units, received)
    # A reorg that takes back a payment leaves a closed session closed, unless it was settled: then it has failed.
    is_closed = session.closed_at is not None and session.paid_at is None and session.status not in SETTLED
    if is_closed and received.units < session.terms.minimum_units:
        return Status.EXPIRED, CLOSED
    status = _status(session, received, tip)
    return status, PAYMENT_REORGED if status is Status.FAILED else None


def _is_asked_for(payment: Payment, session: Session) -> bool:
    """Tell whether a payment is in the session's asset and to its address: no other money may ever count."""
    transfer = payment.transfer
    return transfer.to == session.address and transfer.contract == session.asset.contract


def _accepted(session: Session, accepted_units: int, received: Received) -> tuple[Status, str | None]:
    """Judge an accepted session: paid as long as the accepted amount, or the price, is there."""
    enough = min(accepted_units, session.terms.minimum_units)
    if received.deep_units >= enough or (session.status in SETTLED and received.units >= enough):
        return Status.PAID, ACCEPTED
    # The money was taken back; it has to become deep again when it returns.
    return (Status.DETECTED, None) if received.units >= enough else (Status.FAILED, PAYMENT_REORGED)


def _status(session: Session, received: Received, tip: Tip) -> Status:
    terms = session.terms
    if received.deep_units >= terms.minimum_units:
        return _settled(terms, received)
    if received.units >= terms.minimum_units:
        # A reorg above a payment makes it shallow for a while; the money is still there, so the session stays settled.
        return session.status if session.status in SETTLED else Status.DETECTED
    if session.status in SETTLED or session.status is Status.FAILED or session.paid_at is not None:
        return Status.FAILED
    if received.deep_units:
        return Status.UNDERPAID
    # Money from a single reading keeps a session open: the next block confirms or refutes it.
    is_over = received.units == 0 and tip.expiry_time > terms.expires_at and not received.has_provisional
    return Status.EXPIRED if is_over or session.status is Status.EXPIRED else Status.PENDING


def _settled(terms: Terms, received: Received) -> Status:
    if received.deep_units > terms.maximum_units:
        return Status.OVERPAID
    return Status.PAID if received.deep_on_time_units >= terms.minimum_units else Status.PAID_LATE
