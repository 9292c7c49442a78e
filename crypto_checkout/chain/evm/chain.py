"""A real chain, read through its RPC providers: heads, blocks, the transfers in them, and receipts.

Nothing is stored here: the database knows which blocks are processed, and `services.ledger.watcher` asks for the next.
Answers are decoded in `chain.evm.decoding`.
"""

import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import TypeVar

from crypto_checkout.chain.evm import (
    agreement,
    balances,
    bloom,
    decoding,
    receipts,
    sweeps,
    tokens,
    traces,
    transactions,
)
from crypto_checkout.chain.evm.block_times import BlockTimes
from crypto_checkout.chain.evm.collect import facts
from crypto_checkout.chain.evm.doubts import Doubts
from crypto_checkout.chain.evm.following.heads import Heads
from crypto_checkout.chain.evm.following.ranges import Ranges
from crypto_checkout.chain.evm.proof import prove
from crypto_checkout.chain.evm.token_logs import TokenLogs
from crypto_checkout.chain.rpc.providers import Ask, Call, ProviderHealth, Refused, Rpc, quantity
from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import TokenFacts
from crypto_checkout.core.collect.deposits import Deposits
from crypto_checkout.core.collect.readiness import DepositFacts
from crypto_checkout.core.diagnosis.explain_transaction import ObservedTransaction
from crypto_checkout.core.errors import BalancesRefused, ProviderFailed, StateUnavailable
from crypto_checkout.core.ledger.balance_groups import ExpectedGroup
from crypto_checkout.core.ledger.follow import Block, Head, Header
from crypto_checkout.core.ledger.outflow import OwnTransaction
from crypto_checkout.core.ledger.payment import Transfer, TransferKind
from crypto_checkout.core.ledger.range_reading import RangeReading
from crypto_checkout.core.moments import Clock
from crypto_checkout.log import get_logger

_FIRST_BATCH_BLOCKS = 10
_MOST_BATCH_BLOCKS = 100
_BATCH_TRANSACTIONS = 4_000  # twenty full blocks of Ethereum, two thirds of the largest answer
_STATE_BLOCKS = 64  # full nodes keep the states of 128 blocks at least
_REFUSED_SECONDS = 600.0

log = get_logger("chain")

Answer = TypeVar("Answer")


class EvmChain:
    """One chain as its providers show it.

    `finality` is "depth", or the block tag "safe" or "finalized". `tokens` are the contracts whose transfers count.
    `confirm_with` providers must agree before money is believed. `clock` is monotonic; `now` is the time that no block
    may be far ahead of. `batch_blocks` is the recommended number of whole blocks at once: it halves after a failure,
    and grows again with each success. `batches_ahead` is how many more may be read meanwhile.
    """

    batches_ahead = 2

    def __init__(
        self,
        rpc: Rpc,
        *,
        tokens: Sequence[Address] = (),
        finality: str = "depth",
        confirm_with: int = 1,
        clock: Callable[[], float] = time.monotonic,
        now: Clock = lambda: datetime.now(UTC),
    ) -> None:
        self.batch_blocks = self._most_blocks = _FIRST_BATCH_BLOCKS
        self._rpc = rpc
        self._clock = clock
        self.confirm_with = confirm_with
        self._tokens = list(tokens)
        self._heads = Heads(rpc, finality, confirm_with, clock)
        self._block_times = BlockTimes(rpc, now)
        self._doubts = Doubts(rpc)
        self._token_logs = TokenLogs(rpc, self._tokens, self._doubts)
        self._ranges = Ranges(self._tokens, clock)
        self._refused_until = 0.0

    def health(self) -> list[ProviderHealth]:
        """Return the health of each provider."""
        return self._rpc.health()

    @property
    def newest_time(self) -> datetime | None:
        """The time of the newest block read, as its provider gives it: it may be doubted. None before the first."""
        return self._block_times.newest_time

    async def head(self) -> Head:
        """Return the newest block number, and the final one where finality is a tag.

        When a provider makes no progress, or falls behind an earlier answer, all are compared, and laggards rest. A
        block is final once `confirm_with` providers report it: one alone can't make a payment final. While the tag is
        refused, nothing new is final; where no provider knows it at all, depth decides.
        """
        return await self._heads.newest()

    @property
    def reads_ranges(self) -> bool:
        """False where the providers lately refused logs of ranges, or all balances."""
        return self._clock() >= self._refused_until

    @property
    def range_blocks(self) -> int:
        """The recommended number of blocks for `read_range`."""
        return self._ranges.blocks

    def stop_reading_ranges(self, reason: str) -> None:
        """Have blocks read whole for some minutes."""
        log.warning("blocks are read whole", chain=self._rpc.chain_id, error=reason)
        self._refused_until = self._clock() + _REFUSED_SECONDS

    async def read_range(
        self, start: Header, last: Header, since: int, groups: Sequence[ExpectedGroup], others: Sequence[Address]
    ) -> RangeReading:
        """Read what the blocks after `start` did to addresses, from their logs and from balances after the last one.

        Of `others`, which are in no group, only the logs are read. Logs are asked for from block `since` on, if that
        costs no further call. Raises ChainMoved and ProviderFailed; after a refusal, `reads_ranges` may be False.
        """
        last = await self._block_times.dated(last)
        try:
            return await self._rpc.with_failover(lambda ask: self._ranges.read(ask, start, last, since, groups, others))
        except ProviderFailed:
            if self._ranges.is_refused:
                self.stop_reading_ranges("no provider gives the logs of a range")
            raise

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        """Return the headers at these heights, from one node."""

        async def read(ask: Ask) -> list[Header]:
            found = await ask([_block_call(number, full=False) for number in numbers])
            return [decoding.header(block, number) for block, number in zip(found, numbers, strict=True)]

        return await self._rpc.with_failover(read)

    async def blocks(self, numbers: Sequence[int]) -> list[Block]:
        """Return blocks, oldest first, all from one node. Transfers may have reverted: see `succeeded`."""
        try:
            blocks = await self._rpc.with_failover(lambda ask: self._blocks(ask, numbers))
        except ProviderFailed:
            self.batch_blocks = max(1, self.batch_blocks // 2)
            raise
        if len(numbers) >= self.batch_blocks:
            self.batch_blocks *= 2
        self.batch_blocks = max(1, min(self._most_blocks, self.batch_blocks))
        return await self._block_times.check(blocks)

    async def succeeded(self, transfers: Sequence[Transfer]) -> list[Transfer]:
        """Keep the transfers whose transaction did not revert.

        Raises:
            ChainMoved: A receipt names another block than its transfer.
            ProviderFailed: A receipt is missing.

        """
        if all(transfer.kind is not TransferKind.NATIVE for transfer in transfers):
            return list(transfers)
        kept = await self._rpc.with_failover(lambda ask: receipts.succeeded(ask, transfers, self._doubts))
        await self._doubt_reverts([*set(transfers).difference(kept)])
        return kept

    async def _doubt_reverts(self, reverted: Sequence[Transfer]) -> None:
        """Have the block prove it before dropping money as reverted: a provider that errs would lose it for good.

        Where blocks can't be proven, most providers must agree. Raises ProviderFailed; if the others contradict the
        preferred one, it rests.
        """
        if not reverted or len(self._rpc.providers) == 1:
            return
        held = await prove.as_held(self._rpc, reverted)
        for transfer in (transfer for transfer, proven in held.items() if proven is not None):
            self._rpc.doubt(f"it says that {transfer.tx_hash} reverted, and its block holds the payment")
            raise ProviderFailed(f"{transfer.tx_hash} didn't revert: its block holds the payment")
        reverted = [transfer for transfer in reverted if transfer not in held]
        if not reverted:
            return
        reports = await self._rpc.survey(lambda ask: receipts.succeeded(ask, reverted, self._doubts))
        for transfer in reverted:
            succeeded = sum(transfer in report for report in reports)
            if 2 * succeeded > len(reports):
                self._rpc.doubt(f"it says that {transfer.tx_hash} reverted, and most say that it didn't")
            if succeeded and 2 * succeeded >= len(reports):
                raise ProviderFailed(f"{succeeded} of {len(reports)} providers say that {transfer.tx_hash} succeeded")

    async def prove(self, transfers: Sequence[Transfer]) -> list[Transfer]:
        """Check transfers against the hashes of their blocks; return them with their proof. See `chain.evm.proof`.

        Raises ProviderFailed for a transfer that isn't in its block, or whose block no provider proves, unless the form
        of this chain's blocks is not known. Balances alone show internal transfers; there is no proof of them.
        """
        proven = await prove.prove(self._rpc, transfers, self._shown, self._block_times.is_ahead)
        return [replace(t, agreeing=self.confirm_with if t.kind is TransferKind.INTERNAL else 1) for t in proven]

    async def confirm(self, transfers: Sequence[Transfer]) -> None:
        """Require `confirm_with` providers to show these transfers. Raises ProviderFailed if fewer do."""
        if self.confirm_with > 1 and transfers:
            receivers = {transfer.to for transfer in transfers}

            async def read(ask: Ask, *, number: int) -> frozenset[Transfer]:
                return await self._shown(ask, number, receivers)

            await agreement.on_transfers(self._rpc, transfers, self.confirm_with, read)

    async def confirm_balances(self, header: Header, held: Mapping[Address, int]) -> None:
        """Require `confirm_with` providers to report exactly these balances. Raises as `confirm`."""
        if self.confirm_with > 1:
            await agreement.on_balances(self._rpc, header, held, self.confirm_with)

    async def compare_balances(self, header: Header, held: Mapping[Address, int], known: Mapping[Address, int]) -> None:
        """Require that no provider contradicts these balances, if `confirm_with` is above 1; see `agreement`."""
        if self.confirm_with > 1:
            await agreement.no_contradiction(self._rpc, header, held, known, self.confirm_with)

    async def confirm_block(self, header: Header) -> None:
        """Require `confirm_with` providers to show this block. Raises ProviderFailed if fewer do."""
        if self.confirm_with > 1:
            await agreement.on_block(self._rpc, header, self.confirm_with)

    async def balances(self, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return the native balances of addresses at a block.

        Raises StateUnavailable for a block too old, and BalancesRefused near the head.
        """
        if not addresses:
            return {}
        return await self._told(header, self._rpc.with_failover(lambda ask: balances.at(ask, header, addresses)))

    async def balances_at(
        self, headers: Sequence[Header], addresses: Sequence[Address]
    ) -> list[dict[Address, int]] | None:
        """Return the native balances of addresses at several blocks by one request; None where that is refused."""
        return await self._rpc.with_failover(lambda ask: balances.at_each(ask, headers, addresses))

    async def agreed_balances(self, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return the balances at a block on which all providers that answer agree, `confirm_with` of them at least.

        Addresses with differing answers are left out. Raises as `balances` does.
        """
        if not addresses:
            return {}
        agreed = agreement.balances_of_all(self._rpc, header, addresses, self.confirm_with)
        return await self._told(header, agreed)

    async def _told(self, header: Header, reading: Awaitable[Answer]) -> Answer:
        """Return an answer about balances; where all refuse it, tell a busy node near its head from an old block."""
        try:
            return await reading
        except Refused as error:
            if header.number < self._heads.highest - _STATE_BLOCKS:
                raise StateUnavailable(str(error)) from error
            raise BalancesRefused(str(error)) from error

    async def mismatches(self, header: Header, groups: Sequence[ExpectedGroup]) -> list[ExpectedGroup]:
        """Return the groups of addresses whose balances at a block differ from those expected, or may."""
        return await self._told(header, self._rpc.with_failover(lambda ask: balances.mismatches(ask, header, groups)))

    async def token_balances(self, header: Header, token: Address, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return the token balances of addresses at a block. Raises NoToken, and as `balances` does."""
        if not addresses:
            return {}
        return await self._rpc.with_failover(lambda ask: balances.of_token(ask, header, token, addresses))

    async def agreed_token_balances(
        self, header: Header, token: Address, addresses: Sequence[Address]
    ) -> dict[Address, int]:
        """Return the token balances on which providers agree, as `agreed_balances` does for the coin."""

        async def read(ask: Ask, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
            return await balances.of_token(ask, header, token, addresses)

        agreed = agreement.balances_of_all(self._rpc, header, addresses, self.confirm_with, read)
        return await self._told(header, agreed)

    async def spent(self, header: Header, addresses: Collection[Address]) -> list[OwnTransaction]:
        """Return the transactions of these senders in a block, with their cost; see `agreement`."""
        return await agreement.spent(self._rpc, header, addresses)

    async def fee(self, tx_hash: str) -> int | None:
        """Return the fee of a transaction, in the chain's coin; None if no block has it."""
        return await self._rpc.with_failover(lambda ask: receipts.fee(ask, tx_hash))

    async def nonces(self, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return the transaction counts of addresses at a block. Raises StateUnavailable for a block too old."""
        return await self._rpc.with_failover(lambda ask: sweeps.nonces(ask, header, addresses)) if addresses else {}

    async def spent_between(self, first: int, last: Header, address: Address) -> int:
        """Return the total cost of an address's own transactions in a range. Raises StateUnavailable as `nonces`."""
        return await self._rpc.with_failover(lambda ask: sweeps.spent_between(ask, first, last, address))

    async def tokens_sent(
        self, first: int, last: Header, addresses: Sequence[Address], tokens: Sequence[Address] | None = None
    ) -> list[Transfer]:
        """Return the transfers of accepted tokens, or of others, that addresses sent, each dated as the last block."""
        wanted = self._tokens if tokens is None else tokens
        if not wanted or not addresses:
            return []
        return await self._rpc.with_failover(lambda ask: sweeps.tokens_sent(ask, wanted, first, last, addresses))

    async def collected(self, headers: Sequence[Header]) -> list[Transfer]:
        """Return what addresses, whoever's, say was collected from them in these blocks."""
        return await self._rpc.with_failover(lambda ask: self._token_logs.collected(ask, headers))

    async def internal_transfers(self, header: Header, addresses: Collection[Address]) -> list[Transfer]:
        """Return the coins that contracts sent to addresses in a block: one transfer per transaction and receiver.

        Raises ProviderFailed if no node traces blocks; few do.
        """
        return await self._rpc.with_failover(lambda ask: traces.internal_transfers(ask, header, addresses))

    async def used(self, addresses: Sequence[Address], *, sends: bool = True) -> set[Address]:
        """Return the addresses with a trace on the chain: a balance, a token, or a transaction, if they send any."""
        if not addresses:
            return set()
        return await self._rpc.with_failover(lambda ask: balances.used(ask, addresses, self._tokens, sends=sends))

    async def deposit_facts(self, deposits: Deposits) -> DepositFacts:
        """Return what the chain shows of the contracts that collect. Raises ProviderFailed."""
        return await self._rpc.with_failover(lambda ask: facts.deposit_facts(ask, deposits))

    async def token_facts(self, contract: Address) -> TokenFacts:
        """Return the facts that a token's contract states about itself. Raises ProviderFailed."""
        return await self._rpc.with_failover(lambda ask: tokens.facts(ask, contract))

    async def read_contract(self, contract: str, data: str) -> bytes:
        """Return a contract's answer to a call. Raises ProviderFailed."""
        return await self._rpc.with_failover(lambda ask: tokens.ask_contract(ask, contract, data))

    async def ask_stranger(self, contract: str, data: str) -> bytes:
        """Return the answer of a contract that may be anybody's; nothing if it fails. Raises ProviderFailed."""
        return await self._rpc.with_failover(lambda ask: tokens.ask_stranger(ask, contract, data))

    async def gas_price(self) -> int:
        """Return what a unit of gas costs now, in wei, as a provider suggests it. Raises ProviderFailed."""

        async def read(ask: Ask) -> int:
            (answer,) = await ask([("eth_gasPrice", [])])
            return quantity(answer)

        return await self._rpc.with_failover(read)

    async def transaction(self, tx_hash: str) -> ObservedTransaction | None:
        """Return a transaction's effects, by the first provider that knows it; None if none does.

        Raises ProviderFailed if no provider answers.
        """
        return await transactions.first_known(self._rpc, tx_hash)

    def doubt(self, reason: str) -> None:
        """Let the preferred provider rest, if there is another."""
        self._rpc.doubt(reason)

    async def close(self) -> None:
        """Close the connections."""
        await self._rpc.close()

    async def _shown(self, ask: Ask, number: int, receivers: Collection[Address]) -> frozenset[Transfer]:
        """Return the transfers to addresses in a block, as one provider shows them, without those that reverted."""
        (block,) = await self._blocks(ask, [number])
        shown = [t for t in (*block.transfers, *block.collected) if t.to in receivers]
        return frozenset(await receipts.succeeded(ask, shown, self._doubts))

    async def _blocks(self, ask: Ask, numbers: Sequence[int]) -> list[Block]:
        found = await ask([_block_call(number, full=True) for number in numbers])
        headers = [decoding.header(block, number) for block, number in zip(found, numbers, strict=True)]
        for before, after in pairwise(headers):
            if after.time < before.time:
                raise ProviderFailed(f"block {after.number} is older than the one before it")
        read = dict(zip(headers, found, strict=True))
        counts = {header: decoding.count_transactions(block, header) for header, block in read.items()}
        self._most_blocks = min(_MOST_BATCH_BLOCKS, _BATCH_TRANSACTIONS * len(found) // max(1, sum(counts.values())))
        blooms = {header: bloom.of_header(block) for header, block in read.items()}
        logs = await self._token_logs.of_blocks(ask, blooms, {header for header, count in counts.items() if not count})
        return [
            Block(
                header,
                (*decoding.native_transfers(block, header, self._doubts.of(header)), *of_block.transfers),
                decoding.senders(block, header),
                tuple(of_block.collected),
            )
            for (header, block), of_block in zip(read.items(), logs, strict=True)
        ]


def _block_call(number: int, *, full: bool) -> Call:
    return ("eth_getBlockByNumber", [hex(number), full])
