"""The newest block of a chain, and its newest final one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from crypto_checkout.chain.evm import decoding
from crypto_checkout.chain.rpc.providers import Ask, Call, Refused, Rpc
from crypto_checkout.core.ledger.follow import Head
from crypto_checkout.log import get_logger

log = get_logger("chain")

_STALL_SECONDS = 30.0
_NOTHING_FINAL = -1
_TAGLESS_SECONDS = 60.0
_FINAL_SECONDS = 10.0
_NEWEST: Call = ("eth_getBlockByNumber", ["latest", False])


class Heads:
    """Asks for the newest block of one chain; `highest` is the highest number so far.

    Arguments as of `chain.evm.chain.EvmChain`.
    """

    def __init__(self, rpc: Rpc, finality: str, confirm_with: int, clock: Callable[[], float]) -> None:
        self.highest = -1
        self._rpc = rpc
        self._finality = finality
        self._confirm_with = confirm_with
        self._clock = clock
        self._moved_at = clock()
        self._agreed_final = _NOTHING_FINAL
        self._newest_final: int | None = None
        self._tagless_until = clock()
        self._final_from = -_FINAL_SECONDS

    async def newest(self) -> Head:
        """Return the newest block, and the final one where finality is a tag: see `EvmChain.head`."""
        head = await self._head()
        is_still = head.number <= self.highest and self._clock() - self._moved_at > _STALL_SECONDS
        if len(self._rpc.providers) > 1 and (is_still or head.number < self.highest - 1):
            self._moved_at = self._clock()
            self.highest = await self._rpc.newest() or head.number
            head = await self._head() if self.highest > head.number else head
        if head.number > self.highest:
            self.highest, self._moved_at = head.number, self._clock()
        if self._confirm_with == 1 or head.final_number is None:
            return head
        if head.final_number > self._agreed_final:
            reported = sorted(await self._rpc.survey(self._final), reverse=True)
            # A final block stays final, also while a provider is away.
            self._agreed_final = max([self._agreed_final, *reported[self._confirm_with - 1 : self._confirm_with]])
        return replace(head, final_number=self._agreed_final)

    async def _final(self, ask: Ask) -> int:
        (block,) = await ask([self._final_call()])
        return _final_number(block)

    def _final_call(self) -> Call:
        return ("eth_getBlockByNumber", [self._finality, False])

    async def _head(self) -> Head:
        """Ask for the newest block, and now and then for the final one, which moves slowly."""

        async def read(ask: Ask) -> Head:
            newest, final = await ask([_NEWEST, self._final_call()])
            return _head(newest, _final_number(final))

        now = self._clock()
        is_asked = now >= self._tagless_until and now - self._final_from >= _FINAL_SECONDS
        if self._finality == "depth" or not is_asked:
            return await self._without_tag()
        try:
            head = await self._rpc.with_failover(read)
        except Refused as error:
            if self._newest_final is None and not decoding.lacks_tag(error):
                raise
            self._tagless_until = self._clock() + _TAGLESS_SECONDS
            log.warning("no new block is final", chain=self._rpc.chain_id, error=str(error))
            return await self._without_tag()
        self._newest_final, self._final_from = head.final_number, now
        return head

    async def _without_tag(self) -> Head:
        async def read(ask: Ask) -> Head:
            (newest,) = await ask([_NEWEST])
            return _head(newest, self._newest_final)

        return await self._rpc.with_failover(read)


def _head(newest: Any, final_number: int | None) -> Head:
    header = decoding.header(newest, decoding.block_number(decoding.field(newest, "number")))
    return Head(header.number, final_number, header)


def _final_number(block: Any) -> int:
    """Read the number of the final block; -1 while a young chain has none."""
    return _NOTHING_FINAL if block is None else decoding.block_number(decoding.field(block, "number"))
