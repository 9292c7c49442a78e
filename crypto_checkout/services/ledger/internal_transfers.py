"""Find the money that no transaction's own fields show: coins sent by contracts, block rewards, withdrawals.

After each stretch of blocks, the balances of watched addresses are compared with the expected ones. Where one differs,
bisection finds the blocks in which it changed; these are read whole, and name plain transfers and what was sent. What
is left is an internal transfer: the unexplained difference between two blocks, as one node reads them. A node that
traces blocks gives it the hash of its transaction.

The addresses of all sessions of the mode are compared, also of those that ask for a token or for another chain's coin:
coins there are unmatched payments. So are coins at the wallet's unassigned addresses, which no session has. A node
answers with one fingerprint for thousands of addresses, and balances are read one by one only where it differs
(`core.ledger.balance_groups`). A session's address is compared until an hour after its grace period
(`services.ledger.watched_addresses`), so the work of a turn doesn't grow with the number of sessions ever made; after
that it is looked at in the slow round, for ever (`services.ledger.reading.late_round`).
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from crypto_checkout.core.address import Address
from crypto_checkout.core.errors import BalancesRefused, ProviderFailed, RecoverableError, StateUnavailable
from crypto_checkout.core.ledger.balance_groups import ExpectedGroup
from crypto_checkout.core.ledger.expected_balances import (
    ExpectedBalances,
    UnexplainedChange,
    internal_transfers,
    net_rise,
)
from crypto_checkout.core.ledger.follow import Block, Header
from crypto_checkout.core.ledger.outflow import Outflow, OwnTransaction, unseen, without_repetitions
from crypto_checkout.core.ledger.payment import Transfer
from crypto_checkout.log import get_logger
from crypto_checkout.services.ledger.reading.bisection import Readings, surprising, unexplained
from crypto_checkout.services.ledger.reading.first_balances import FirstBalances, FirstReader
from crypto_checkout.services.ledger.reading.outflows import OutflowEvidence, OutflowReader
from crypto_checkout.services.ledger.reading.stretch import Stretch
from crypto_checkout.services.ledger.second_reading import Review, SecondReading
from crypto_checkout.services.ledger.watched_addresses import AddressBalances
from crypto_checkout.store.database import Database
from crypto_checkout.store.ledger import credits, cursors
from crypto_checkout.store.ledger.balances import Balance
from crypto_checkout.store.ledger.unnamed import UnnamedCredit

log = get_logger("balances")

_NAMING_SECONDS = 10.0
_MOST_REFUSALS = 3
_MOST_UNREADABLE = 64


class BalanceReader(OutflowEvidence, FirstReader, Protocol):
    """A chain as balances are read from it; `chain.evm.chain` and `chain.sandbox.chain` implement it."""

    async def mismatches(self, header: Header, groups: Sequence[ExpectedGroup]) -> list[ExpectedGroup]:
        """Return the groups whose balances after a block differ, or may differ, from the expected ones."""

    async def succeeded(self, transfers: Sequence[Transfer]) -> list[Transfer]:
        """Keep the transfers that did not revert."""

    async def spent(self, header: Header, addresses: Collection[Address]) -> list[OwnTransaction]:
        """Return the transactions of these senders in a block, with their cost."""

    async def internal_transfers(self, header: Header, addresses: Collection[Address]) -> list[Transfer]:
        """Return the transfers by contracts to addresses in a block. Raises ProviderFailed if no node traces."""

    async def confirm_balances(self, header: Header, held: Mapping[Address, int]) -> None:
        """Return once enough providers have shown exactly these balances. Raises ProviderFailed."""


@dataclass(frozen=True, slots=True)
class BalanceComparison:
    """The internal transfers and the outflows that were found, and the expected balances to store.

    `confirmed` and `withdrawn` are unnamed credits of earlier blocks that count from now on, or no longer.
    `is_compared` tells whether balances were read after the last block; None where none are watched.
    """

    transfers: tuple[Transfer, ...] = ()
    balances: tuple[Balance, ...] = ()
    confirmed: tuple[UnnamedCredit, ...] = ()
    withdrawn: tuple[UnnamedCredit, ...] = ()
    is_compared: bool | None = None
    outflows: tuple[Outflow, ...] = ()


class InternalTransfers:
    """Compares the balances of one chain with the ledger.

    A reading that can't be true is refused once: the turn fails, and balances are read again. If it comes again, it is
    believed, so that no node can stop the chain for good. `_compared` and `_doubted` remember that by block hash.

    Where all providers refuse to tell balances, the turn fails too, a few times. Then the chain is followed without
    them: no session expires meanwhile (`core.ledger.assess.Tip`), and what came is found once they are told again. It
    is dated by the last comparison then, because it may have come in any block since: a payer loses no time by it.

    Without a `second` reading these are addresses that are looked at seldom: merchants empty them meanwhile.
    """

    def __init__(
        self, db: Database, chain: BalanceReader, chain_id: int, watched: AddressBalances, second: SecondReading | None
    ) -> None:
        self._db = db
        self._chain = chain
        self._chain_id = chain_id
        self._watched = watched
        self._second = second
        self._outflows = OutflowReader(db, chain, chain_id)
        self._first = FirstBalances(db, chain, chain_id, watched, self._check_patience)
        self._compared: str | None = None
        self._doubted: str | None = None
        self._fallen: frozenset[Address] = frozenset()
        self._refusals = 0

    async def compare(self, stretch: Stretch, known: Sequence[Transfer]) -> BalanceComparison:
        """Compare balances after the last block of a stretch, at whose start the addresses are up to date.

        `known` are the transfers already found in it. Raises ProviderFailed and ChainMoved when balances can't be
        read or contradict each other.
        """
        start, last = stretch.start, stretch.last
        found = await self._outflows.in_stretch(stretch)
        found += await self._first.read(start)
        late = await self._late(found, start)
        review = Review() if self._second is None else await self._second.review(start, late)
        if not self._watched.holdings.units:
            return BalanceComparison(
                (), review.balances, review.confirmed(is_read=True), review.withdrawn, outflows=tuple(found)
            )
        ledger = ExpectedBalances(self._watched.holdings.units)
        await self._add(ledger, start, stretch.blocks, known)
        self._leave(ledger, start, found, late)
        for credit in review.withdrawn:
            ledger.add(credit.address, start.number, -credit.units)
        for address, units in review.outflows.items():
            ledger.leave(unseen(start, address, units))
        dated = await self._dated(start)
        end = await self._suspects(stretch, ledger)
        if end and self._second is None:
            await self._note_senders(ledger, last, end)
        transfers = await self._in_blocks(stretch, ledger, end, found)
        unexpected = surprising(ledger, last, end)
        if end is not None and unexpected:
            transfers += await self._find(Readings(self._chain, unexpected, {last.hash: end}), ledger, stretch, dated)
        self._compared = last.hash if end is not None else None
        changed = {address: ledger.expected(address, last.number) for address in ledger.changes}
        corrects = bool(review.withdrawn or review.outflows)
        balances = (*review.balances, *self._watched.stage(last, start, changed, corrects=corrects))
        # Without a transaction of its own, an address can hold less only if too much was credited or this reading is
        # wrong; the next turn finds out which.
        lower = {a for a in unexpected if (end or {})[a] < ledger.expected(a, last.number)} - ledger.senders.keys()
        if self._second is not None:
            self._second.remember_falls(last, lower)
        confirmed = tuple(each for each in review.confirmed(is_read=end is not None) if each.address not in lower)
        outflows = tuple(each for each in without_repetitions([*found, *ledger.outflows]) if each.units)
        return BalanceComparison(tuple(transfers), balances, confirmed, review.withdrawn, end is not None, outflows)

    async def _late(self, outflows: Sequence[Outflow], start: Header) -> Mapping[Address, int]:
        """Return the coins that left watched addresses in blocks processed before, as far as nobody knew of it."""
        watched = self._watched.holdings.units
        late = [
            each
            for each in outflows
            if each.address in watched and self._is_before(each, start) and each.contract is None
        ]
        units = Counter[Address]()
        for outflow, unknown in await self._outflows.unaccounted(late) if late else []:
            units[outflow.address] += unknown
        return units

    def _is_before(self, outflow: Outflow, start: Header) -> bool:
        return outflow.block_number <= self._watched.first_block(outflow.address, start)

    def _leave(
        self, ledger: ExpectedBalances, start: Header, outflows: Sequence[Outflow], late: Mapping[Address, int]
    ) -> None:
        """Subtract coins that left: in their block, or where that was processed before, what nobody knew of."""
        for outflow in outflows:
            is_compared = outflow.contract is None and outflow.address in ledger.start
            if is_compared and not self._is_before(outflow, start):
                ledger.leave(outflow)
        for address, units in late.items():
            ledger.add(address, self._watched.first_block(address, start), -units)

    async def _dated(self, start: Header) -> Header:
        """Return the last processed block, dated by the last comparison if that is older: money may have come since."""
        if self._compared == start.hash or self._second is None:
            return start
        cursor = await self._db.read(lambda unit: cursors.cursor(unit, self._chain_id))
        return start if cursor is None else replace(start, time=cursor.tip.expiry_time)

    def _check_patience(self, error: BalancesRefused) -> None:
        """Raise it again, unless it came a few times already, one turn after another."""
        self._refusals += 1
        if self._refusals <= _MOST_REFUSALS:
            raise error
        log.warning("balances are refused", chain=self._chain_id, error=str(error))

    async def _suspects(self, stretch: Stretch, ledger: ExpectedBalances) -> dict[Address, int] | None:
        """Return the balances of the groups that may differ from the expected ones; None if no node has them now."""
        last = stretch.last
        groups = [each for each in self._watched.holdings.expected(ledger, last.number) if each not in stretch.matching]
        try:
            if groups:
                groups = await self._chain.mismatches(last, groups)
            found = await self._chain.balances(last, [address for group in groups for address in group.addresses])
        except StateUnavailable:
            return None
        except BalancesRefused as error:
            self._check_patience(error)
            return None
        self._refusals = 0
        return found

    async def _note_senders(self, ledger: ExpectedBalances, last: Header, end: Mapping[Address, int]) -> None:
        """Take the addresses that ever sent a transaction for ones whose balances can have fallen."""
        unexpected = surprising(ledger, last, end)
        sent = await self._chain.nonces(last, unexpected) if unexpected else {}
        for address in unexpected:
            if sent[address]:
                ledger.senders.setdefault(address, {})

    async def _add(
        self, ledger: ExpectedBalances, start: Header, blocks: Sequence[Block], known: Sequence[Transfer]
    ) -> None:
        """Add to the expected balances, block by block, what the transactions of blocks brought and cost."""
        for transfer in known:
            if transfer.contract is None:
                ledger.add(transfer.to, transfer.block_number, transfer.units)
        for block in blocks:
            addresses = block.senders & ledger.start.keys()
            for each in await self._chain.spent(block.header, addresses) if addresses else []:
                if block.header.number > self._watched.first_block(each.sender, start):
                    ledger.spend(block.header, each)

    async def _in_blocks(
        self, stretch: Stretch, ledger: ExpectedBalances, end: dict[Address, int] | None, outflows: list[Outflow]
    ) -> list[Transfer]:
        """Read the blocks in which balances changed; return the transfers in them, and add them to the expected ones.

        What left by their logs is added to `outflows`.

        Where states are missing, all blocks between two that have them are read. A block can show that an address was
        paid whose balance is the expected one: then the block in which the coins left again is read too.
        """
        if stretch.is_whole or (end is None and self._second is None):
            return []
        start, last = stretch.start, stretch.last
        found: list[Transfer] = []
        numbers = set(range(start.number + 1, last.number + 1)) if end is None else set()
        most = None if self._second is not None else _MOST_UNREADABLE
        while True:
            unexpected = surprising(ledger, last, end)
            readings = Readings(self._chain, unexpected, {last.hash: end})
            firsts = {address: self._watched.first_block(address, start) for address in unexpected}
            for changes in (await unexplained(readings, ledger, firsts, stretch, start)).values():
                for change in changes:
                    numbers.update(range(change.after + 1, change.header.number + 1)[:most])
            blocks = await stretch.read(numbers)
            if not blocks:
                return found
            arrived = await self._chain.succeeded(await self._ours(start, blocks, ledger))
            known = {each.key for each in outflows}
            left = [each for each in await self._outflows.in_blocks(blocks) if each.key not in known]
            if end is not None:
                touched = {t.to for t in arrived}.union(*(block.senders for block in blocks), (o.address for o in left))
                touched &= ledger.start.keys()
                end.update({each: ledger.expected(each, last.number) for each in touched - end.keys()})
            await self._add(ledger, start, [block for block in blocks if block.header.number > start.number], arrived)
            self._leave(ledger, start, left, await self._late(left, start))
            outflows += left
            # The cost of what was sent in a processed block was counted already, or is what is missing at its balance.
            for address in ledger.start.keys() & frozenset[Address]().union(*(block.senders for block in blocks)):
                ledger.senders.setdefault(address, {})
            found += arrived

    async def _ours(self, start: Header, blocks: Sequence[Block], ledger: ExpectedBalances) -> list[Transfer]:
        """Return the transfers to watched addresses in blocks, without recorded ones in blocks processed before."""
        found = [transfer for block in blocks for transfer in block.transfers if transfer.to in ledger.start]
        first = {each.to: self._watched.first_block(each.to, start) for each in found}
        earlier = {each.to for each in found if each.block_number <= first[each.to]}
        if not earlier:
            return found
        recorded = await self._db.read(lambda unit: credits.transactions(unit, self._chain_id, [*earlier]))
        return [t for t in found if t.block_number > first[t.to] or (t.tx_hash, t.to) not in recorded]

    async def _find(
        self, readings: Readings, ledger: ExpectedBalances, stretch: Stretch, dated: Header
    ) -> list[Transfer]:
        """Return the transfers that explain the balances after the last block, and add them to the expected ones."""
        firsts = {address: self._watched.first_block(address, dated) for address in readings.addresses}
        changes = await unexplained(readings, ledger, firsts, stretch, dated)
        self._check_start(changes, dated)
        # An address loses money only by its own transactions, so without one a fall proves nothing: expected balances
        # stay as they are, and the next reading is compared with them. A net rise over all the blocks is still money.
        fallen = {
            a for a, found in changes.items() if a not in ledger.senders and any(change.units < 0 for change in found)
        }
        self._check_falls({address: changes[address] for address in fallen}, stretch.last)
        changes.update({address: net_rise(changes[address]) for address in fallen})
        by_block = defaultdict[Header, dict[Address, int]](dict)
        for address, found in changes.items():
            for change in found:
                ledger.explain(address, change)
                if ledger.is_payment(address, change):
                    by_block[change.header][address] = change.units
        transfers: list[Transfer] = []
        for header, arrived in by_block.items():
            held = await readings.at(header)
            if held is not None:
                await self._chain.confirm_balances(header, {address: held[address] for address in arrived})
            traced = await self._traced(header, arrived)
            transfers += internal_transfers(header, arrived, traced, held or {})
        return transfers

    def _check_start(self, changes: Mapping[Address, Sequence[UnexplainedChange]], start: Header) -> None:
        """Refuse, once, a higher balance at the first block than the last turn read at the same block."""
        more = [
            change
            for address, found in changes.items()
            # read at this block for the first time
            if address not in self._watched.unsaved and address not in self._watched.saved_early
            for change in found
            if change.header is start and change.units > 0
        ]
        if more and self._compared == start.hash:
            self._compared = None
            raise ProviderFailed(f"other balances at block {start.number} than before")

    def _check_falls(self, changes: Mapping[Address, Sequence[UnexplainedChange]], last: Header) -> None:
        """Refuse, once, readings in which balances fall without a transaction and rise again."""
        if changes.keys() - self._fallen:
            log.warning("a balance fell, and nobody sent anything", chain=self._chain_id, block=last.number)
        self._fallen = frozenset(changes)
        has_risen = any(change.units > 0 for found in changes.values() for change in found)
        if has_risen and self._doubted != last.hash:
            self._doubted = last.hash
            raise ProviderFailed(f"balances up to block {last.number} contradict each other")

    async def _traced(self, header: Header, addresses: Collection[Address]) -> list[Transfer]:
        """Return the internal transfers that a node traces; none if that fails: the balances prove the money."""
        try:
            async with asyncio.timeout(_NAMING_SECONDS):
                return await self._chain.internal_transfers(header, addresses)
        except (RecoverableError, TimeoutError) as error:
            log.info("an internal transfer stays unnamed", chain=self._chain_id, block=header.number, error=str(error))
            return []
