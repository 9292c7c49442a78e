"""Find the money that no transaction's own words tell of: what contracts sent, block rewards, withdrawals.

At each processed block the balances of the addresses that wait for the native coin are compared with what they should
hold. Who has more was paid: the difference between two readings of one node, one block apart, is an internal transfer.
A node that traces blocks names its transaction.

Watched are the sessions whose time, grace included, is not over for longer than `WATCHED_AFTER_GRACE`; plain transfers
are seen for good. So the work at a block doesn't depend on how many sessions were ever made.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from crypto_checkout.core.address import Address
from crypto_checkout.core.errors import ProviderFailed, RecoverableError, StateUnavailable
from crypto_checkout.core.follow import Block, Header
from crypto_checkout.core.ledger import Jump, Ledger, internal_transfers
from crypto_checkout.core.payment import Transfer
from crypto_checkout.log import get_logger
from crypto_checkout.store import balances, payments
from crypto_checkout.store.balances import Balance, Watched
from crypto_checkout.store.database import Database

log = get_logger("balances")

WATCHED_AFTER_GRACE = timedelta(hours=1)
"""How long late internal transfers are still noticed."""

_NAMING_SECONDS = 10.0


class Chain(Protocol):
    """What is asked of a chain; see `chain.evm` and `chain.sandbox`."""

    async def balances(self, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return what addresses hold at a block. Raises StateUnavailable for one that is too old."""

    async def spent(self, header: Header, addresses: Collection[Address]) -> dict[Address, int]:
        """Return what the transactions of a block cost those who sent them."""

    async def internal_transfers(self, header: Header, addresses: Collection[Address]) -> list[Transfer]:
        """Return what contracts sent to addresses in a block. Raises ProviderFailed where nobody knows."""

    async def confirm_balances(self, header: Header, held: Mapping[Address, int]) -> None:
        """Return once enough providers have said that addresses hold just that. Raises ProviderFailed."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of comparing: internal transfers, and what addresses should hold from now on."""

    transfers: tuple[Transfer, ...] = ()
    balances: tuple[Balance, ...] = ()


@dataclass(slots=True)
class _Readings:
    """What the addresses in question hold, block by block, read when it is first asked for."""

    chain: Chain
    addresses: Sequence[Address]
    known: dict[str, Mapping[Address, int] | None] = field(default_factory=dict)

    async def at(self, header: Header) -> Mapping[Address, int] | None:
        """Return the balances at a block; None where no node knows them any more."""
        if header.hash not in self.known:
            try:
                self.known[header.hash] = await self.chain.balances(header, self.addresses)
            except StateUnavailable:
                self.known[header.hash] = None
        return self.known[header.hash]


class Balances:
    """Compares the balances of one chain with the ledger."""

    def __init__(self, db: Database, chain: Chain, chain_id: int) -> None:
        self._db = db
        self._chain = chain
        self._chain_id = chain_id
        self._compared: str | None = None
        self._doubted: str | None = None
        self._fallen: frozenset[Address] = frozenset()

    async def compare(self, start: Header, blocks: Sequence[Block], known: Sequence[Transfer]) -> Compared:
        """Compare at the last of the blocks, which follow `start`; `known` are the transfers already found in them.

        Raises ProviderFailed and ChainMoved when the readings can't be had, or contradict each other.
        """
        since = start.time - WATCHED_AFTER_GRACE
        watched = await self._db.read(lambda unit: balances.watched(unit, self._chain_id, since))
        if not watched:
            return Compared()
        ledger = await self._ledger(start, watched, blocks, known)
        headers = [start, *(block.header for block in blocks)]
        readings = _Readings(self._chain, [each.address for each in watched])
        end = await readings.at(headers[-1])
        surprising = (
            [] if end is None else [a for a in ledger.start if end[a] != ledger.expected(a, headers[-1].number)]
        )
        transfers: list[Transfer] = []
        if surprising and end is not None:
            about = _Readings(self._chain, surprising, {headers[-1].hash: end})
            transfers = await self._explained(about, ledger, headers)
        self._compared = headers[-1].hash if end is not None else None
        return Compared(tuple(transfers), tuple(_changed(watched, ledger, headers)))

    async def _ledger(
        self, start: Header, watched: Sequence[Watched], blocks: Sequence[Block], known: Sequence[Transfer]
    ) -> Ledger:
        """Return what each address should hold, block by block."""
        held = {each.address: each.units for each in watched if each.units is not None}
        unseen = {each.address: each.session_id for each in watched if each.units is None}
        if unseen:
            held.update(await self._first_look(start, unseen))
        ledger = Ledger({each.address: held[each.address] for each in watched})
        senders = {block.header: block.senders & ledger.start.keys() for block in blocks}
        for transfer in known:
            if transfer.contract is None:
                ledger.add(transfer.to, transfer.block_number, transfer.units)
        for header, addresses in senders.items():
            costs = await self._chain.spent(header, addresses) if addresses else {}
            for address, units in costs.items():
                ledger.add(address, header.number, -units)
                ledger.senders.add(address)
        return ledger

    async def _first_look(self, start: Header, unseen: Mapping[Address, str]) -> Mapping[Address, int]:
        """Return what addresses held before anybody could pay there for their session."""
        try:
            return await self._chain.balances(start, [*unseen])
        except StateUnavailable:
            # An address that is given out is unused (`services.wallets`): what it holds has come through here.
            return await self._db.read(lambda unit: {a: payments.credited(unit, each) for a, each in unseen.items()})

    async def _explained(self, readings: _Readings, ledger: Ledger, headers: Sequence[Header]) -> list[Transfer]:
        """Return the transfers that explain what addresses hold at the last block, and correct the ledger by them."""
        jumps = {address: await _jumps(readings, ledger, address, headers) for address in readings.addresses}
        self._check_start(jumps, headers)
        # Without a transaction of its own no such address loses anything: nobody believes that reading, and the next
        # one is compared with the same ledger.
        fallen = {a for a, found in jumps.items() if a not in ledger.senders and any(j.units < 0 for j in found)}
        self._check_falls({address: jumps[address] for address in fallen}, headers[-1])
        by_block = defaultdict[Header, dict[Address, int]](dict)
        for address in jumps.keys() - fallen:
            for jump in jumps[address]:
                ledger.add(address, jump.header.number, jump.units)
                if jump.units > 0:
                    by_block[jump.header][address] = jump.units
        transfers: list[Transfer] = []
        for header, arrived in by_block.items():
            held = await readings.at(header)
            if held is not None:
                await self._chain.confirm_balances(header, {address: held[address] for address in arrived})
            traced = await self._traced(header, arrived)
            transfers += internal_transfers(header, arrived, traced)
        return transfers

    def _check_start(self, jumps: Mapping[Address, Sequence[Jump]], headers: Sequence[Header]) -> None:
        """Refuse a reading of the first block with more than was read of it before; believe it the second time."""
        more = [j for found in jumps.values() for j in found if j.header is headers[0] and j.units > 0]
        if more and self._compared == headers[0].hash:
            self._compared = None
            raise ProviderFailed(f"other balances at block {headers[0].number} than before")

    def _check_falls(self, jumps: Mapping[Address, Sequence[Jump]], last: Header) -> None:
        """Refuse readings by which money left an address that sent nothing, and came back."""
        if jumps.keys() - self._fallen:
            log.warning("a balance fell, and nobody sent anything", chain=self._chain_id, block=last.number)
        self._fallen = frozenset(jumps)
        has_risen = any(jump.units > 0 for found in jumps.values() for jump in found)
        if has_risen and self._doubted != last.hash:
            self._doubted = last.hash
            raise ProviderFailed(f"balances up to block {last.number} contradict each other")

    async def _traced(self, header: Header, addresses: Collection[Address]) -> list[Transfer]:
        """Return the internal transfers that a node can name; none where that fails, for the money is there anyway."""
        try:
            async with asyncio.timeout(_NAMING_SECONDS):
                return await self._chain.internal_transfers(header, addresses)
        except (RecoverableError, TimeoutError) as error:
            log.info("an internal transfer stays unnamed", chain=self._chain_id, block=header.number, error=str(error))
            return []


async def _jumps(readings: _Readings, ledger: Ledger, address: Address, headers: Sequence[Header]) -> list[Jump]:
    """Return in which blocks an address came to hold more, or less, than it should."""

    async def surplus(header: Header) -> int | None:
        found = await readings.at(header)
        return None if found is None else found[address] - ledger.expected(address, header.number)

    async def between(low: int, before: int, high: int, after: int) -> list[Jump]:
        if before == after:
            return []
        middle = (low + high) // 2
        found = await surplus(headers[middle]) if low < middle else None
        if found is None:
            return [Jump(headers[high], after - before)]
        return [*await between(low, before, middle, found), *await between(middle, found, high, after)]

    last = len(headers) - 1
    before, after = await surplus(headers[0]) or 0, await surplus(headers[last])
    assert after is not None, "the caller has read the last block"
    at_start = [Jump(headers[0], before)] if before else []
    return [*at_start, *await between(0, before, last, after)]


def _changed(watched: Sequence[Watched], ledger: Ledger, headers: Sequence[Header]) -> list[Balance]:
    """Return what is to be stored: what nobody has looked at yet, and what has changed."""
    found = []
    for each in watched:
        is_changed = each.address in ledger.changes
        if is_changed or each.units is None:
            number = headers[-1 if is_changed else 0].number
            found.append(Balance(each.session_id, number, ledger.expected(each.address, headers[-1].number)))
    return found
