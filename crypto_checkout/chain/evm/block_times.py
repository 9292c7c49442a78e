"""Checks of block times that lie in the future: sessions expire, and payments become late, by block time.

No chain lets its blocks run a quarter of an hour ahead of the world's clocks. A block dated further ahead of our clock
is a provider's error or lie, or our clock is wrong. The rule is that a wrong clock stops no chain, and one wrong answer
shortens no payer's time:

- If most of at least two providers show the same block with the same time, they are believed over our clock.
- If they contradict each other, nothing is processed; the preferred one rests, and the next one is asked.
- If no other provider answers, the block is dated by our clock: no session expires, and no payment is late, by a time
  in the future. Both wait until our clock gets there, or another provider confirms.

Each case begins with a critical log line. Times in the past need no such care: nothing expires by them.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from crypto_checkout.chain.evm import decoding
from crypto_checkout.chain.rpc.providers import Ask, Rpc
from crypto_checkout.core.errors import ProviderFailed
from crypto_checkout.core.ledger.follow import Block, Header
from crypto_checkout.core.moments import Clock
from crypto_checkout.log import get_logger

log = get_logger("dating")

MOST_AHEAD = timedelta(minutes=15)
"""The lead of a block's time over our clock that needs no check."""


class BlockTimes:
    """Checks the times of one chain's blocks against the clock, and against other providers.

    `newest_time` is that of the newest block as the provider gave it, even if the block was dated by our clock.
    """

    def __init__(self, rpc: Rpc, now: Clock) -> None:
        self._rpc = rpc
        self._now = now
        self._is_warned = False
        self._newest_number = -1
        self.newest_time: datetime | None = None

    def is_ahead(self, time: datetime) -> bool:
        """Tell whether a block's time needs a check."""
        return time > self._now() + MOST_AHEAD

    async def check(self, blocks: Sequence[Block]) -> list[Block]:
        """Return the blocks, oldest first, with trustworthy times. Raises ProviderFailed if providers disagree."""
        limit = await self._limit(blocks[-1].header)
        if limit is None:
            return [*blocks]
        return [b.dated(limit) if b.header.time > limit + MOST_AHEAD else b for b in blocks]

    async def dated(self, newest: Header) -> Header:
        """Return the header of the newest block with a trustworthy time. Raises as `check` does."""
        limit = await self._limit(newest)
        return newest if limit is None else replace(newest, time=limit)

    async def _limit(self, newest: Header) -> datetime | None:
        """Return the time to give to blocks from the future; None if the newest one's is to be believed."""
        now = self._now()
        if newest.time <= now + MOST_AHEAD:
            self._is_warned = False
            self._note(newest)
            return None
        reports = await self._rpc.survey(lambda ask: _read(ask, newest.number))
        headers = [header for header in reports if header is not None]
        same = headers.count(newest)
        if len(headers) > 1 and 2 * same <= len(headers):
            self._rpc.doubt(f"it dates block {newest.number} at {newest.time:%Y-%m-%d %H:%M:%S} UTC, and others don't")
            raise ProviderFailed(f"{same} of {len(headers)} providers date block {newest.number} at {newest.time}")
        self._note(newest)
        is_confirmed = same > 1
        self._warn(newest, is_confirmed)
        return None if is_confirmed else now

    def _note(self, newest: Header) -> None:
        """Note the time of a new block. One that is read again may come with the time that it was given here."""
        if newest.number > self._newest_number:
            self._newest_number, self.newest_time = newest.number, newest.time

    def _warn(self, newest: Header, is_confirmed: bool) -> None:
        """Log it once, until times are plausible again."""
        if not self._is_warned:
            self._is_warned = True
            problem = "the clock of this machine is wrong" if is_confirmed else "a block is dated in the future"
            advice = "Check the clock (timedatectl), and name a second provider in rpc_urls."
            log.critical(
                problem, chain=self._rpc.chain_id, block=newest.number, error=f"it says {newest.time}. {advice}"
            )


async def _read(ask: Ask, number: int) -> Header | None:
    """Return the header at a height; None if the provider has not reached it."""
    (found,) = await ask([("eth_getBlockByNumber", [hex(number), False])])
    return None if found is None else decoding.header(found, number)
