"""Notice the payments of refunds on one chain: the owner sends them from a wallet that the server doesn't know.

A refund whose transaction was named is looked up; one without is looked for among what the owner's addresses sent
since its approval. What is found must be in a block that the watcher has processed, is proven like a payment, and is
looked up again once it is deep enough: only then is the refund paid. Without refunds to pay a chain isn't asked.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Never, Protocol

from crypto_checkout.core.address import Address
from crypto_checkout.core.diagnosis.explain_transaction import ObservedTransaction
from crypto_checkout.core.errors import ChainMoved, ProviderFailed, RecoverableError, StateUnavailable
from crypto_checkout.core.ledger.follow import Block, Header
from crypto_checkout.core.ledger.payment import Transfer, TransferKind
from crypto_checkout.core.refunds.recognition import paying_transfer, unambiguous
from crypto_checkout.core.refunds.refund import Refund, RefundPayment, RefundStatus
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.log import get_logger
from crypto_checkout.services.loops import every
from crypto_checkout.services.refunds.records import RefundRecords, session_of
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.ledger import cursors, tokens
from crypto_checkout.store.ledger.cursors import Cursor
from crypto_checkout.store.refunds import refunds as store

log = get_logger("refunds")

_EVERY_SECONDS = 15.0
_MOST_BLOCKS = 5_000
"""The most blocks to search at once."""
_STATE_BLOCKS = 64
_ANY_TIME = datetime.fromtimestamp(0, UTC)


class RefundChain(Protocol):
    """A chain as payments of refunds are read from it; `chain.evm.chain` and `chain.sandbox.view` implement it."""

    async def transaction(self, tx_hash: str) -> ObservedTransaction | None:
        """Return a transaction's effects; None if no node knows it. Raises RecoverableError."""

    async def prove(self, transfers: Sequence[Transfer]) -> list[Transfer]:
        """Return the transfers with their proof by the hash of their block. Raises ProviderFailed for invented ones."""

    async def confirm(self, transfers: Sequence[Transfer]) -> None:
        """Return once enough providers have shown these transfers. Raises ProviderFailed."""

    async def balances(self, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return the native balances of addresses at a block. Raises StateUnavailable for a block too old."""

    async def token_balances(self, header: Header, token: Address, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return the token balances of addresses at a block. Raises StateUnavailable for a block too old."""

    async def nonces(self, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return the transaction counts of addresses at a block. Raises StateUnavailable for a block too old."""

    async def blocks(self, numbers: Sequence[int]) -> list[Block]:
        """Return the blocks of a range, with their transfers of coins."""

    async def tokens_sent(
        self, first: int, last: Header, addresses: Sequence[Address], tokens: Sequence[Address]
    ) -> list[Transfer]:
        """Return the transfers of tokens that addresses sent in a range of blocks."""


@dataclass(frozen=True, slots=True)
class _Open:
    """The refunds of a chain that a look at it can change, as of its last processed block."""

    cursor: Cursor
    named: tuple[Refund, ...]
    searched: tuple[Refund, ...]
    searched_to: int | None


class RefundPayments:
    """The loop of one chain; `owners` are the addresses that refunds are paid from, known from the configuration."""

    def __init__(
        self, db: Database, chain: RefundChain, records: RefundRecords, *, chain_id: int, owners: Collection[Address]
    ) -> None:
        self._db = db
        self._chain = chain
        self._records = records
        self._chain_id = chain_id
        self._owners = frozenset(owners)
        self._turn = asyncio.Lock()
        self.woken = asyncio.Event()

    async def run(self) -> Never:
        """Look now and then, until cancelled."""
        await every(_EVERY_SECONDS, self._careful_turn, log=log, failure="refunds weren't looked at", woken=self.woken)

    async def _careful_turn(self) -> None:
        try:
            await self.turn()
        except RecoverableError as error:
            log.info("refunds have to wait", chain=self._chain_id, error=str(error))

    async def turn(self) -> None:
        """Look at every refund that a look can change. Raises RecoverableError when the chain can't be read."""
        async with self._turn:
            found = await self._db.read(self._open)
            if found is None:
                return
            for tx_hash in dict.fromkeys(each.tx_hash for each in found.named if each.tx_hash is not None):
                await self._look_up(tx_hash, found.cursor)
            if found.searched and self._owners:
                await self._search(found)

    def _open(self, unit: ReadUnit) -> _Open | None:
        cursor = cursors.cursor(unit, self._chain_id)
        waiting = store.on_chain(unit, self._chain_id, [RefundStatus.TO_PAY, RefundStatus.SEEN])
        if cursor is None or not waiting:
            return None
        named = [each for each in waiting if each.tx_hash is not None and not _is_shallow(each, cursor)]
        # One whose transaction was named is looked for as well: wallets replace transactions to speed them up.
        searched = [each for each in waiting if each.status is RefundStatus.TO_PAY]
        return _Open(cursor, tuple(named), tuple(searched), store.searched_to(unit, self._chain_id))

    async def _search(self, found: _Open) -> None:
        """Look for payments of refunds whose transaction nobody named."""
        begin = min(each.searched_from or 0 for each in found.searched)
        first = max(begin, found.searched_to or 0) + 1
        while first <= found.cursor.number:
            number = min(found.cursor.number, first + _MOST_BLOCKS - 1)
            last = found.cursor.header if number == found.cursor.number else Header(number, "", "", found.cursor.time)
            await self._search_range(first, last, found)
            first = number + 1

    async def _search_range(self, first: int, last: Header, found: _Open) -> None:
        receivers = {each.destination for each in found.searched}
        sent = [*await self._tokens_sent(first, last, found), *await self._coins_sent(first, last, found)]
        hashes = dict.fromkeys(each.tx_hash for each in sent if each.to in receivers)
        observed = [await self._mined(tx_hash) for tx_hash in hashes if tx_hash is not None]
        transfers = [transfer for each, _ in observed if each.has_succeeded for transfer in each.transfers]
        paying = await self._chain.prove([t for _, t in unambiguous(found.searched, transfers, self._owners)])
        await self._chain.confirm(paying)

        def note(unit: WriteUnit) -> None:
            # What is noted as searched is never searched again.
            self._check_unmoved(unit, found.cursor, [header for _, header in observed])
            waiting = store.on_chain(unit, self._chain_id, [RefundStatus.TO_PAY])
            for refund, transfer in unambiguous(waiting, transfers, self._owners):
                self._see(unit, refund, [transfer] if transfer in paying else [])
            store.set_searched_to(unit, self._chain_id, last.number)

        await self._db.write(note)

    async def _mined(self, tx_hash: str) -> tuple[ObservedTransaction, Header]:
        """Return a transaction that blocks or logs showed, with its block. Raises ProviderFailed if none knows it."""
        observed = await self._chain.transaction(tx_hash)
        if observed is None or observed.header is None:
            raise ProviderFailed(f"no node knows the block of transaction {tx_hash}, which was in one just now")
        return observed, observed.header

    def _check_unmoved(self, unit: ReadUnit, cursor: Cursor, read: Sequence[Header]) -> None:
        """Refuse what was read of blocks that the watcher has rolled back since, or doesn't have."""
        is_processed = all(
            each.number <= cursor.number and cursors.is_canonical(unit, self._chain_id, each.number, each.hash)
            for each in read
        )
        if not is_processed or not cursors.is_unreverted(unit, self._chain_id, cursor):
            raise ChainMoved(f"the blocks up to {cursor.number} are not those that were read")

    async def _tokens_sent(self, first: int, last: Header, found: _Open) -> Sequence[Transfer]:
        contracts = {each.asset.contract for each in found.searched if each.asset.contract is not None}
        # Where logs say too much, the owner names the transaction, and what arrived is measured.
        contracts -= await self._db.read(lambda unit: tokens.overstating(unit, self._chain_id))
        return await self._chain.tokens_sent(first, last, sorted(self._owners), sorted(contracts)) if contracts else ()

    async def _coins_sent(self, first: int, last: Header, found: _Open) -> Sequence[Transfer]:
        """Return the coins that the owner's accounts sent, by their transaction counts; contracts have none.

        In blocks whose states no node has any more nothing is found: there the owner has to name the transaction.
        """
        if all(each.asset.contract is not None for each in found.searched):
            return ()
        try:
            numbers = [
                n for owner in sorted(self._owners) for n in await self._blocks_of(owner, first - 1, last.number)
            ]
        except StateUnavailable:
            if first > found.cursor.number - _STATE_BLOCKS:
                raise
            return ()
        blocks = [block for number in sorted(numbers) for block in await self._chain.blocks([number])]
        return [each for block in blocks for each in block.transfers if each.sender in self._owners]

    async def _blocks_of(self, owner: Address, low: int, high: int) -> list[int]:
        """Return the blocks after `low`, up to `high`, in which an account's transaction count rose."""
        before, after = await self._count(owner, low), await self._count(owner, high)
        if before == after:
            return []
        if high - low == 1:
            return [high]
        middle = (low + high) // 2
        return [*await self._blocks_of(owner, low, middle), *await self._blocks_of(owner, middle, high)]

    async def _count(self, owner: Address, number: int) -> int:
        return (await self._chain.nonces(Header(number, "", "", _ANY_TIME), [owner]))[owner]

    async def _look_up(self, tx_hash: str, cursor: Cursor) -> None:
        """Compare a transaction with the refunds that it is said to pay."""
        observed = await self._chain.transaction(tx_hash)
        header = None if observed is None else observed.header
        if observed is None or header is None or not observed.has_succeeded or header.number > cursor.number:
            await self._db.write(lambda unit: self._take_back_unseen(unit, tx_hash, cursor))
            return
        refunds = await self._db.read(lambda unit: self._of_transaction(unit, tx_hash))
        inside = [] if observed.is_traced else await self._moved_inside(header, refunds, tx_hash)
        shown = [*observed.transfers, *inside]
        candidates = [each for each in shown if any(paying_transfer(refund, [each]) for refund in refunds)]
        proven = await self._chain.prove(candidates)
        await self._chain.confirm(proven)
        proven = await self._as_arrived(proven, header, refunds)

        def note(unit: WriteUnit) -> None:
            self._check_unmoved(unit, cursor, [])
            for refund in self._of_transaction(unit, tx_hash):
                self._see(unit, refund, proven)
            self._take_back_unseen(unit, tx_hash, cursor, header.hash)

        await self._db.write(note)

    async def _moved_inside(self, header: Header, refunds: Sequence[Refund], tx_hash: str) -> list[Transfer]:
        """Return what contracts sent to refunds' addresses, by the rise of their balances, where no node traces.

        A Safe sends coins like that. What else the block brought to an address can't be told apart; a rise by at least
        the amount is taken for the refund, because the owner named the transaction.
        """
        found = []
        for refund in (each for each in refunds if each.asset.is_native and each.destination is not None):
            to = refund.destination
            assert to is not None, "chosen above"
            is_known = refund.payment is not None and refund.payment.block_hash == header.hash
            units = refund.units if is_known else await self._rise(header, to)
            if units >= refund.units:
                found.append(
                    Transfer(
                        to=to,
                        sender=None,
                        units=units,
                        kind=TransferKind.INTERNAL,
                        contract=None,
                        tx_hash=tx_hash,
                        log_index=None,
                        block_number=header.number,
                        block_hash=header.hash,
                        block_time=header.time,
                    )
                )
        return found

    async def _as_arrived(
        self, transfers: Sequence[Transfer], header: Header, refunds: Sequence[Refund]
    ) -> list[Transfer]:
        """Return transfers with what arrived, where the token is known to log more than that.

        What was seen in this very block before isn't measured again: its state may be gone.
        """
        overstating = await self._db.read(lambda unit: tokens.overstating(unit, self._chain_id))
        is_known = any(each.payment is not None and each.payment.block_hash == header.hash for each in refunds)
        if is_known or not overstating:
            return list(transfers)
        return [
            replace(each, units=min(each.units, await self._rise(header, each.to, each.contract)))
            if each.contract in overstating
            else each
            for each in transfers
        ]

    async def _rise(self, header: Header, address: Address, token: Address | None = None) -> int:
        """Return by how much a balance rose in a block. Raises StateUnavailable for a block too old."""
        before = Header(header.number - 1, header.parent_hash, "", header.time)
        if token is None:
            then, now = [(await self._chain.balances(each, [address]))[address] for each in (before, header)]
        else:
            then, now = [
                (await self._chain.token_balances(each, token, [address]))[address] for each in (before, header)
            ]
        return max(0, now - then)

    def _of_transaction(self, unit: ReadUnit, tx_hash: str) -> list[Refund]:
        waiting = store.on_chain(unit, self._chain_id, [RefundStatus.TO_PAY, RefundStatus.SEEN])
        return [each for each in waiting if each.tx_hash == tx_hash]

    def _take_back_unseen(self, unit: WriteUnit, tx_hash: str, cursor: Cursor, shown_in: str | None = None) -> None:
        """Reopen the refunds that a transaction was seen to pay in a block, deep by now, which doesn't have it.

        A node that was on a dead branch had shown it there: no rollback of ours will tell.
        """
        for refund in self._of_transaction(unit, tx_hash):
            payment = refund.payment
            if payment is None or payment.block_hash == shown_in or _is_shallow(refund, cursor):
                continue
            reopened = replace(refund, status=RefundStatus.TO_PAY, payment=None, updated_at=unit.now)
            self._records.update(unit, reopened)

    def _see(self, unit: WriteUnit, refund: Refund, transfers: Sequence[Transfer]) -> None:
        """Store that one of these transfers pays a refund, if one does, and its block is the chain's."""
        cursor = cursors.cursor(unit, self._chain_id)
        own = None if refund.payment is None else (refund.payment.log_index, refund.destination)
        taken = {
            each for transfer in transfers[:1] for each in store.taken(unit, self._chain_id, transfer.tx_hash or "")
        } - {own}
        transfer = paying_transfer(refund, transfers, taken)
        if transfer is None or cursor is None or transfer.tx_hash is None:
            return
        if not cursors.is_canonical(unit, self._chain_id, transfer.block_number, transfer.block_hash):
            return
        payment = RefundPayment(transfer.block_number, transfer.block_hash, transfer.log_index)
        seen = replace(refund, status=RefundStatus.SEEN, tx_hash=transfer.tx_hash, payment=payment)
        if cursor.tip.is_deep(transfer.block_number, refund.required_confirmations) and refund.payment == payment:
            counted = _counted_units(unit, refund)
            paid = replace(seen, status=RefundStatus.PAID, paid_at=unit.now, counted_units=counted, updated_at=unit.now)
            self._records.update(unit, paid, EventType.REFUND_PAID)
        elif seen != refund:
            self._records.update(unit, replace(seen, updated_at=unit.now))
            unit.after_commit(self.woken.set)


def _is_shallow(refund: Refund, cursor: Cursor) -> bool:
    """Tell whether a refund was seen in a block that is not deep enough yet: nothing about it can change."""
    payment = refund.payment
    return payment is not None and not cursor.tip.is_deep(payment.block_number, refund.required_confirmations)


def _counted_units(unit: ReadUnit, refund: Refund) -> int:
    """Return the part of a refund that takes back revenue; what came too late to count is paid back first."""
    session = session_of(unit, refund)
    if (session.asset.chain_id, session.asset.contract) != (refund.asset.chain_id, refund.asset.contract):
        return 0
    uncounted, before = session.sums.late_units, session.refunds.refunded_units
    return max(0, before + refund.units - uncounted) - max(0, before - uncounted)
