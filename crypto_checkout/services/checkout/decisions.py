"""The merchant's decisions about a session: expire one that waits, accept one whose payment isn't exact.

The chain keeps the last word: a closed session still becomes paid by money that was on time, and an accepted session
fails when the chain reverses its payments (`core.ledger.assess`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from crypto_checkout.core.checkout.session import ACCEPTED, CLOSED, STATUSES, Session, Status
from crypto_checkout.core.errors import SessionNotOpen
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.services.checkout import customers
from crypto_checkout.services.checkout.session_reader import SessionReader, find
from crypto_checkout.services.receipts.issuer import ReceiptIssuer
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.checkout import sessions as store
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.ledger import cursors, payments


@dataclass(frozen=True, slots=True)
class AllowedDecisions:
    """The decisions open to the merchant now; `accepted_units` is the amount that accepting would take."""

    can_expire: bool
    can_accept: bool
    accepted_units: int


def allowed_decisions(unit: ReadUnit, session: Session) -> AllowedDecisions:
    """Return the decisions that `Decisions` would carry out for a session now."""
    units = _confirmed(unit, session)
    info = STATUSES[session.status]
    return AllowedDecisions(info.can_close, info.can_accept and units > 0, units)


class Decisions:
    """The merchant's decisions in both modes; `chain_time` converts our time to a mode's, by which sessions expire."""

    def __init__(
        self,
        reader: SessionReader,
        chain_time: Callable[[bool, datetime], datetime],
        events: Outbox,
        receipts: ReceiptIssuer | None = None,
    ) -> None:
        self._reader = reader
        self._chain_time = chain_time
        self._events = events
        self._receipts = receipts or ReceiptIssuer()

    def expire(self, livemode: bool, session_id: str) -> Callable[[WriteUnit], SessionResource]:
        """Return the unit that closes a pending or underpaid session; payments after that are late.

        The unit raises ResourceNotFound, and SessionNotOpen for any other status.
        """

        def expire(unit: WriteUnit) -> SessionResource:
            session = find(unit, session_id, livemode)
            _check(session, [status for status, info in STATUSES.items() if info.can_close], "closed")
            now = self._chain_time(livemode, unit.now)
            terms = replace(
                session.terms,
                expires_at=min(now, session.terms.expires_at),
                grace_until=min(now, session.terms.grace_until),
            )
            closed = replace(
                session,
                status=Status.EXPIRED,
                status_reason=CLOSED,
                terms=terms,
                closed_at=unit.now,
                updated_at=unit.now,
            )
            return self._store(unit, EventType.SESSION_EXPIRED, closed)

        return expire

    def accept(self, livemode: bool, session_id: str) -> Callable[[WriteUnit], SessionResource]:
        """Return the unit that accepts the received amount as the whole payment.

        The unit raises ResourceNotFound, and SessionNotOpen without a confirmed payment or for any other status.
        """

        def accept(unit: WriteUnit) -> SessionResource:
            session = find(unit, session_id, livemode)
            _check(session, [status for status, info in STATUSES.items() if info.can_accept], "accepted")
            units = _confirmed(unit, session)
            if not units:
                raise SessionNotOpen(
                    f"Session {session_id} can't be accepted: no confirmed payment has arrived for it."
                )
            accepted = replace(
                session,
                status=Status.PAID,
                status_reason=ACCEPTED,
                accepted_units=units,
                paid_at=session.paid_at or unit.now,
                updated_at=unit.now,
            )
            customers.touch(unit, self._events, session)
            settled = self._receipts.settle(unit, accepted, is_first=session.paid_at is None)
            return self._store(unit, EventType.SESSION_PAID, settled)

        return accept

    def _store(self, unit: WriteUnit, event_type: EventType, session: Session) -> SessionResource:
        resource = self._reader.describe(unit, store.store_decision(unit, session))
        self._events.record(unit, event_type, resource)
        return resource


def _check(session: Session, allowed: Sequence[Status], done: str) -> None:
    if session.status not in allowed:
        names = ", ".join(allowed)
        raise SessionNotOpen(f"Session {session.id} is {session.status}: only {names} can be {done}.")


def _confirmed(unit: ReadUnit, session: Session) -> int:
    """Sum the payments in blocks that are deep enough, on time or late."""
    tip = cursors.tip(unit, session.asset.chain_id)
    return 0 if tip is None else payments.confirmed_units(unit, session, tip)
