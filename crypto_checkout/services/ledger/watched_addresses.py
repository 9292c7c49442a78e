"""The addresses whose balances are compared on one chain, with their expected balances, kept in memory.

The database has the last word: this is a cache of it as of one block, known by its hash. It moves on to the next block
only after the watcher's cursor has, that is, after the result of the comparison was stored. If the cursor is anywhere
else (after a reorg or another process's write), everything is read again. So a turn that fails leaves nothing behind.
"""

import asyncio
import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from crypto_checkout.core.address import Address
from crypto_checkout.core.ledger.balance_groups import BalanceGroups, ExpectedGroup
from crypto_checkout.core.ledger.expected_balances import ExpectedBalances
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.ledger import balances, cursors
from crypto_checkout.store.ledger.balances import Balance, Places, WatchedBalance

WATCHED_AFTER_GRACE = timedelta(hours=1)
"""The time after a session's grace period in which each turn still compares its balance; then the slow round does."""


@dataclass(frozen=True, slots=True)
class _PendingChanges:
    """The changes to apply once the evidence up to a block is stored.

    `corrects` tells that it takes back credits of earlier blocks: then an earlier state of this cache is wrong too.
    """

    block_hash: str
    units: Mapping[Address, int]
    corrects: bool


class AddressBalances:
    """Addresses with the balances that they should have.

    `holdings` has their expected balances. `unread` are the ones whose balance was never read, `unassigned` those that
    no session has, `unsaved` those read whose first balance isn't stored yet, and `saved_early` those of which it was
    stored before the turn's evidence.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Forget everything; the next turn reads it again."""
        self.holdings = BalanceGroups()
        self.unread: set[Address] = set()
        self.unassigned: set[Address] = set()
        self.unsaved: set[Address] = set()
        self.saved_early: set[Address] = set()
        self._pending: _PendingChanges | None = None

    def as_they_are(self, block: Header) -> list[ExpectedGroup]:
        """Return the groups of addresses with their expected balances, as they are after a block."""
        return [*self.holdings.expected(ExpectedBalances(self.holdings.units), block.number)]

    def first_block(self, address: Address, start: Header) -> int:  # noqa: ARG002 - some have a block of their own
        """Return the block from which an address's expected balance holds, `start` or a later one."""
        return start.number

    def take_from_ledger(self, addresses: Iterable[Address]) -> None:
        """Note that the expected balances of addresses are what the ledger says now, not what a block showed."""

    async def take_fingerprints(self) -> None:
        """Compute the fingerprints that are missing, one group at a time: all at once would keep others waiting."""
        for _ in self.holdings.expected(ExpectedBalances(self.holdings.units), 0):
            await asyncio.sleep(0)

    def add_balances(self, balances: Mapping[Address, int]) -> None:
        """Take the balances of unread addresses, to be stored with the next evidence."""
        self.unread.difference_update(balances)
        self.unsaved.update(balances)
        self.holdings.add(balances)

    async def save_early(self, start: Header, addresses: Sequence[Address]) -> None:
        """Store first balances, as read at the last processed block, before the turn's evidence."""

    def stage(
        self, to: Header, since: Header, units: Mapping[Address, int], *, corrects: bool = False
    ) -> Iterator[Balance]:
        """Yield the balances to store with the evidence up to a block: the changed ones, and those read at `since`.

        They hold here once the cursor is at that block. `corrects` says that the evidence takes back earlier credits.
        """
        self._pending = _PendingChanges(to.hash, units, corrects)
        for address in self.unsaved - units.keys():
            yield Balance(address, since.number, self.holdings.units[address])
        for address, each in units.items():
            yield Balance(address, to.number, each)


class WatchedAddresses(AddressBalances):
    """The addresses of a mode's sessions, up to an hour after their grace period, and its unassigned ones for good."""

    def __init__(self, db: Database, chain_id: int, livemode: bool) -> None:
        self._db = db
        self._chain_id = chain_id
        self._livemode = livemode
        super().__init__()

    def forget(self) -> None:
        """Forget everything; the next turn reads it again."""
        super().forget()
        self._ends: list[tuple[datetime, Address]] = []
        self._as_of: str | None = None
        self._places = Places()

    async def catch_up(self, block: Header) -> None:
        """Bring this up to date with the database, whose cursor is at a block, and add the sessions made meanwhile."""
        pending, self._pending = self._pending, None
        if pending is not None and pending.block_hash == block.hash:
            self.unsaved.clear()
            self.saved_early.clear()
            for address, units in pending.units.items():
                self.holdings.set(address, units)
        elif self._as_of != block.hash or (pending is not None and pending.corrects):
            # Also where a reorg led back to our own block: credits that were taken back since stay taken back.
            self.forget()
        since = block.time - WATCHED_AFTER_GRACE
        is_new, self._as_of = self._as_of is None, block.hash
        after, newest = await self._db.read(lambda unit: self._span(unit, since, is_new=is_new), quick=not is_new)
        while after != newest:
            rows, after = await self._db.read(partial(self._page, since=since, after=after, up_to=newest))
            for row in rows:
                self._add(row)
            self._places = after
        if is_new:
            await self.take_fingerprints()
        while self._ends and self._ends[0][0] <= since:
            self._drop(heapq.heappop(self._ends)[1])

    def _span(self, unit: ReadUnit, since: datetime, *, is_new: bool) -> tuple[Places, Places]:
        """Return the places after which addresses aren't here yet, and those of the newest ones."""
        if is_new:
            self._places = balances.before_oldest(unit, self._livemode, since)
        return self._places, balances.newest(unit)

    def _page(
        self, unit: ReadUnit, since: datetime, after: Places, up_to: Places
    ) -> tuple[list[WatchedBalance], Places]:
        return balances.page(unit, self._chain_id, self._livemode, since, after, up_to)

    async def save_early(self, start: Header, addresses: Sequence[Address]) -> None:
        """Store first balances before the evidence: a hundred thousand with it would keep others from writing.

        They hold at that block, whatever becomes of the turn. Nothing is stored while the stored cursor is elsewhere.
        """
        found = {each: self.holdings.units[each] for each in addresses}

        def save(unit: WriteUnit) -> bool:
            stored = cursors.cursor(unit, self._chain_id)
            if stored is None or stored.hash != start.hash:
                return False
            balances.save_at(unit, self._chain_id, start.number, found)
            return True

        if await self._db.write(save):
            self.unsaved.difference_update(addresses)
            self.saved_early.update(addresses)

    def _add(self, row: WatchedBalance) -> None:
        if row.grace_until is None:
            self.unassigned.add(row.address)
        else:
            heapq.heappush(self._ends, (row.grace_until, row.address))
        if row.units is None:
            self.unread.add(row.address)
        else:
            self.holdings.set(row.address, row.units)

    def _drop(self, address: Address) -> None:
        self.unsaved.discard(address)
        self.saved_early.discard(address)
        if address in self.unread:
            self.unread.remove(address)
        else:
            self.holdings.drop(address)
