"""The addresses whose balances are compared on one chain, and what each should hold, kept in memory.

The database has the last word. What is here is true as of one block, named by its hash: it goes on to the next block
only when the watcher's cursor has done so, that is when what came of comparing is stored; anything else that the cursor
does (a reorg, another process's write) has all of it read again. So a turn that fails leaves nothing behind.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from crypto_checkout.core.address import Address
from crypto_checkout.core.ledger.balance_groups import BalanceGroups
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.store.database import Database, ReadUnit
from crypto_checkout.store.ledger import balances
from crypto_checkout.store.ledger.balances import Balance
from crypto_checkout.store.ledger.balances import WatchedBalance as Row

WATCHED_AFTER_GRACE = timedelta(hours=1)
"""How long late internal transfers are still noticed."""


@dataclass(frozen=True, slots=True)
class _Next:
    """What is true from another block on, once its evidence is stored."""

    block_hash: str
    units: Mapping[Address, int]


class WatchedAddresses:
    """The addresses of a mode's sessions whose time, grace included, is not over for longer than an hour.

    `session_ids` says whose they are, `holdings` what they should hold; `unseen` are those that nobody has looked at.
    """

    def __init__(self, db: Database, chain_id: int, livemode: bool) -> None:
        self._db = db
        self._chain_id = chain_id
        self._livemode = livemode
        self._forget()

    def _forget(self) -> None:
        self.holdings = BalanceGroups()
        self.session_ids: dict[Address, str] = {}
        self.unseen: dict[Address, str] = {}
        self._unsaved: set[Address] = set()
        self._ends: list[tuple[datetime, Address]] = []
        self._as_of: str | None = None
        self._next: _Next | None = None
        self._last_place = 0

    async def bring_to(self, block: Header) -> None:
        """Bring this in line with the database, whose cursor is at a block, and with the sessions made meanwhile."""
        then, self._next = self._next, None
        if then is not None and then.block_hash == block.hash:
            self._unsaved.clear()
            for address, units in then.units.items():
                self.holdings.set(address, units)
        elif self._as_of != block.hash:
            self._forget()
        since = block.time - WATCHED_AFTER_GRACE
        rows, self._last_place = await self._db.read(lambda unit: self._rows(unit, since))
        self._as_of = block.hash
        for row in rows:
            self._add(row)
        while self._ends and self._ends[0][0] <= since:
            self._drop(heapq.heappop(self._ends)[1])

    def look(self, found: Mapping[Address, int]) -> None:
        """Take what addresses that nobody had looked at hold, to be stored with the next evidence."""
        for address, units in found.items():
            del self.unseen[address]
            self._unsaved.add(address)
            self.holdings.set(address, units)

    def go_on(self, to: Header, since: Header, units: Mapping[Address, int]) -> Iterator[Balance]:
        """Yield what is to be stored with the evidence up to a block: new balances, and what was read at `since`."""
        self._next = _Next(to.hash, units)
        for address in self._unsaved - units.keys():
            yield Balance(self.session_ids[address], since.number, self.holdings.units[address])
        for address, each in units.items():
            yield Balance(self.session_ids[address], to.number, each)

    def _rows(self, unit: ReadUnit, since: datetime) -> tuple[Iterable[Row], int]:
        """Return the sessions that are not here yet, and the place of the newest of all."""
        newest = balances.last_place(unit)
        if self._as_of is None:
            return balances.watched(unit, self._chain_id, self._livemode, since), newest
        if newest == self._last_place:
            return [], newest
        return balances.watched_after(unit, self._chain_id, self._livemode, self._last_place), newest

    def _add(self, row: Row) -> None:
        self.session_ids[row.address] = row.session_id
        heapq.heappush(self._ends, (row.grace_until, row.address))
        if row.units is None:
            self.unseen[row.address] = row.session_id
        else:
            self.holdings.set(row.address, row.units)

    def _drop(self, address: Address) -> None:
        del self.session_ids[address]
        self._unsaved.discard(address)
        if self.unseen.pop(address, None) is None:
            self.holdings.drop(address)
