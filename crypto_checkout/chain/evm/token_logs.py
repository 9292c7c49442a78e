"""The transfers of tokens in blocks, and what was collected there, by their logs.

They are held against the bloom filters in the blocks' headers.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from crypto_checkout.chain.evm import bloom, decoding
from crypto_checkout.chain.evm.decoding import TRANSFER_TOPIC, Strange
from crypto_checkout.chain.evm.doubts import Doubts
from crypto_checkout.chain.rpc.providers import Ask, Call, Rpc
from crypto_checkout.core.address import Address
from crypto_checkout.core.collect.contracts import COLLECTED_TOPIC
from crypto_checkout.core.errors import ProviderFailed
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.ledger.payment import Transfer

_COLLECTED = bloom.of_topic(COLLECTED_TOPIC)
_VAGUE = "the filter in its header covers more than its logs"


@dataclass(frozen=True, slots=True)
class BlockLogs:
    """The transfers of tokens in a block, and what addresses say was collected from them."""

    transfers: Sequence[Transfer]
    collected: Sequence[Transfer]


class TokenLogs:
    """Reads the transfers of some tokens on one chain, and what was collected."""

    def __init__(self, rpc: Rpc, tokens: Sequence[Address], doubts: Doubts) -> None:
        self._rpc = rpc
        self._tokens = list(tokens)
        self._events = [bloom.of_event(token, TRANSFER_TOPIC) for token in tokens]
        self._doubts = doubts

    async def of_blocks(self, ask: Ask, blocks: Mapping[Header, int], empty: Collection[Header]) -> list[BlockLogs]:
        """Return the logs that matter of each block, given with its bloom filter; `empty` ones have no transactions.

        They are requested by the block's hash, so that they can't be another block's. Raises ProviderFailed.
        """
        headers = [*blocks] if self._tokens else []
        hinted = [each for each, bits in blocks.items() if bloom.may_hold(bits, _COLLECTED)]
        # A chain without filters says nothing by a filter without bits; but who collects sends a transaction.
        hinted += [each for each, bits in blocks.items() if not bits and each not in empty]
        criteria = {"address": self._tokens, "topics": [TRANSFER_TOPIC]}
        # A backend that lacks a block answers "none": asked together, it is found out by the transfers, below.
        calls = [_call(header, **criteria) for header in headers]
        calls += [_call(header, topics=[COLLECTED_TOPIC]) for header in hinted]
        logs = decoding.lists(await ask(calls)) if calls else []
        found = dict(zip(headers, logs[: len(headers)], strict=True))
        collected = dict(zip(hinted, logs[len(headers) :], strict=True))
        suspected = {header: self._suspected(blocks[header]) for header in headers if not found[header]}
        doubtful = {header: bits for header, bits in suspected.items() if bits}
        every = await self._all_logs(ask, doubtful)
        found, collected = found | every, collected | {each: every[each] for each in hinted if each in every}
        return [
            BlockLogs(
                decoding.token_transfers(found.get(header, []), header, self._tokens, self._doubts.of(header)),
                self._collected(collected.get(header, []), header),
            )
            for header in blocks
        ]

    async def collected(self, ask: Ask, headers: Sequence[Header]) -> list[Transfer]:
        """Return what addresses say was collected from them in blocks, given by their hashes."""
        logs = decoding.lists(await ask([_call(header, topics=[COLLECTED_TOPIC]) for header in headers]))
        return [each for header, found in zip(headers, logs, strict=True) for each in self._collected(found, header)]

    def _collected(self, logs: Sequence[Any], header: Header) -> list[Transfer]:
        """Return what was collected of the coin, and of these tokens."""
        return [each for each in decoding.collected(logs, header) if each.contract in {None, *self._tokens}]

    async def _all_logs(self, ask: Ask, doubtful: Mapping[Header, int]) -> dict[Header, list[Any]]:
        """Return all logs of blocks whose filters show events that the node didn't. They must explain these bits.

        A node that lags behind the one with the block answers "none" instead of "unknown block". But some chains'
        filters cover more than the logs: also those of transactions without a receipt, or of the system's own.
        """
        logs = decoding.lists(await ask([_call(header) for header in doubtful])) if doubtful else []
        found = dict(zip(doubtful, logs, strict=True))
        vague = [each for each, bits in doubtful.items() if not bloom.may_hold(bloom.of_logs(found[each]), bits)]
        if vague and self._doubts.is_usual(_VAGUE):
            await self._ask_again(ask, {header: found[header] for header in vague})
            return found
        self._doubts.raise_unless_settled(
            {header: [Strange(f"the logs of block {header.number} are not all there", _VAGUE)] for header in vague}
        )
        return found

    async def _ask_again(self, ask: Ask, found: Mapping[Header, list[Any]]) -> None:
        """Require of every provider that answers the same logs, and of a single one the same again."""
        for header, logs in found.items():
            read = partial(_logs_of, header=header)
            reports = await self._rpc.survey(read) if len(self._rpc.providers) > 1 else [await read(ask)]
            if any(report != logs for report in reports):
                raise ProviderFailed(f"the logs of block {header.number} are not all there")

    def _suspected(self, in_header: int) -> int:
        """Return the bloom bits of the tokens that may have moved in a block; 0 for none."""
        suspected = 0
        for event in self._events:
            if bloom.may_hold(in_header, event):
                suspected |= event
        return suspected


async def _logs_of(ask: Ask, *, header: Header) -> list[Any]:
    return decoding.lists(await ask([_call(header)]))[0]


def _call(header: Header, **criteria: Any) -> Call:
    return ("eth_getLogs", [{"blockHash": header.hash, **criteria}])
