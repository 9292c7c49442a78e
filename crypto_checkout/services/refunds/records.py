"""Store a change of a refund together with its events, and read what a refund needs to know about its session."""

from collections.abc import Callable
from dataclasses import replace

from crypto_checkout.core.assets import Asset
from crypto_checkout.core.checkout.session import Session
from crypto_checkout.core.errors import ResourceNotFound
from crypto_checkout.core.public import render
from crypto_checkout.core.public.refund_types import RefundResource
from crypto_checkout.core.refunds.refund import Refund, RefundStatus
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.services.checkout.session_reader import SessionReader, find
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.ledger import cursors, payments
from crypto_checkout.store.refunds import refunds as store


def _no_change() -> None:
    """Wake nothing: the loop of another process finds the rows when it looks."""


class RefundRecords:
    """The writing side of refunds, for the services of this area; `changed` is called after each commit."""

    def __init__(
        self, reader: SessionReader, events: Outbox, *, public_url: str, changed: Callable[[], None] = _no_change
    ) -> None:
        self._reader = reader
        self._events = events
        self.public_url = public_url
        self._changed = changed

    def describe(self, refund: Refund) -> RefundResource:
        """Render a refund."""
        return render.refund(refund, self.public_url)

    def insert(self, unit: WriteUnit, session: Session, refund: Refund, *more: EventType) -> RefundResource:
        """Store a new refund, and record `refund.created` and further events about it."""
        store.insert(unit, session, refund)
        return self._record(unit, refund, EventType.REFUND_CREATED, *more)

    def update(self, unit: WriteUnit, refund: Refund, *events: EventType) -> RefundResource:
        """Store a changed refund, and record events about it; `refund.paid` also makes `session.refunded`."""
        store.update(unit, session_of(unit, refund), refund)
        resource = self._record(unit, refund, *events)
        if EventType.REFUND_PAID in events:
            # Read again: its sums have changed.
            session = self._reader.describe(unit, session_of(unit, refund))
            self._events.record(unit, EventType.SESSION_REFUNDED, session)
        return resource

    def take_back(self, unit: WriteUnit, above: int, *, chain_id: int) -> None:
        """Take back what paid refunds in the blocks of a chain above a number, as the watcher does with payments."""
        for refund in store.paid_above(unit, chain_id, above):
            reopened = replace(
                refund,
                status=RefundStatus.TO_PAY,
                payment=None,
                paid_at=None,
                counted_units=0,
                updated_at=unit.now,
            )
            self.update(unit, reopened, EventType.REFUND_REORGED)
        searched = store.searched_to(unit, chain_id)
        if searched is not None and searched > above:
            store.set_searched_to(unit, chain_id, above)

    def _record(self, unit: WriteUnit, refund: Refund, *events: EventType) -> RefundResource:
        resource = self.describe(refund)
        for event_type in events:
            self._events.record(unit, event_type, resource)
        unit.after_commit(self._changed)
        return resource


def find_refund(unit: ReadUnit, refund_id: str, livemode: bool | None = None) -> Refund:
    """Return a refund of one mode, of either for None. Raises ResourceNotFound."""
    refund = store.get(unit, refund_id, livemode)
    if refund is None:
        of_mode = "" if livemode is None else " in this mode"
        raise ResourceNotFound(f"There is no refund {refund_id[:40]}{of_mode}.")
    return refund


def session_of(unit: ReadUnit, refund: Refund) -> Session:
    """Return the session of a refund."""
    return find(unit, refund.session_id)


def received_units(unit: ReadUnit, session: Session, asset: Asset, confirmations: int) -> int:
    """Return the confirmed receipts of an asset at a session's address, on time, late or unmatched."""
    tip = cursors.tip(unit, asset.chain_id)
    if tip is None:
        return 0
    if is_own_asset(session, asset):
        return payments.confirmed_units(unit, session, tip)
    return store.received_apart(unit, session.id, asset, tip.deep_to(confirmations))


def refundable_units(unit: ReadUnit, session: Session, asset: Asset, confirmations: int) -> int:
    """Return the amount that a refund can still be made for; negative where a reorg took receipts back."""
    received = received_units(unit, session, asset, confirmations)
    return received - store.promised_units(unit, session.id, asset)


def is_own_asset(session: Session, asset: Asset) -> bool:
    """Tell whether an asset is the one that a session asks for."""
    return (session.asset.chain_id, session.asset.contract) == (asset.chain_id, asset.contract)
