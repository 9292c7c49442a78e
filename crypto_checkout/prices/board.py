"""The price board: asks all sources at once and keeps their answers briefly; `core.checkout.quotes` settles the rate.

No price is judged here, and nothing is stored: after a restart the sources are asked again.
"""

import asyncio
import re
from collections.abc import Sequence
from decimal import Decimal

from crypto_checkout.core.checkout.quotes import Rate, settle
from crypto_checkout.core.errors import PriceUnavailable, UnsupportedAsset
from crypto_checkout.core.moments import Clock
from crypto_checkout.prices.source import TIMEOUT_SECONDS, Source
from crypto_checkout.prices.source_state import Pair, SourceState, SourceStatus

# CoinGecko allows 5 to 15 requests a minute without a key.
REUSE_SECONDS = 10.0

# Longer than the sources' own time limit, so that their reason is reported rather than ours.
DEADLINE_SECONDS = TIMEOUT_SECONDS + 1

# How long a caller who could already be answered waits for sources that usually answer.
PATIENCE_SECONDS = 1.0

_SYMBOL = re.compile(r"[A-Z][A-Z0-9]{1,9}", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)


class PriceBoard:
    """The rates of a shop; one for live mode, and one with a fixed source (and a quorum of 1) for test mode.

    Answers are reused for `reuse_seconds` (at most a quarter of `max_age_seconds`). While they are fresh enough for
    `settle`, older ones also stand in for a source that is down now.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        quorum: int,
        max_age_seconds: float,
        max_spread_percent: Decimal,
        clock: Clock,
        reuse_seconds: float = REUSE_SECONDS,
        deadline_seconds: float = DEADLINE_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._quorum = quorum
        self._max_age_seconds = max_age_seconds
        self._max_spread_percent = max_spread_percent
        self._clock = clock
        self._deadline_seconds = deadline_seconds
        self._patience_seconds = patience_seconds
        reuse = min(reuse_seconds, max_age_seconds / 4)
        self._desks = [
            SourceState(source, clock=clock, reuse_seconds=reuse, timeout_seconds=deadline_seconds)
            for source in sources
        ]

    async def rate(self, base: str, quote: str) -> Rate:
        """Return what one unit of `base` costs in `quote` now.

        Callers at the same time share the questions; cancelling one does not disturb the others. Sources that failed
        last time are asked, but waited for only if there is no rate without them. A currency in itself costs 1, says
        the source `par`. Raises PriceUnavailable, or UnsupportedAsset when no source quotes the pair at all.
        """
        if not (_SYMBOL.fullmatch(base) and _CURRENCY.fullmatch(quote)):
            raise UnsupportedAsset("There is no such pair of coin and currency: write them like ETH and USD.")
        if base == quote:
            return Rate(base, quote, Decimal(1), ("par",), self._clock())
        pair = Pair(base, quote)
        outcome = await self._ask(pair)
        if isinstance(outcome, Rate):
            return outcome
        if self._desks and all(desk.lacks(pair) for desk in self._desks):
            raise UnsupportedAsset(f"No price source quotes {pair}; use another currency.")
        raise outcome

    def status(self) -> list[SourceStatus]:
        """Tell how each source is, for health pages."""
        return [desk.status() for desk in self._desks]

    async def close(self) -> None:
        """Give up the questions that are under way; call it before closing the HTTP client."""
        for desk in self._desks:
            await desk.close()

    async def _ask(self, pair: Pair) -> Rate | PriceUnavailable:
        """Ask, and wait no longer than it takes to settle the rate well."""
        asked = [(desk.is_trusted, task) for desk in self._desks if (task := desk.ask(pair)) is not None]
        pending = {task for _, task in asked}
        trusted = {task for is_trusted, task in asked if is_trusted}
        waited_since = asyncio.get_running_loop().time()
        while True:
            # Judged anew after each answer: only that tells whether waiting for more is needed.
            outcome = self._settle(pair)
            is_settled = isinstance(outcome, Rate)
            limit = self._patience_seconds if is_settled else self._deadline_seconds
            left = limit - (asyncio.get_running_loop().time() - waited_since)
            if left <= 0 or not (pending & trusted if is_settled else pending):
                return outcome
            _, pending = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)

    def _settle(self, pair: Pair) -> Rate | PriceUnavailable:
        observations = [seen for desk in self._desks if (seen := desk.observation(pair)) is not None]
        complaints = {desk.name: reason for desk in self._desks if (reason := desk.complaint(pair)) is not None}
        try:
            return settle(
                pair.base,
                pair.quote,
                observations,
                now=self._clock(),
                quorum=self._quorum,
                max_age_seconds=self._max_age_seconds,
                max_spread_percent=self._max_spread_percent,
                failures=complaints,
            )
        except PriceUnavailable as error:
            return error
