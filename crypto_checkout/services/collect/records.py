"""Keep a record of each collection: made from the outflows of one transaction, and judged again as the chain goes on.

Whoever sent the transaction, it is the same record. Outflows of addresses whose sessions ended long ago are found some
minutes later: then a collection gets further items, without an event of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from crypto_checkout.core import ids
from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.collect.collection import (
    CURRENCY,
    CollectedItem,
    Collection,
    CollectionFee,
    CollectionStatus,
    CollectionWay,
    destination_of,
    moved,
    way_of,
)
from crypto_checkout.core.errors import CheckoutError, RecoverableError, ResourceNotFound
from crypto_checkout.core.ledger.assess import Tip
from crypto_checkout.core.ledger.outflow import Outflow
from crypto_checkout.core.public import render
from crypto_checkout.core.public.collection_types import CollectionResource
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.log import get_logger
from crypto_checkout.services.checkout.payment_methods import AcceptedChain, Prices
from crypto_checkout.services.loops import every
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.checkout import sessions
from crypto_checkout.store.collect import collections as store
from crypto_checkout.store.collect.collections import CollectionFilter
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.ledger import cursors, outflows
from crypto_checkout.store.ledger.cursors import KEPT_BLOCKS
from crypto_checkout.store.paging import ListPage, Window

log = get_logger("collections")

_EVERY_SECONDS = 3.0


class FeeReader(Protocol):
    """A chain as fees are read from it; `chain.evm.chain` and `chain.sandbox.chain` implement it."""

    async def fee(self, tx_hash: str) -> int | None:
        """Return the fee of a transaction, in the chain's coin; None if no provider knows it."""


@dataclass(frozen=True, slots=True)
class _CollectingTransaction:
    """A transaction with what left by it, by session, and the record of it so far."""

    tx_hash: str
    outflows: Sequence[tuple[str | None, Outflow]]
    known: Collection | None


class CollectionRecords:
    """The records of one chain."""

    def __init__(
        self,
        db: Database,
        chain: FeeReader,
        accepted: AcceptedChain,
        prices: Prices,
        events: Outbox,
        *,
        livemode: bool,
    ) -> None:
        self._db = db
        self._chain = chain
        self._accepted = accepted
        self._prices = prices
        self._events = events
        self._livemode = livemode
        self._newest = 0
        self._looked_at: tuple[str, int] | None = None

    async def run(self) -> None:
        """Take a turn every few seconds, until cancelled."""
        await every(_EVERY_SECONDS, self.turn, log=log, failure="collections could not be recorded")

    async def turn(self) -> None:
        """Bring the records up to date with the outflows, if the chain or these have changed."""
        newest, tip, found = await self._db.read(self._changed)
        for each in found:
            fee = None if each.known is not None and each.known.fee is not None else await self._fee(each.tx_hash)
            await self._db.write(lambda unit: self._judge(unit, each.tx_hash, fee))  # noqa: B023 - run at once
        self._newest, self._looked_at = newest, tip

    async def of_transaction(self, tx_hash: str) -> CollectionResource:
        """Return the record of a transaction. Raises ResourceNotFound."""
        found = await self._db.read(lambda unit: store.of_transaction(unit, self._accepted.id, tx_hash))
        if found is None:
            raise ResourceNotFound(f"There is no collection by {tx_hash[:80]}.")
        return render.collection(found)

    def _changed(self, unit: ReadUnit) -> tuple[int, tuple[str, int] | None, list[_CollectingTransaction]]:
        """Return the newest outflow's place, the chain's place, and the transactions whose record may be another."""
        cursor = cursors.cursor(unit, self._accepted.id)
        newest, hashes = outflows.transactions_after(unit, self._accepted.id, self._newest)
        if cursor is None:
            return newest, None, []
        place = (cursor.hash, cursor.final_number or 0)
        if place == self._looked_at and not hashes:
            return newest, place, []
        recent = store.to_judge(unit, self._livemode, self._accepted.id, cursor.number - KEPT_BLOCKS)
        read = [self._read(unit, tx_hash) for tx_hash in dict.fromkeys([*hashes, *recent])]
        return newest, place, [each for each in read if self._differs(unit, each, cursor.tip)]

    def _read(self, unit: ReadUnit, tx_hash: str) -> _CollectingTransaction:
        found = outflows.of_transaction(unit, self._accepted.id, tx_hash)
        known = store.of_transaction(unit, self._accepted.id, tx_hash)
        return _CollectingTransaction(tx_hash, [each for each in found if moved([each[1]])], known)

    def _differs(self, unit: ReadUnit, found: _CollectingTransaction, tip: Tip) -> bool:
        if found.known is None:
            return bool(found.outflows)
        return self._judged(unit, found, tip, found.known) != found.known

    def _judged(self, unit: ReadUnit, found: _CollectingTransaction, tip: Tip, known: Collection) -> Collection:
        """Return a collection as the chain shows it now."""
        if not found.outflows:
            if known.status in {CollectionStatus.SENT, CollectionStatus.FAILED}:
                return known
            return replace(known, status=CollectionStatus.REORGED, confirmed_at=None)
        left = [each for _, each in found.outflows]
        first = left[0]
        is_deep = tip.is_deep(first.block_number, self._accepted.confirmations)
        return replace(
            known,
            status=CollectionStatus.CONFIRMED if is_deep else CollectionStatus.SEEN,
            way=way_of(left),
            destination=destination_of(left),
            items=self._items(unit, found.outflows),
            block_number=first.block_number,
            block_time=first.block_time,
            confirmed_at=known.confirmed_at if is_deep else None,
        )

    def _items(self, unit: ReadUnit, left: Sequence[tuple[str | None, Outflow]]) -> tuple[CollectedItem, ...]:
        assets = self._assets(unit)
        sums: dict[tuple[str | None, Address, Asset], int] = {}
        for session_id, each in left:
            asset = assets.get(each.contract)
            if asset is not None:
                key = (session_id, each.address, asset)
                sums[key] = sums.get(key, 0) + each.units
        return tuple(CollectedItem(*key, units) for key, units in sums.items())

    def _assets(self, unit: ReadUnit) -> Mapping[Address | None, Asset]:
        used = {asset.contract: asset for asset in sessions.tokens(unit, self._accepted.id)}
        return {**used, **{asset.contract: asset for asset in self._accepted.assets}}

    async def _fee(self, tx_hash: str) -> CollectionFee | None:
        """Return the fee of a transaction with its price at this time; None if it isn't told now."""
        try:
            units = await self._chain.fee(tx_hash)
        except RecoverableError as error:
            log.info("a collection's fee isn't known yet", chain=self._accepted.id, error=str(error))
            return None
        if units is None:
            return None
        coin = next(asset for asset in self._accepted.assets if asset.is_native)
        try:
            return CollectionFee(coin.symbol, units, (await self._prices.rate(coin.symbol, CURRENCY)).value)
        except (CheckoutError, RecoverableError):
            return CollectionFee(coin.symbol, units, None)

    def _judge(self, unit: WriteUnit, tx_hash: str, fee: CollectionFee | None) -> None:
        """Store a record as it should be by now, with its events."""
        tip, found = cursors.tip(unit, self._accepted.id), self._read(unit, tx_hash)
        if tip is None or (found.known is None and not found.outflows):
            return
        known = found.known or self._begun(unit, found)
        judged = replace(self._judged(unit, found, tip, known), updated_at=unit.now, fee=known.fee or fee)
        if judged.status is CollectionStatus.CONFIRMED and judged.confirmed_at is None:
            judged = replace(judged, confirmed_at=unit.now)
        events = [] if found.known else [EventType.COLLECTION_CREATED]
        if judged.status is not known.status and judged.status is not CollectionStatus.SEEN:
            is_deep = judged.status is CollectionStatus.CONFIRMED
            events.append(EventType.COLLECTION_CONFIRMED if is_deep else EventType.COLLECTION_REORGED)
        (store.update if found.known else store.insert)(unit, judged)
        for event_type in events:
            self._events.record(unit, event_type, render.collection(judged))

    def _begun(self, unit: WriteUnit, found: _CollectingTransaction) -> Collection:
        left = [each for _, each in found.outflows]
        return Collection(
            id=unit.new_id(ids.COLLECTION),
            livemode=self._livemode,
            chain_id=self._accepted.id,
            tx_hash=found.tx_hash,
            status=CollectionStatus.SEEN,
            way=way_of(left),
            destination=destination_of(left),
            items=(),
            fee=None,
            block_number=left[0].block_number,
            block_time=left[0].block_time,
            created_at=unit.now,
            updated_at=unit.now,
        )


@dataclass(frozen=True, slots=True)
class Shipment:
    """The amounts that a transaction should move, and its destination, None where only the accounts know it."""

    destination: Address | None
    items: tuple[CollectedItem, ...]


class SentCollections:
    """Records what the server itself sends on one chain with real money, before it is in a block."""

    def __init__(self, events: Outbox, chain_id: int) -> None:
        self._events = events
        self._chain_id = chain_id

    def shipment(self, unit: ReadUnit, tx_hash: str) -> Shipment:
        """Return what a recorded transaction should move."""
        known = store.of_transaction(unit, self._chain_id, tx_hash)
        return Shipment(None, ()) if known is None else Shipment(known.destination, known.items)

    def sent(self, unit: WriteUnit, tx_hash: str, shipment: Shipment) -> None:
        """Record a transaction that is about to be sent."""
        collection = Collection(
            id=unit.new_id(ids.COLLECTION),
            livemode=True,
            chain_id=self._chain_id,
            tx_hash=tx_hash,
            status=CollectionStatus.SENT,
            way=CollectionWay.CONTRACT,
            destination=shipment.destination,
            items=shipment.items,
            fee=None,
            block_number=None,
            block_time=None,
            created_at=unit.now,
            updated_at=unit.now,
        )
        store.insert(unit, collection)
        self._events.record(unit, EventType.COLLECTION_CREATED, render.collection(collection))

    def failed(self, unit: WriteUnit, tx_hash: str) -> None:
        """Record that a transaction moved nothing: it was reverted, or another one took its place."""
        known = store.of_transaction(unit, self._chain_id, tx_hash)
        if known is None or known.status is not CollectionStatus.SENT:
            return
        changed = replace(known, status=CollectionStatus.FAILED, updated_at=unit.now)
        store.update(unit, changed)
        self._events.record(unit, EventType.COLLECTION_FAILED, render.collection(changed))


class Collections:
    """Reads the records of both modes."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def get(self, livemode: bool, collection_id: str) -> CollectionResource:
        """Return a collection. Raises ResourceNotFound."""
        found = await self._db.read(lambda unit: store.get(unit, collection_id, livemode))
        if found is None:
            raise ResourceNotFound(f"There is no collection {collection_id[:40]} in this mode.")
        return render.collection(found)

    async def listed(self, livemode: bool, filters: CollectionFilter, window: Window) -> ListPage[CollectionResource]:
        """Return a page of collections."""
        page = await self._db.read(lambda unit: store.listed(unit, livemode, filters, window))
        return page.map(render.collection)
