"""The slow round: money that comes late, to addresses of sessions that ended long ago.

Each turn of the watcher reads what reached the addresses of open and of lately closed sessions. All sessions ever made
are looked at page by page: the logs that pay them since the last look, as a second look also at open ones, those of
tokens that left them, and the balances of the old ones. Each page has its own place in the database, so a restart
skips nothing.

An old address may be emptied between two looks. Coins that come and leave again between them stay unseen if they leave
the balance as it was; tokens don't, since their logs stay.
"""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Protocol

from crypto_checkout.core.address import Address
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.ledger.payment import Transfer
from crypto_checkout.services.ledger.evidence import NOTHING, Evidence, EvidenceReader, TransferEvidence
from crypto_checkout.services.ledger.internal_transfers import InternalTransfers
from crypto_checkout.services.ledger.judge import Judge
from crypto_checkout.services.ledger.reading.reader import RangeReader
from crypto_checkout.services.ledger.reading.stretch import Stretch
from crypto_checkout.services.ledger.watched_addresses import WATCHED_AFTER_GRACE, AddressBalances
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.ledger import late_pages, unnamed
from crypto_checkout.store.ledger.cursors import Cursor
from crypto_checkout.store.ledger.late_pages import LateAddress, LatePage

_PAGE_SECONDS = 600.0
_PAUSE_SECONDS = 60.0


class LateChain(TransferEvidence, RangeReader, Protocol):
    """A chain as its old addresses are read; `chain.evm.chain` and `chain.sandbox.chain` implement it."""

    async def tokens_sent(
        self, first: int, last: Header, addresses: Sequence[Address], tokens: Sequence[Address] | None = None
    ) -> list[Transfer]:
        """Return the transfers of tokens, by default all accepted ones, that addresses sent, from block `first` on."""


class _OldAddresses(AddressBalances):
    """The addresses of a page that no turn of the watcher compares any more."""

    def __init__(self) -> None:
        super().__init__()
        self._since: dict[Address, int] = {}
        self._recorded_to = 0

    def take(self, found: list[LateAddress], recorded_to: int) -> None:
        """Take a page; the ledger is complete up to a block, where the page may begin before it."""
        self.forget()
        self._recorded_to = recorded_to
        self._since = {each.address: each.since or 0 for each in found}
        for each in found:
            if each.units is None:
                self.unread.add(each.address)
            else:
                self.holdings.set(each.address, each.units)

    def take_from_ledger(self, addresses: Iterable[Address]) -> None:
        self._since |= dict.fromkeys(addresses, self._recorded_to)

    def first_block(self, address: Address, start: Header) -> int:
        return max(start.number, self._since[address])


class LateRound:
    """Looks at the old addresses of one chain. `clock` is monotonic."""

    def __init__(
        self,
        db: Database,
        chain: LateChain,
        chain_id: int,
        *,
        livemode: bool,
        agree_above_fiat: Decimal,
        clock: Callable[[], float],
    ) -> None:
        self._db = db
        self._chain = chain
        self._chain_id = chain_id
        self._livemode = livemode
        self._clock = clock
        self._addresses = _OldAddresses()
        balances = InternalTransfers(db, chain, chain_id, self._addresses, second=None)
        self._evidence = EvidenceReader(db, chain, chain_id, balances, agree_above_fiat=agree_above_fiat)
        self._next = 0.0
        self._looked_at: dict[int, float] = {}

    async def turn(self, cursor: Cursor, judge: Judge, check: Callable[[WriteUnit], object]) -> bool:
        """Look at a page, if it is time for that, and store what was found; return whether it was time.

        `check` raises where `cursor` is no longer the last processed block. Raises RecoverableError when a node can't
        answer; nothing was written then.
        """
        page = await self._due(cursor)
        if page is None:
            return False
        number, found = await self._look(page, cursor)

        def store(unit: WriteUnit) -> None:
            check(unit)
            current = found.as_of(unit, self._chain_id)
            current.store(unit, self._chain_id)
            judge.advance(unit, current, cursor.tip)
            late_pages.move(unit, self._chain_id, page.page, number)

        await self._db.write(store)
        return True

    async def _due(self, cursor: Cursor) -> LatePage | None:
        """Return the page to look at now: one a minute, and none twice within ten minutes."""
        now = self._clock()
        if now < self._next or not self._chain.reads_ranges:
            return None
        self._next = now + _PAUSE_SECONDS
        pages = await self._db.read(lambda unit: late_pages.furthest_behind(unit, self._chain_id, cursor.number))
        waiting = (page for page in pages if now - self._looked_at.get(page.page, -_PAGE_SECONDS) >= _PAGE_SECONDS)
        found = next(waiting, None)
        if found is not None:
            self._looked_at[found.page] = now
        return found

    async def _look(self, page: LatePage, cursor: Cursor) -> tuple[int, Evidence]:
        """Look at a page up to the last processed block, unless that is too far; return the number reached."""

        def read(unit: ReadUnit) -> tuple[list[LateAddress], set[Address]]:
            since = cursor.time - WATCHED_AFTER_GRACE
            found = late_pages.addresses(unit, self._chain_id, self._livemode, page.page, since)
            return found, {credit.address for credit in unnamed.provisional(unit, self._chain_id)}

        found, provisional = await self._db.read(read)
        if not found:
            return cursor.number, NOTHING
        number = min(cursor.number, page.number + self._chain.range_blocks)
        (start,) = await self._chain.headers([page.number])
        last = cursor.header if number == cursor.number else (await self._chain.headers([number]))[0]
        # Until a provisional credit was read again, nobody knows which balance its address should have.
        old = [each for each in found if not each.is_watched and each.address not in provisional]
        self._addresses.take(old if number == cursor.number else [], cursor.number)
        groups = self._addresses.as_they_are(start)
        addresses = [each.address for each in found]
        others = [each for each in addresses if each not in self._addresses.holdings.units]
        reading = await self._chain.read_range(start, last, start.number + 1, groups, others)
        # Whoever may move a token, by an allowance or a signature, needs no transaction of the address.
        sent = await self._chain.tokens_sent(start.number + 1, last, addresses)
        left = (*reading.collected, *sent)
        stretch = Stretch(self._chain, start, last, reading.links, reading.transfers, reading.matching, left=left)
        return number, await self._evidence.of(stretch)
