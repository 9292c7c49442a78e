"""What the merchant may decide about a session: close one that waits, accept one that isn't exactly paid.

The chain keeps the last word: a closed session is still paid by money that was on time, and an accepted one fails when
the chain takes its money back (`core.ledger.assess`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from crypto_checkout.core.checkout.session import ACCEPTED, CLOSED, STATUSES, Session, Status
from crypto_checkout.core.errors import ResourceNotFound, SessionNotOpen
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.services.checkout import customers
from crypto_checkout.services.checkout.payment_methods import PaymentMethodsByMode
from crypto_checkout.services.checkout.sessions import Sessions
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.checkout import sessions as store
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.ledger import cursors, payments


@dataclass(frozen=True, slots=True)
class AllowedDecisions:
    """What the merchant may decide about a session as it stands; `accepted_units` is what accepting would take."""

    can_expire: bool
    can_accept: bool
    accepted_units: int


def decisions(unit: ReadUnit, session: Session) -> AllowedDecisions:
    """Return what `Decisions` would do for a session now."""
    units = _confirmed(unit, session)
    info = STATUSES[session.status]
    return AllowedDecisions(info.can_close, info.can_accept and units > 0, units)


class Decisions:
    """The merchant's decisions in both modes."""

    def __init__(self, sessions: Sessions, payment_methods: PaymentMethodsByMode, events: Outbox) -> None:
        self._sessions = sessions
        self._payment_methods = payment_methods
        self._events = events

    def expire(self, livemode: bool, session_id: str) -> Callable[[WriteUnit], SessionResource]:
        """Return the unit that closes a session that is pending or underpaid; what comes later is late.

        It raises ResourceNotFound, and SessionNotOpen for any other status.
        """

        def close(unit: WriteUnit) -> SessionResource:
            session = _found(unit, session_id, livemode)
            _check(session, [status for status, info in STATUSES.items() if info.can_close], "closed")
            now = self._payment_methods.chain_time(livemode, unit.now)
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

        return close

    def accept(self, livemode: bool, session_id: str) -> Callable[[WriteUnit], SessionResource]:
        """Return the unit that takes what has arrived as the whole payment.

        It raises ResourceNotFound, and SessionNotOpen where nothing has arrived deep enough or nothing is left open.
        """

        def settle(unit: WriteUnit) -> SessionResource:
            session = _found(unit, session_id, livemode)
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
            if session.options.customer_email is not None:
                customers.touch(unit, self._events, livemode, session.options.customer_email)
            return self._store(unit, EventType.SESSION_PAID, accepted)

        return settle

    def _store(self, unit: WriteUnit, event_type: EventType, session: Session) -> SessionResource:
        store.settle(unit, session)
        resource = self._sessions.describe(unit, session)
        self._events.record(unit, event_type, resource)
        return resource


def _found(unit: ReadUnit, session_id: str, livemode: bool) -> Session:
    session = store.get(unit, session_id, livemode)
    if session is None:
        raise ResourceNotFound(f"There is no checkout session {session_id[:40]} in this mode.")
    return session


def _check(session: Session, allowed: Sequence[Status], done: str) -> None:
    if session.status not in allowed:
        names = ", ".join(allowed)
        raise SessionNotOpen(f"Session {session.id} is {session.status}: only {names} can be {done}.")


def _confirmed(unit: ReadUnit, session: Session) -> int:
    """Sum what is in blocks that are deep enough, on time or not."""
    tip = cursors.tip(unit, session.asset.chain_id)
    if tip is None:
        return 0
    required = session.terms.required_confirmations
    transfers = [payment.transfer for payment in payments.of_session(unit, session) if payment.canonical]
    return sum(t.units for t in transfers if tip.is_deep(t.block_number, required))
