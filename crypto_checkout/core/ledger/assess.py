"""Judge a session by its payments and the last processed block. Judging the same evidence twice changes nothing.

The merchant's decisions (`ACCEPTED`, `CLOSED`) are part of the evidence, and no block undoes them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.core.checkout.session import ACCEPTED, CLOSED, PAYMENT_REORGED, SETTLED, Session, Status, Terms
from crypto_checkout.core.ledger.payment import Payment, Transfer


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
        if self.final_number is not None:
            return block_number <= min(self.final_number, self.number)
        return self.confirmations(block_number) >= max(1, required_confirmations)


def deep_from(block_number: int, required_confirmations: int) -> int:
    """Return the number of the block with which a block becomes deep, where depth decides."""
    return block_number + max(1, required_confirmations) - 1


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


def assess(session: Session, payments: Sequence[Payment], tip: Tip) -> Assessment:
    """Judge a session by its payments and the last processed block."""
    counted = [p.transfer for p in payments if counts(p, session) and _is_asked_for(p.transfer, session)]
    deep = [t for t in counted if tip.is_deep(t.block_number, session.terms.required_confirmations)]
    received = _sum(counted)
    # Money from a single reading keeps a session open: the next block confirms or refutes it.
    has_provisional = any(p.canonical and p.is_provisional and is_in_window(p, session) for p in payments)
    status, reason = _verdict(session, received, deep, tip, has_provisional=has_provisional)
    return Assessment(status, reason, received, _sum(deep), awaits_depth=len(deep) < len(counted))


def counts(payment: Payment, session: Session) -> bool:
    """Tell whether a payment counts: in a canonical block, not provisional, and in the session's window."""
    return payment.canonical and not payment.is_provisional and is_in_window(payment, session)


def is_in_window(payment: Payment, session: Session) -> bool:
    """Tell whether a payment is on time or in grace; once the merchant accepted the session, any time will do."""
    return payment.transfer.block_time <= session.terms.grace_until or session.accepted_units is not None


def _verdict(
    session: Session, received: int, deep: Sequence[Transfer], tip: Tip, *, has_provisional: bool
) -> tuple[Status, str | None]:
    if session.accepted_units is not None:
        return _accepted(session, session.accepted_units, received, deep)
    # A reorg that takes back a payment leaves a closed session closed, unless it was settled: then it has failed.
    is_closed = session.closed_at is not None and session.paid_at is None and session.status not in SETTLED
    if is_closed and received < session.terms.minimum_units:
        return Status.EXPIRED, CLOSED
    status = _status(session, received, deep, tip, has_provisional=has_provisional)
    return status, PAYMENT_REORGED if status is Status.FAILED else None


def _is_asked_for(transfer: Transfer, session: Session) -> bool:
    """Tell whether a transfer is in the session's asset and to its address: no other money may ever count."""
    return transfer.to == session.address and transfer.contract == session.asset.contract


def _accepted(
    session: Session, accepted_units: int, received: int, deep: Sequence[Transfer]
) -> tuple[Status, str | None]:
    """Judge an accepted session: paid as long as the accepted amount, or the price, is there."""
    enough = min(accepted_units, session.terms.minimum_units)
    if _sum(deep) >= enough or (session.status in SETTLED and received >= enough):
        return Status.PAID, ACCEPTED
    # The money was taken back; it has to become deep again when it returns.
    return (Status.DETECTED, None) if received >= enough else (Status.FAILED, PAYMENT_REORGED)


def _status(session: Session, received: int, deep: Sequence[Transfer], tip: Tip, *, has_provisional: bool) -> Status:
    terms = session.terms
    if _sum(deep) >= terms.minimum_units:
        return _settled(terms, deep)
    if received >= terms.minimum_units:
        # A reorg above a payment makes it shallow for a while; the money is still there, so the session stays settled.
        return session.status if session.status in SETTLED else Status.DETECTED
    if session.status in SETTLED or session.status is Status.FAILED or session.paid_at is not None:
        return Status.FAILED
    if deep:
        return Status.UNDERPAID
    is_over = received == 0 and tip.expiry_time > terms.expires_at and not has_provisional
    return Status.EXPIRED if is_over or session.status is Status.EXPIRED else Status.PENDING


def _settled(terms: Terms, deep: Sequence[Transfer]) -> Status:
    if _sum(deep) > terms.maximum_units:
        return Status.OVERPAID
    on_time = _sum([t for t in deep if t.block_time <= terms.expires_at])
    return Status.PAID if on_time >= terms.minimum_units else Status.PAID_LATE


def _sum(transfers: Sequence[Transfer]) -> int:
    return sum(t.units for t in transfers)
