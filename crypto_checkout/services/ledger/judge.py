"""Judge sessions in the unit of work that stores the chain's evidence.

`core.ledger.assess` gives the verdict; here it becomes rows and events. Judging twice changes nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from crypto_checkout.core.checkout.session import SETTLED, STATUSES, Session
from crypto_checkout.core.ledger.assess import Tip, assess
from crypto_checkout.core.public import render
from crypto_checkout.core.webhooks.events import EventType, of_status
from crypto_checkout.services.checkout import customers
from crypto_checkout.services.ledger.evidence import Evidence
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.checkout import sessions as store
from crypto_checkout.store.database import WriteUnit
from crypto_checkout.store.ledger import payments
from crypto_checkout.store.ledger.unnamed import UnnamedCredit


class Judge:
    """Judges the sessions of one chain, and records their events."""

    def __init__(self, events: Outbox, *, chain_id: int, public_url: str) -> None:
        self._events = events
        self._chain_id = chain_id
        self._public_url = public_url

    def advance(self, unit: WriteUnit, evidence: Evidence, tip: Tip) -> None:
        """Record payments and judge every session that the evidence or the new tip can change.

        The rest of the evidence has to be stored before.
        """
        touched = self._reviewed(unit, evidence, tip)
        late: dict[str, Session] = {}
        for found, transfer in evidence.payments:
            # Read again in this unit: a request may have changed the session since the evidence was gathered.
            session = touched.get(found.id) or _existing(unit, found.id)
            if not payments.record(unit, session, transfer):
                continue
            if session.id not in touched:
                touched[session.id] = session
                store.touch(unit, session.id)
            if transfer.block_time > session.terms.grace_until:
                late[session.id] = session
        for session_id in late:
            self._record(unit, EventType.SESSION_LATE_PAYMENT, _existing(unit, session_id), tip)
        for session_id in dict.fromkeys((*touched, *store.to_judge(unit, self._chain_id, tip.expiry_time))):
            self._judge(unit, session_id, tip)

    def _reviewed(self, unit: WriteUnit, evidence: Evidence, tip: Tip) -> dict[str, Session]:
        """Return the sessions whose unnamed credits were confirmed or taken back; record the loss of counted ones."""
        ids = _paid_sessions([*evidence.confirmed, *evidence.withdrawn])
        touched: dict[str, Session] = {}
        for session_id in ids:
            store.touch(unit, session_id)
            touched[session_id] = _existing(unit, session_id)
        for session_id in _paid_sessions([each for each in evidence.withdrawn if each.has_counted]):
            self._record(unit, EventType.SESSION_REORGED, touched[session_id], tip)
        return touched

    def roll_back(self, unit: WriteUnit, above: int, tip: Tip) -> int:
        """Take back the payments above a block and judge their sessions again; return the number of these sessions.

        Sessions with payments in blocks that are no longer deep below the lower tip are judged again too.
        """
        touched = payments.orphan_above(unit, self._chain_id, above)
        for session_id in touched:
            store.touch(unit, session_id)
            session = _existing(unit, session_id)
            self._record(unit, EventType.SESSION_REORGED, session, tip)
            self._judge(unit, session_id, tip)
        for session_id in payments.no_longer_deep(unit, self._chain_id, above):
            self._judge(unit, session_id, tip)
        return len(touched)

    def _judge(self, unit: WriteUnit, session_id: str, tip: Tip) -> None:
        # Read again in this unit: payments were recorded above, and a request may have changed the session before.
        session = _existing(unit, session_id)
        verdict = assess(session, payments.of_session(unit, session), tip)
        if verdict.status is session.status:
            store.store_verdict(unit, session, verdict)
            return
        assert verdict.status in STATUSES[session.status].may_become, f"{session.status} can't become {verdict.status}"
        is_first_settled = verdict.status in SETTLED and session.paid_at is None
        session = replace(
            session,
            status=verdict.status,
            status_reason=verdict.status_reason,
            paid_at=unit.now if is_first_settled else session.paid_at,
            updated_at=unit.now,
        )
        store.store_verdict(unit, session, verdict)
        if is_first_settled and session.options.customer_email is not None:
            customers.touch(unit, self._events, session.livemode, session.options.customer_email)
        event_type = of_status(verdict.status)
        if event_type is not None:
            self._record(unit, event_type, session, tip)

    def _record(self, unit: WriteUnit, event_type: EventType, session: Session, tip: Tip) -> None:
        of_session = payments.of_session(unit, session)
        self._events.record(unit, event_type, render.session(session, of_session, tip, self._public_url))


def _paid_sessions(credits: Sequence[UnnamedCredit]) -> Iterable[str]:
    """Return the ids of the sessions that credits pay, each once; unmatched ones pay none."""
    return dict.fromkeys(each.session_id for each in credits if each.is_payment and each.session_id is not None)


def _existing(unit: WriteUnit, session_id: str) -> Session:
    session = store.get(unit, session_id)
    assert session is not None, "sessions are never deleted"
    return session
