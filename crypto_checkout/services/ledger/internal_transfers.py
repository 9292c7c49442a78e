"""Find the money that no transaction's own words tell of: what contracts sent, block rewards, withdrawals.

At each processed block the balances of the addresses that wait for a payment are compared with what they should hold.
Who has more was paid: the difference between two readings of one node, one block apart, is an internal transfer.
A node that traces blocks names its transaction.

Compared are all sessions of the mode, also those that ask for a token or for another chain's coin: theirs is unmatched.
Nobody is left out who could have been paid. A node says in one word for thousands of addresses whether any of them
holds other than expected, and only where it does they are read one by one. `services.ledger.watched_addresses` says
whose time is over; plain transfers are seen for good. So the work at a block doesn't depend on how many sessions were
ever made.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from crypto_checkout.core.address import Address
from crypto_checkout.core.errors import ProviderFailed, RecoverableError, StateUnavailable
from crypto_checkout.core.ledger.balance_groups import ExpectedGroup
from crypto_checkout.core.ledger.expected_balances import (
    ExpectedBalances,
    UnexplainedChange,
    internal_transfers,
    net_rise,
)
from crypto_checkout.core.ledger.follow import Block, Header
from crypto_checkout.core.ledger.payment import Transfer
from crypto_checkout.log import get_logger
from crypto_checkout.services.ledger.second_reading import BalanceAgreement, SecondReading
from crypto_checkout.services.ledger.watched_addresses import WatchedAddresses
from crypto_checkout.store.database import Database, ReadUnit
from crypto_checkout.store.ledger import payments, unmatched
from crypto_checkout.store.ledger.balances import Balance
from crypto_checkout.store.ledger.unnamed import UnnamedCredit

log = get_logger("balances")

_NAMING_SECONDS = 10.0


class BalanceReader(BalanceAgreement, Protocol):
    """What is asked of a chain; see `chain.evm.chain` and `chain.sandbox.chain`."""

    async def balances(self, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return what addresses hold at a block. Raises StateUnavailable for one that is too old."""

    async def mismatches(self, header: Header, groups: Sequence[ExpectedGroup]) -> list[ExpectedGroup]:
        """Return the groups of addresses that hold something else at a block than expected, or may."""

    async def spent(self, header: Header, addresses: Collection[Address]) -> dict[Address, int]:
        """Return what the transactions of a block cost those who sent them."""

    async def internal_transfers(self, header: Header, addresses: Collection[Address]) -> list[Transfer]:
        """Return what contracts sent to addresses in a block. Raises ProviderFailed where nobody knows."""

    async def confirm_balances(self, header: Header, held: Mapping[Address, int]) -> None:
        """Return once enough providers have said that addresses hold just that. Raises ProviderFailed."""

    async def compare_balances(self, header: Header, held: Mapping[Address, int], known: Mapping[Address, int]) -> None:
        """Raise ProviderFailed where providers contradict each other, or too few say what nobody else knows of."""


@dataclass(frozen=True, slots=True)
class BalanceComparison:
    """What came of comparing: internal transfers, and what addresses should hold from now on.

    `confirmed` and `withdrawn` are unnamed credits of earlier blocks that count from now on, or no longer.
    """

    transfers: tuple[Transfer, ...] = ()
    balances: tuple[Balance, ...] = ()
    confirmed: tuple[UnnamedCredit, ...] = ()
    withdrawn: tuple[UnnamedCredit, ...] = ()


@dataclass(slots=True)
class _Readings:
    """What the addresses in question hold, block by block, read when it is first asked for."""

    chain: BalanceReader
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


class InternalTransfers:
    """Compares the balances of one chain with the ledger."""

    def __init__(self, db: Database, chain: BalanceReader, chain_id: int, livemode: bool) -> None:
        self._db = db
        self._chain = chain
        self._chain_id = chain_id
        self._watched = WatchedAddresses(db, chain_id, livemode)
        self._second = SecondReading(db, chain, chain_id, self._watched)
        self._compared: str | None = None
        self._doubted: str | None = None
        self._fallen: frozenset[Address] = frozenset()

    async def compare(self, start: Header, blocks: Sequence[Block], known: Sequence[Transfer]) -> BalanceComparison:
        """Compare at the last of the blocks, which follow `start`; `known` are the transfers already found in them.

        Raises ProviderFailed and ChainMoved when the readings can't be had, or contradict each other.
        """
        await self._watched.bring_to(start)
        if self._watched.unseen:
            self._watched.look(await self._first_look(start, self._watched.unseen))
        review = await self._second.review(start)
        if not self._watched.holdings.units:
            return BalanceComparison((), (), review.confirmed(is_read=True), review.withdrawn)
        ledger = await self._ledger(blocks, known)
        for credit in review.withdrawn:
            ledger.add(credit.address, start.number, -credit.units)
        headers = [start, *(block.header for block in blocks)]
        end = await self._suspects(headers[-1], ledger)
        surprising = [a for a, units in (end or {}).items() if units != ledger.expected(a, headers[-1].number)]
        transfers: list[Transfer] = []
        if surprising:
            about = _Readings(self._chain, surprising, {headers[-1].hash: end})
            transfers = await self._explained(about, ledger, headers)
        self._compared = headers[-1].hash if end is not None else None
        changed = {address: ledger.expected(address, headers[-1].number) for address in ledger.changes}
        balances = tuple(self._watched.go_on(headers[-1], start, changed))
        # Without having sent anything, an address can hold less only where too much was credited, or this reading is
        # wrong: the next turn tells.
        short = {a for a in surprising if (end or {})[a] < ledger.expected(a, headers[-1].number)} - ledger.senders
        self._second.remember_falls(headers[-1], short)
        confirmed = tuple(each for each in review.confirmed(is_read=end is not None) if each.address not in short)
        return BalanceComparison(tuple(transfers), balances, confirmed, review.withdrawn)

    async def _suspects(self, last: Header, ledger: ExpectedBalances) -> Mapping[Address, int] | None:
        """Return what those hold who may hold something else than expected; None where no node knows any more."""
        groups = await self._chain.mismatches(last, [*self._watched.holdings.expected(ledger, last.number)])
        try:
            return await self._chain.balances(last, [address for group in groups for address in group.addresses])
        except StateUnavailable:
            return None

    async def _ledger(self, blocks: Sequence[Block], known: Sequence[Transfer]) -> ExpectedBalances:
        """Return what each address should hold, block by block."""
        ledger = ExpectedBalances(self._watched.holdings.units)
        for transfer in known:
            if transfer.contract is None:
                ledger.add(transfer.to, transfer.block_number, transfer.units)
        for block in blocks:
            addresses = block.senders & ledger.start.keys()
            costs = await self._chain.spent(block.header, addresses) if addresses else {}
            for address, units in costs.items():
                ledger.add(address, block.header.number, -units)
                ledger.senders.add(address)
        return ledger

    async def _first_look(self, start: Header, unseen: Mapping[Address, str]) -> Mapping[Address, int]:
        """Return what addresses held before anybody could pay there for their session."""
        try:
            held = await self._chain.balances(start, [*unseen])
            came = await self._db.read(lambda unit: {a: self._known(unit, each) for a, each in unseen.items()})
            # What is read too high here would hide as much later, and what is read too low would become money.
            await self._chain.compare_balances(start, held, came)
            short = [address for address in unseen if held[address] < came[address]]
            sent = await self._chain.nonces(start, short) if short else {}
            await self._read_again(start, {a: units for a, units in held.items() if units > came[a]})
        except StateUnavailable:
            # An address that is given out is unused (`services.wallets`): what it holds has come through here.
            return await self._db.read(lambda unit: {a: self._known(unit, each) for a, each in unseen.items()})
        # After a reorg they are read anew, when some were paid before it. Less than that they hold only if somebody
        # sent it away; else the reading is wrong, and what was credited would seem to come again.
        return {**held, **{address: came[address] for address in short if not sent[address]}}

    async def _read_again(self, start: Header, held: Mapping[Address, int]) -> None:
        """Refuse a first reading that is news and that a second one doesn't show: it would hide as much that comes."""
        if held and await self._chain.agreed_balances(start, [*held]) != held:
            raise ProviderFailed(f"two readings of the balances at block {start.number} differ")

    def _known(self, unit: ReadUnit, session_id: str) -> int:
        """Return what has come to a session's address in this chain's coin, by all that is stored."""
        paid = payments.coins(unit, session_id, self._chain_id)
        return paid + unmatched.coins(unit, session_id, self._chain_id)

    async def _explained(
        self, readings: _Readings, ledger: ExpectedBalances, headers: Sequence[Header]
    ) -> list[Transfer]:
        """Return the transfers that explain what addresses hold at the last block, and correct the ledger by them."""
        jumps = {address: await _jumps(readings, ledger, address, headers) for address in readings.addresses}
        self._check_start(jumps, headers)
        # Without a transaction of its own no such address loses anything: nobody believes that reading, and the next
        # one is compared with the same ledger. What is above the ledger in the end has come all the same.
        fallen = {a for a, found in jumps.items() if a not in ledger.senders and any(j.units < 0 for j in found)}
        self._check_falls({address: jumps[address] for address in fallen}, headers[-1])
        jumps.update({address: net_rise(jumps[address]) for address in fallen})
        by_block = defaultdict[Header, dict[Address, int]](dict)
        for address, found in jumps.items():
            for jump in found:
                ledger.add(address, jump.header.number, jump.units)
                if jump.units > 0:
                    by_block[jump.header][address] = jump.units
        transfers: list[Transfer] = []
        for header, arrived in by_block.items():
            held = await readings.at(header)
            if held is not None:
                await self._chain.confirm_balances(header, {address: held[address] for address in arrived})
            traced = await self._traced(header, arrived)
            transfers += internal_transfers(header, arrived, traced, held or {})
        return transfers

    def _check_start(self, jumps: Mapping[Address, Sequence[UnexplainedChange]], headers: Sequence[Header]) -> None:
        """Refuse a reading of the first block with more than was read of it before; believe it the second time."""
        more = [j for found in jumps.values() for j in found if j.header is headers[0] and j.units > 0]
        if more and self._compared == headers[0].hash:
            self._compared = None
            raise ProviderFailed(f"other balances at block {headers[0].number} than before")

    def _check_falls(self, jumps: Mapping[Address, Sequence[UnexplainedChange]], last: Header) -> None:
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


async def _jumps(
    readings: _Readings, ledger: ExpectedBalances, address: Address, headers: Sequence[Header]
) -> list[UnexplainedChange]:
    """Return in which blocks an address came to hold more, or less, than it should."""

    async def surplus(header: Header) -> int | None:
        found = await readings.at(header)
        return None if found is None else found[address] - ledger.expected(address, header.number)

    async def between(low: int, before: int, high: int, after: int) -> list[UnexplainedChange]:
        if before == after:
            return []
        middle = (low + high) // 2
        found = await surplus(headers[middle]) if low < middle else None
        if found is None:
            return [UnexplainedChange(headers[high], after - before)]
        return [*await between(low, before, middle, found), *await between(middle, found, high, after)]

    last = len(headers) - 1
    before, after = await surplus(headers[0]) or 0, await surplus(headers[last])
    assert after is not None, "the caller has read the last block"
    at_start = [UnexplainedChange(headers[0], before)] if before else []
    return [*at_start, *await between(0, before, last, after)]
