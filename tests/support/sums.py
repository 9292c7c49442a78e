"""The sums of payments, added up one by one: what the database keeps has to be the same."""

from collections.abc import Sequence
from dataclasses import replace

from crypto_checkout.core.checkout.session import PaymentSums, Session
from crypto_checkout.core.ledger import assess as rules
from crypto_checkout.core.ledger.assess import Assessment, Received, Tally, Tip, counts, is_in_window, tally
from crypto_checkout.core.ledger.payment import Payment, ShownPayments
from crypto_checkout.store.database import ReadUnit
from crypto_checkout.store.ledger import payments as store
from crypto_checkout.store.ledger import unmatched
from crypto_checkout.store.ledger.unmatched import UnmatchedPayment


def sums(session: Session, payments: Sequence[Payment]) -> PaymentSums:
    """Return the sums of a session's payments."""
    units = {
        each: sum(payment.transfer.units for payment in payments if tally(payment, session) is each) for each in Tally
    }
    count = sum(tally(payment, session) is not None for payment in payments)
    return PaymentSums(units[Tally.ON_TIME], units[Tally.GRACE], units[Tally.LATE], count)


def received(session: Session, payments: Sequence[Payment], tip: Tip) -> Received:
    """Return the sums by which a session is judged."""
    counted = [payment for payment in payments if counts(payment, session)]
    required = session.terms.required_confirmations
    deep = [payment for payment in counted if tip.is_deep(payment.transfer.block_number, required)]
    on_time = [payment for payment in deep if payment.transfer.block_time <= session.terms.expires_at]
    return Received(
        units=_sum(counted),
        deep_units=_sum(deep),
        deep_on_time_units=_sum(on_time),
        awaits_depth=len(deep) < len(counted),
        has_provisional=any(p.canonical and p.is_provisional and is_in_window(p, session) for p in payments),
    )


def assess(session: Session, payments: Sequence[Payment], tip: Tip) -> Assessment:
    """Judge a session by its payments."""
    return rules.assess(session, received(session, payments, tip), tip)


def with_payments(session: Session, payments: Sequence[Payment]) -> tuple[Session, ShownPayments]:
    """Return a session with the sums of its payments, and these as it shows them."""
    counted = [payment.transfer for payment in payments if counts(payment, session) and payment.dust is None]
    shown = ShownPayments(
        tuple(payment for payment in payments if payment.canonical),
        tx_hash=counted[0].tx_hash if counted else None,
        newest_block=max((each.block_number for each in counted), default=None),
    )
    return replace(session, sums=sums(session, payments)), shown


def all_payments(unit: ReadUnit, session: Session) -> list[Payment]:
    """Return the payments of a session in chain order, including those in orphaned blocks."""
    rows = unit.all(
        f"SELECT {store.COLUMNS} FROM payments WHERE session_id = :id ORDER BY block_number, log_index, seq",  # noqa: S608
        {"id": session.id},
    )
    return [store.read(row, session.address) for row in rows]


def all_unmatched(unit: ReadUnit, session_id: str) -> list[UnmatchedPayment]:
    """Return the unmatched payments of a session, oldest first, including those in orphaned blocks."""
    rows = unit.all(f"{unmatched.SELECT} WHERE session_id = :id ORDER BY seq", {"id": session_id})
    return [unmatched.read(row) for row in rows]


def _sum(payments: Sequence[Payment]) -> int:
    return sum(payment.transfer.units for payment in payments)
