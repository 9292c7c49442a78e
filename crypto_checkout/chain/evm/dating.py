"""Doubt block times from the future: by them sessions expire, and payments come too late.

No chain lets its blocks run a quarter of an hour ahead of the world's clocks. So one that is dated further ahead of our
clock is a provider's error or lie, or our clock is wrong. The rule, in which a wrong clock stops no chain, and a single
wrong word takes nobody's time away:

- Where most of at least two providers show the same block with the same time, they are believed, and our clock isn't.
- Where they contradict each other, nothing is processed; the preferred one rests, and the next one is asked.
- Where nobody else answers, the block is dated by our clock: no session expires, and no payment is late, by a time that
  has not come. Both wait until our clock gets there, or another provider confirms.

Each begins with an alarm in the log. Times of the past need no such care: by them nothing expires.
"""

from collections.abc import Sequence
from datetime import timedelta

from crypto_checkout.chain.evm import answers
from crypto_checkout.chain.rpc.providers import Ask, Rpc
from crypto_checkout.core.errors import ProviderFailed
from crypto_checkout.core.ledger.follow import Block, Header
from crypto_checkout.core.moments import Clock
from crypto_checkout.log import get_logger

log = get_logger("dating")

MOST_AHEAD = timedelta(minutes=15)
"""How far a block's time may be ahead of our clock without a question."""


class Dating:
    """Checks the times of one chain's blocks against the clock, and against other providers."""

    def __init__(self, rpc: Rpc, now: Clock) -> None:
        self._rpc = rpc
        self._now = now
        self._is_alarmed = False

    async def checked(self, blocks: Sequence[Block]) -> list[Block]:
        """Return blocks, oldest first, with times that can be believed.

        Raises ProviderFailed where providers contradict each other.
        """
        now = self._now()
        newest = blocks[-1].header
        if newest.time <= now + MOST_AHEAD:
            self._is_alarmed = False
            return [*blocks]
        words = await self._rpc.survey(lambda ask: _read(ask, newest.number))
        said = [header for header in words if header is not None]
        same = said.count(newest)
        if len(said) > 1 and 2 * same <= len(said):
            self._rpc.doubt(f"it dates block {newest.number} at {newest.time:%Y-%m-%d %H:%M:%S}, and others don't")
            raise ProviderFailed(f"{same} of {len(said)} providers date block {newest.number} at {newest.time}")
        is_confirmed = same > 1
        self._alarm(newest, is_confirmed)
        return [*blocks] if is_confirmed else [b.dated(now) if b.header.time > now + MOST_AHEAD else b for b in blocks]

    def _alarm(self, newest: Header, is_confirmed: bool) -> None:
        """Say it once, until times are plausible again."""
        if not self._is_alarmed:
            self._is_alarmed = True
            what = "the clock of this machine is wrong" if is_confirmed else "a block is dated in the future"
            advice = "Check the clock (timedatectl), and name a second provider in rpc_urls."
            log.critical(what, chain=self._rpc.chain_id, block=newest.number, error=f"it says {newest.time}. {advice}")


async def _read(ask: Ask, number: int) -> Header | None:
    """Return the header at a height; None where the provider has none there yet."""
    (found,) = await ask([("eth_getBlockByNumber", [hex(number), False])])
    return None if found is None else answers.header(found, number)
