"""Judge sessions in the unit of work that stores the chain's evidence.

`core.ledger.assess` gives the verdict; here it becomes rows and events. Judging twice changes nothing, and costs the
same with one payment and with a hundred thousand. A stranger can send money in as many parts as they like, so late
payments of a session are announced once an hour, and dust (`core.ledger.dust`) is only added up.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from crypto_checkout.core.address import Address
from crypto_checkout.core.checkout.session import SETTLED, STATUSES, Session
from crypto_checkout.core.ledger.assess import Tip, assess
from crypto_checkout.core.ledger.dust import dust_below, is_dust, units_worth
from crypto_checkout.core.ledger.payment import Transfer
from crypto_checkout.core.public import render
from crypto_checkout.core.refunds.refund import RefundStatus
from crypto_checkout.core.webhooks.events import EventType, of_status
from crypto_checkout.services.checkout import customers
from crypto_checkout.services.ledger.evidence import Evidence
from crypto_checkout.services.ledger.reading.owners import Owner
from crypto_checkout.services.receipts.issuer import ReceiptIssuer
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.checkout import sessions as store
from crypto_checkout.store.checkout import totals
from crypto_checkout.store.collect import collections
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.ledger import cursors, payments, unmatched
from crypto_checkout.store.ledger.cursors import Cursor
from crypto_checkout.store.ledger.unnamed import UnnamedCredit
from crypto_checkout.store.refunds import refunds


def is_awaited(unit: ReadUnit, chain_id: int, newest: Cursor) -> bool:
    """Tell whether a block is awaited although nothing is in it: by what expires then, or is deep enough."""
    return (
        bool(store.to_judge(unit, chain_id, newest.tip.expiry_time))
        or collections.is_any_seen(unit, chain_id, newest.number - cursors.KEPT_BLOCKS)
        or bool(refunds.on_chain(unit, chain_id, [RefundStatus.SEEN]))
    )


def _nothing(_: WriteUnit, __: int) -> None:
    """Take back nothing else."""


class Judge:
    """Judges the sessions of one chain, and records their events.

    Transfers that are worth less than `dust_floor`, in the currency of their session, are dust. A rollback also calls
    `also_take_back` with the number of the block above which all is taken back.
    """

    def __init__(
        self,
        events: Outbox,
        *,
        chain_id: int,
        public_url: str,
        dust_floor: Decimal = Decimal(0),
        receipts: ReceiptIssuer | None = None,
        also_take_back: Callable[[WriteUnit, int], None] = _nothing,
    ) -> None:
        self._events = events
        self._also_take_back = also_take_back
        self._chain_id = chain_id
        self._public_url = public_url
        self._dust_floor = dust_floor
        self._receipts = receipts or ReceiptIssuer()

    def advance(self, unit: WriteUnit, evidence: Evidence, tip: Tip) -> None:
        """Record payments and judge every session that the evidence or the new tip can change.

        The rest of the evidence has to be stored before.
        """
        self._record_unmatched(unit, evidence.unmatched)
        touched = self._reviewed(unit, evidence, tip)
        late: dict[str, None] = {}
        for session_id, transfers in _by_session(evidence.payments).items():
            # Read again in this unit: a request may have changed the session since the evidence was gathered.
            session = touched.get(session_id) or _existing(unit, session_id)
            dust, single = _sorted(transfers, dust_below(session, self._dust_floor))
            recorded = [each for each in single if payments.record(unit, session, each)]
            has_new_dust = sum(payments.record_dust(unit, session, each) for each in dust) > 0
            if recorded or has_new_dust:
                touched[session_id] = session
                store.touch(unit, session_id)
            if any(each.block_time > session.terms.grace_until for each in recorded):
                late[session_id] = None
        for session_id in late:
            if store.note_late(unit, session_id, tip.time):
                self._record(unit, EventType.SESSION_LATE_PAYMENT, self._tallied(unit, session_id), tip)
        for session_id in store.late_untold(unit, self._chain_id, tip.time):
            store.note_late(unit, session_id, tip.time)
            self._record(unit, EventType.SESSION_LATE_PAYMENT, self._tallied(unit, session_id), tip)
        for session_id in dict.fromkeys((*touched, *store.to_judge(unit, self._chain_id, tip.expiry_time))):
            self._judge(unit, session_id, tip)

    def _record_unmatched(self, unit: WriteUnit, arrived: Sequence[tuple[Owner, Transfer]]) -> None:
        """Record unmatched payments. One is dust by what the newest session in its asset says that it is worth.

        The amount is in that session's currency. Without such a session nothing is dust.
        """
        below: dict[Address | None, int] = {}
        by_owner = defaultdict[Address, list[Transfer]](list)
        owners = {owner.address: owner for owner, _ in arrived}
        for owner, transfer in arrived:
            by_owner[owner.address].append(transfer)
            if transfer.contract not in below:
                priced = store.newest_in(unit, self._chain_id, transfer.contract)
                below[transfer.contract] = 0 if priced is None else units_worth(priced, self._dust_floor)
        for address, transfers in by_owner.items():
            owner = owners[address]
            session_id = owner.id if isinstance(owner, Session) else None
            for contract in {each.contract for each in transfers}:
                dust, single = _sorted([each for each in transfers if each.contract == contract], below[contract])
                for each in single:
                    unmatched.record(unit, session_id, owner.livemode, self._chain_id, each)
                for of_block in dust:
                    unmatched.record_dust(unit, session_id, owner.livemode, self._chain_id, of_block)

    def _reviewed(self, unit: WriteUnit, evidence: Evidence, tip: Tip) -> dict[str, Session]:
        """Return the sessions whose unnamed credits were confirmed or taken back; record the loss of counted ones."""
        touched: dict[str, Session] = {}
        for session_id in _paid_sessions([*evidence.confirmed, *evidence.withdrawn]):
            store.touch(unit, session_id)
            touched[session_id] = self._tallied(unit, session_id)
        for session_id in _paid_sessions([each for each in evidence.withdrawn if each.has_counted]):
            self._record(unit, EventType.SESSION_REORGED, touched[session_id], tip)
        return touched

    def judge_again(self, unit: WriteUnit, session_id: str, tip: Tip) -> None:
        """Judge a session whose payments were corrected."""
        store.touch(unit, session_id)
        self._judge(unit, session_id, tip)

    def roll_back(self, unit: WriteUnit, above: int, tip: Tip) -> int:
        """Take back the payments above a block and judge their sessions again; return the number of these sessions.

        Sessions with payments in blocks that are no longer deep below the lower tip are judged again too.
        """
        self._also_take_back(unit, above)
        touched = payments.orphan_above(unit, self._chain_id, above)
        for session_id in touched:
            store.touch(unit, session_id)
            self._record(unit, EventType.SESSION_REORGED, self._tallied(unit, session_id), tip)
            self._judge(unit, session_id, tip)
        for session_id in payments.no_longer_deep(unit, self._chain_id, above):
            self._judge(unit, session_id, tip)
        return len(touched)

    def _judge(self, unit: WriteUnit, session_id: str, tip: Tip) -> None:
        session = self._tallied(unit, session_id)
        verdict = assess(session, payments.received(unit, session, tip), tip)
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
        if verdict.status in SETTLED:
            session = self._receipts.settle(unit, session, is_first=is_first_settled)
        store.store_verdict(unit, session, verdict)
        if is_first_settled:
            customers.touch(unit, self._events, session)
        event_type = of_status(verdict.status)
        if event_type is not None:
            self._record(unit, event_type, session, tip)

    def _tallied(self, unit: WriteUnit, session_id: str) -> Session:
        """Return a session as it is now, with the sums of its payments: both may have changed in this unit."""
        return totals.tally(unit, _existing(unit, session_id))

    def _record(self, unit: WriteUnit, event_type: EventType, session: Session, tip: Tip) -> None:
        shown = payments.shown(unit, session, tip)
        self._events.record(unit, event_type, render.session(session, shown, tip, self._public_url))


def _by_session(arrived: Iterable[tuple[Session, Transfer]]) -> Mapping[str, list[Transfer]]:
    found = defaultdict[str, list[Transfer]](list)
    for session, transfer in arrived:
        found[session.id].append(transfer)
    return found


def _sorted(transfers: Sequence[Transfer], dust_below: int) -> tuple[list[list[Transfer]], list[Transfer]]:
    """Return the dust among transfers, block by block, and the others."""
    dust = defaultdict[str, list[Transfer]](list)
    single: list[Transfer] = []
    for transfer in transfers:
        if is_dust(transfer, dust_below):
            dust[transfer.block_hash].append(transfer)
        else:
            single.append(transfer)
    return [*dust.values()], single


def _paid_sessions(credits: Sequence[UnnamedCredit]) -> Iterable[str]:
    """Return the ids of the sessions that credits pay, each once; unmatched ones pay none."""
    return dict.fromkeys(each.session_id for each in credits if each.is_payment and each.session_id is not None)


def _existing(unit: WriteUnit, session_id: str) -> Session:
    session = store.get(unit, session_id)
    assert session is not None, "sessions are never deleted"
    return session
