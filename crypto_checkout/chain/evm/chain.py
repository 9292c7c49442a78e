"""A real chain, read through its RPC providers: heads, blocks, the transfers in them, and receipts.

Nothing is remembered here: what was processed is in the database, and `services.ledger.watcher` asks for what follows.
What the answers mean is in `chain.evm.answers`.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from crypto_checkout.chain.evm import agreement, answers, balances, bloom, sweeps, tokens, traces, transactions
from crypto_checkout.chain.evm.answers import TRANSFER_TOPIC
from crypto_checkout.chain.evm.dating import Dating
from crypto_checkout.chain.rpc.providers import Ask, Call, ProviderHealth, Rpc
from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import TokenFacts
from crypto_checkout.core.diagnosis.explain_transaction import ObservedTransaction
from crypto_checkout.core.errors import ProviderFailed
from crypto_checkout.core.ledger.balance_groups import ExpectedGroup
from crypto_checkout.core.ledger.follow import Block, Head, Header
from crypto_checkout.core.ledger.payment import Transfer, TransferKind
from crypto_checkout.core.moments import Clock

_FIRST_BATCH_BLOCKS = 10
_MOST_BATCH_BLOCKS = 20
_STALL_SECONDS = 30.0
_NOTHING_FINAL = -1


def _now() -> datetime:
    return datetime.now(UTC)


class EvmChain:
    """One chain as its providers show it.

    `finality` is "depth", or the block tag "safe" or "finalized". `tokens` are the contracts whose transfers count.
    `confirm_with` is how many providers have to say the same before money is believed, where that is asked for.
    `clock` is a monotonic one, and `now` tells the time that no block is far ahead of. `batch_blocks` is how large a
    range should be: smaller after each failure, and larger again with each success.
    """

    def __init__(
        self,
        rpc: Rpc,
        *,
        tokens: Sequence[Address] = (),
        finality: str = "depth",
        confirm_with: int = 1,
        clock: Callable[[], float] = time.monotonic,
        now: Clock = _now,
    ) -> None:
        self.batch_blocks = _FIRST_BATCH_BLOCKS
        self._rpc = rpc
        self._clock = clock
        self._confirm_with = confirm_with
        self._newest = -1
        self._moved_at = clock()
        self._tokens = list(tokens)
        self._token_events = [bloom.of_event(token, TRANSFER_TOPIC) for token in self._tokens]
        self._finality = finality
        self._agreed_final = _NOTHING_FINAL
        self._dating = Dating(rpc, now)

    def health(self) -> list[ProviderHealth]:
        """Return how each provider fares."""
        return self._rpc.health()

    async def head(self) -> Head:
        """Return the newest block number, and the final one where finality is a tag.

        When a provider stands still, or falls behind what was seen, all are compared, and the laggards rest. Final is
        what `confirm_with` providers call so: one alone can't make a payment final by its word.
        """
        head = await self._head()
        is_still = head.number <= self._newest and self._clock() - self._moved_at > _STALL_SECONDS
        if len(self._rpc.providers) > 1 and (is_still or head.number < self._newest - 1):
            self._moved_at = self._clock()
            self._newest = await self._rpc.newest() or head.number
            head = await self._head() if self._newest > head.number else head
        if head.number > self._newest:
            self._newest, self._moved_at = head.number, self._clock()
        if self._confirm_with == 1 or head.final_number is None:
            return head
        if head.final_number > self._agreed_final:
            said = sorted(await self._rpc.survey(self._final), reverse=True)
            # What was final stays so, also while a provider is away.
            self._agreed_final = max([self._agreed_final, *said[self._confirm_with - 1 : self._confirm_with]])
        return replace(head, final_number=self._agreed_final)

    async def _final(self, ask: Ask) -> int:
        (block,) = await ask([self._final_call()])
        return _final_number(block)

    def _final_call(self) -> Call:
        return ("eth_getBlockByNumber", [self._finality, False])

    async def _head(self) -> Head:
        async def read(ask: Ask) -> Head:
            if self._finality == "depth":
                (number,) = await ask([("eth_blockNumber", [])])
                return Head(answers.block_number(number))
            number, final = await ask([("eth_blockNumber", []), self._final_call()])
            return Head(answers.block_number(number), _final_number(final))

        return await self._rpc.converse(read)

    async def header(self, number: int) -> Header:
        """Return the header at a height. Raises ProviderFailed where no node has one."""
        return (await self.headers([number]))[0]

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        """Return the headers at these heights, from one node."""

        async def read(ask: Ask) -> list[Header]:
            found = await ask([_block_call(number, full=False) for number in numbers])
            return [answers.header(block, number) for block, number in zip(found, numbers, strict=True)]

        return await self._rpc.converse(read)

    async def blocks(self, first: int, last: int) -> list[Block]:
        """Return the blocks of a range with the transfers they seem to hold, oldest first, all from one node."""
        numbers = range(first, last + 1)
        try:
            blocks = await self._rpc.converse(lambda ask: self._blocks(ask, numbers))
        except ProviderFailed:
            self.batch_blocks = max(1, self.batch_blocks // 2)
            raise
        if len(numbers) >= self.batch_blocks:
            self.batch_blocks = min(_MOST_BATCH_BLOCKS, 2 * self.batch_blocks)
        return await self._dating.checked(blocks)

    async def succeeded(self, transfers: Sequence[Transfer]) -> list[Transfer]:
        """Keep the transfers whose transaction did not revert.

        Raises:
            ChainMoved: A receipt is in another block than the transfer was found in.
            ProviderFailed: A receipt is missing.

        """
        if all(transfer.kind is not TransferKind.NATIVE for transfer in transfers):
            return list(transfers)
        kept = await self._rpc.converse(lambda ask: _succeeded(ask, transfers))
        await self._doubt_reverts([transfer for transfer in transfers if transfer not in kept])
        return kept

    async def _doubt_reverts(self, reverted: Sequence[Transfer]) -> None:
        """Ask all providers before money is dropped as reverted: one that lies, or errs, would lose it for good.

        Raises ProviderFailed unless most of them say so too; where most say otherwise, the preferred one rests.
        """
        if not reverted or len(self._rpc.providers) == 1:
            return
        words = await self._rpc.survey(lambda ask: _succeeded(ask, reverted))
        for transfer in reverted:
            succeeded = sum(transfer in word for word in words)
            if 2 * succeeded > len(words):
                self._rpc.doubt(f"it says that {transfer.tx_hash} reverted, and most say that it didn't")
            if succeeded and 2 * succeeded >= len(words):
                raise ProviderFailed(f"{succeeded} of {len(words)} providers say that {transfer.tx_hash} succeeded")

    async def confirm(self, transfers: Sequence[Transfer]) -> None:
        """Return once `confirm_with` providers have shown these transfers. Raises ProviderFailed where fewer do."""
        if self._confirm_with > 1 and transfers:
            wanted = {transfer.to for transfer in transfers}

            async def read(ask: Ask, *, number: int) -> frozenset[Transfer]:
                (block,) = await self._blocks(ask, [number])
                return frozenset(await _succeeded(ask, [t for t in block.transfers if t.to in wanted]))

            await agreement.on_transfers(self._rpc, transfers, self._confirm_with, read)

    async def confirm_balances(self, header: Header, held: Mapping[Address, int]) -> None:
        """Return once `confirm_with` providers have said that addresses hold just that. Raises as `confirm`."""
        if self._confirm_with > 1:
            await agreement.on_balances(self._rpc, header, held, self._confirm_with)

    async def compare_balances(self, header: Header, held: Mapping[Address, int], known: Mapping[Address, int]) -> None:
        """Raise ProviderFailed as `agreement.no_contradiction` does, where `confirm_with` providers have to agree."""
        if self._confirm_with > 1:
            await agreement.no_contradiction(self._rpc, header, held, known, self._confirm_with)

    async def confirm_block(self, header: Header) -> None:
        """Return once `confirm_with` providers have shown this block. Raises ProviderFailed where fewer do."""
        if self._confirm_with > 1:
            await agreement.on_block(self._rpc, header, self._confirm_with)

    async def balances(self, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return what addresses hold of the native coin at a block. Raises StateUnavailable for one too old."""
        return await self._rpc.converse(lambda ask: balances.at(ask, header, addresses)) if addresses else {}

    async def agreed_balances(self, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return what addresses held at a block, by the word of every provider that answers, `confirm_with` at least.

        Those of which providers say different things are left out. Raises StateUnavailable for a block that is too old.
        """
        return await agreement.balances_of_all(self._rpc, header, addresses, self._confirm_with) if addresses else {}

    async def unlike(self, header: Header, groups: Sequence[ExpectedGroup]) -> list[ExpectedGroup]:
        """Return the groups of addresses that hold something else at a block than expected, or may."""
        return await self._rpc.converse(lambda ask: balances.unlike(ask, header, groups))

    async def token_balances(self, header: Header, token: Address, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return what addresses hold of a token at a block. Raises NoToken, and as `balances` does."""
        if not addresses:
            return {}
        return await self._rpc.converse(lambda ask: balances.of_token(ask, header, token, addresses))

    async def spent(self, header: Header, addresses: Collection[Address]) -> dict[Address, int]:
        """Return what the transactions of a block cost those who sent them, fees included."""
        return await self._rpc.converse(lambda ask: balances.spent(ask, header, addresses))

    async def nonces(self, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return how many transactions addresses had sent up to a block. Raises StateUnavailable for one too old."""
        return await self._rpc.converse(lambda ask: sweeps.nonces(ask, header, addresses)) if addresses else {}

    async def spent_between(self, first: int, last: Header, address: Address) -> int:
        """Return what an address's own transactions cost it in all. Raises StateUnavailable as `nonces`."""
        return await self._rpc.converse(lambda ask: sweeps.spent_between(ask, first, last, address))

    async def tokens_sent(
        self, token: Address, first: int, last: Header, addresses: Sequence[Address]
    ) -> dict[Address, int]:
        """Return what addresses sent of a token from a block on up to another."""
        return await self._rpc.converse(lambda ask: sweeps.tokens_sent(ask, token, first, last, addresses))

    async def internal_transfers(self, header: Header, addresses: Collection[Address]) -> list[Transfer]:
        """Return what contracts sent to addresses in a block, one transfer for each transaction and receiver.

        Raises ProviderFailed where no node traces blocks, and few do.
        """
        return await self._rpc.converse(lambda ask: traces.internal_transfers(ask, header, addresses))

    async def used(self, addresses: Sequence[Address]) -> set[Address]:
        """Return those of the addresses that the chain has seen: with a balance, a token, or a transaction sent."""

        async def read(ask: Ask) -> set[Address]:
            used: set[Address] = set()
            for method in ("eth_getBalance", "eth_getTransactionCount"):
                found = await ask([(method, [address, "latest"]) for address in addresses])
                used |= {each for each, number in zip(addresses, found, strict=True) if not answers.is_zero(number)}
            for token in self._tokens:
                with suppress(balances.NoToken):  # a mistake in the configuration, which services.token_check names
                    held = await balances.of_token_now(ask, token, addresses)
                    used |= {address for address, units in held.items() if units}
            return used

        return await self._rpc.converse(read) if addresses else set()

    async def token_facts(self, contract: Address) -> TokenFacts:
        """Return what a token's contract says about itself. Raises ProviderFailed."""
        return await self._rpc.converse(lambda ask: tokens.facts(ask, contract))

    async def read_contract(self, contract: str, data: str) -> bytes:
        """Return what a contract answers to a call. Raises ProviderFailed."""

        async def read(ask: Ask) -> bytes:
            (answer,) = await ask([("eth_call", [{"to": contract, "data": data}, "latest"])])
            return answers.hexadecimal(answer)

        return await self._rpc.converse(read)

    async def transaction(self, tx_hash: str) -> ObservedTransaction | None:
        """Return what a transaction did, by the first provider that knows it; None where none does.

        Raises ProviderFailed where nobody answers.
        """
        chain_id = self._rpc.chain_id
        found = await self._rpc.survey(lambda ask: transactions.look_up(ask, chain_id, tx_hash))
        known = [seen for seen in found if seen is not None]
        mined = [seen for seen in known if seen.header is not None]
        if found:
            return next(iter(mined or known), None)
        return await self._rpc.converse(lambda ask: transactions.look_up(ask, chain_id, tx_hash))

    def doubt(self, reason: str) -> None:
        """Let the preferred provider rest, if there is another."""
        self._rpc.doubt(reason)

    async def close(self) -> None:
        """Close the connections."""
        await self._rpc.close()

    async def _blocks(self, ask: Ask, numbers: Sequence[int]) -> list[Block]:
        found = await ask([_block_call(number, full=True) for number in numbers])
        headers = [answers.header(block, number) for block, number in zip(found, numbers, strict=True)]
        for before, after in pairwise(headers):
            if after.time < before.time:
                raise ProviderFailed(f"block {after.number} is older than the one before it")
        tokens = await self._token_transfers(ask, headers, [bloom.of_header(block) for block in found])
        return [
            Block(header, (*answers.native_transfers(block, header), *of_tokens), answers.senders(block, header))
            for block, header, of_tokens in zip(found, headers, tokens, strict=True)
        ]

    async def _token_transfers(
        self, ask: Ask, headers: Sequence[Header], blooms: Sequence[int]
    ) -> list[list[Transfer]]:
        """Return the token transfers of each block, asked for by its hash so that no other block's can come."""
        if not self._tokens:
            return [[] for _ in headers]
        wanted = {"address": self._tokens, "topics": [TRANSFER_TOPIC]}
        logs = answers.lists(await ask([_logs_call(header, **wanted) for header in headers]))
        doubtful = [place for place, found in enumerate(logs) if not found and self._suspected(blooms[place])]
        everything = answers.lists(await ask([_logs_call(headers[place]) for place in doubtful]))
        for place, found in zip(doubtful, everything, strict=True):
            # A node that lags behind the one that gave the block answers "none" instead of "unknown block".
            suspected = self._suspected(blooms[place])
            if not bloom.may_hold(bloom.of_logs(found), suspected):
                raise ProviderFailed(f"the logs of block {headers[place].number} are not all there")
            logs[place] = found
        return [
            answers.token_transfers(found, header, self._tokens) for found, header in zip(logs, headers, strict=True)
        ]

    def _suspected(self, in_header: int) -> int:
        """Return the bits of those tokens that may have moved in a block; 0 for none."""
        suspected = 0
        for event in self._token_events:
            if bloom.may_hold(in_header, event):
                suspected |= event
        return suspected


async def _succeeded(ask: Ask, transfers: Sequence[Transfer]) -> list[Transfer]:
    """Leave out those whose transaction reverted; a token's transfer is a log, and such a transaction leaves none."""
    natives = {t.tx_hash: t for t in transfers if t.kind is TransferKind.NATIVE and t.tx_hash is not None}
    receipts = await ask([("eth_getTransactionReceipt", [tx_hash]) for tx_hash in natives])
    pairs = zip(receipts, natives.values(), strict=True)
    kept = {transfer.tx_hash for receipt, transfer in pairs if answers.has_succeeded(receipt, transfer)}
    return [t for t in transfers if t.kind is not TransferKind.NATIVE or t.tx_hash in kept]


def _final_number(block: Any) -> int:
    """Read the number of the final block; before the first one there is none, and nothing is final."""
    return _NOTHING_FINAL if block is None else answers.block_number(answers.field(block, "number"))


def _block_call(number: int, *, full: bool) -> Call:
    return ("eth_getBlockByNumber", [hex(number), full])


def _logs_call(header: Header, **wanted: Any) -> Call:
    return ("eth_getLogs", [{"blockHash": header.hash, **wanted}])
