"""The transfers of tokens in blocks, from their logs, held against the bloom filters in the blocks' headers."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from crypto_checkout.chain.evm import bloom, decoding
from crypto_checkout.chain.evm.decoding import TRANSFER_TOPIC, Strange
from crypto_checkout.chain.evm.doubts import Doubts
from crypto_checkout.chain.rpc.providers import Ask, Call, Rpc
from crypto_checkout.core.address import Address
from crypto_checkout.core.errors import ProviderFailed
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.ledger.payment import Transfer

_VAGUE = "the filter in its header covers more than its logs"


class TokenLogs:
    """Reads the transfers of some tokens on one chain."""

    def __init__(self, rpc: Rpc, tokens: Sequence[Address], doubts: Doubts) -> None:
        self._rpc = rpc
        self._tokens = list(tokens)
        self._events = [bloom.of_event(token, TRANSFER_TOPIC) for token in tokens]
        self._doubts = doubts

    async def transfers(self, ask: Ask, blocks: Mapping[Header, int]) -> list[list[Transfer]]:
        """Return the token transfers of each block, given with its bloom filter.

        They are requested by the block's hash, so that they can't be another block's. Raises ProviderFailed.
        """
        if not self._tokens:
            return [[] for _ in blocks]
        headers = [*blocks]
        criteria = {"address": self._tokens, "topics": [TRANSFER_TOPIC]}
        logs = decoding.lists(await ask([_call(header, **criteria) for header in headers]))
        found = dict(zip(headers, logs, strict=True))
        suspected = {header: self._suspected(bits) for header, bits in blocks.items() if not found[header]}
        doubtful = {header: bits for header, bits in suspected.items() if bits}
        found |= await self._all_logs(ask, doubtful)
        return [
            decoding.token_transfers(found[header], header, self._tokens, self._doubts.of(header)) for header in headers
        ]

    async def _all_logs(self, ask: Ask, doubtful: Mapping[Header, int]) -> dict[Header, list[Any]]:
        """Return all logs of blocks whose filters show events that the node didn't. They must explain these bits.

        A node that lags behind the one with the block answers "none" instead of "unknown block". But some chains'
        filters cover more than the logs: also those of transactions without a receipt, or of the system's own.
        """
        logs = decoding.lists(await ask([_call(header) for header in doubtful]))
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
