"""The price board: asks all sources at once and keeps their answers briefly; `core.checkout.quotes` settles the rate.

Prices are not judged here, and nothing is stored: after a restart the sources are asked again. The last rate of each
pair is kept, because one source alone may not move it far; `last` brings those from before the restart.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from crypto_checkout.core.checkout.quotes import JUMP_WITHIN, Observation, Rate, agreed_rate
from crypto_checkout.core.errors import PriceJumped, PriceUnavailable, UnsupportedAsset
from crypto_checkout.core.moments import Clock
from crypto_checkout.prices.source import TIMEOUT_SECONDS, Source
from crypto_checkout.prices.source_state import Pair, SourceState

# CoinGecko allows 5 to 15 requests a minute without a key, and 100 with a free one.
REUSE_SECONDS = 10.0

# Longer than the sources' own time limit, so that their reason is reported rather than ours.
DEADLINE_SECONDS = TIMEOUT_SECONDS + 1

# The wait for further sources once a rate is settled; only sources that usually answer are worth it.
PATIENCE_SECONDS = 1.0

_SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,15}", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class _SettledRate:
    """A rate, the answers of all sources that it was settled from, and the times between which these give it again."""

    rate: Rate
    observations: Sequence[Observation]
    since: datetime
    until: datetime


class PriceBoard:
    """The rates that a set of sources agrees on. A table of fixed prices has a board of its own, with a quorum of 1.

    Answers are reused for `reuse_seconds` (at most a quarter of `max_age_seconds`). Older answers replace those of a
    source that is down, as long as they are fresh enough for `settle`.
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
        last: Iterable[Rate] = (),
    ) -> None:
        self._quorum = quorum
        self._max_age_seconds = max_age_seconds
        self._max_spread_percent = max_spread_percent
        self._clock = clock
        self._deadline_seconds = deadline_seconds
        self._patience_seconds = patience_seconds
        self._last = {Pair(rate.base, rate.quote): rate for rate in last}
        self._settled: dict[Pair, _SettledRate] = {}
        self._jumps: dict[Pair, PriceJumped] = {}
        reuse = min(reuse_seconds, max_age_seconds / 4)
        self._sources = [
            SourceState(source, clock=clock, reuse_seconds=reuse, timeout_seconds=deadline_seconds)
            for source in sources
        ]

    async def rate(self, base: str, quote: str) -> Rate:
        """Return the price of one unit of `base` in `quote` now.

        Concurrent callers share the requests; cancelling one does not disturb the others. A source that failed last
        time is asked again, but waited for only if there is no rate without it. A currency in itself costs 1, by the
        source `par`. Raises PriceUnavailable, or UnsupportedAsset when so few sources quote the pair that waiting is
        of no use.
        """
        if not (_SYMBOL.fullmatch(base) and _CURRENCY.fullmatch(quote)):
            raise UnsupportedAsset("There is no such pair of coin and currency: write them like ETH and USD.")
        if base == quote:
            return Rate(base, quote, Decimal(1), ("par",), self._clock())
        pair = Pair(base, quote)
        outcome = await self._ask(pair)
        if isinstance(outcome, Rate):
            self._last[pair] = outcome
            self._jumps.pop(pair, None)
            return outcome
        if isinstance(outcome, PriceJumped):
            self._jumps[pair] = outcome
        raise self._hopeless(pair) or outcome

    def jumps(self) -> Mapping[str, str]:
        """Return the pairs whose price was refused because one source alone moved it too far, with the reason."""
        now = self._clock()
        return {
            str(pair): error.message
            for pair, error in self._jumps.items()
            if abs(now - self._last[pair].observed_at) <= JUMP_WITHIN
        }

    async def close(self) -> None:
        """Cancel the pending requests; call it before closing the HTTP client."""
        for source in self._sources:
            await source.close()

    def _hopeless(self, pair: Pair) -> UnsupportedAsset | None:
        """Return an error if fewer sources than the quorum quote a pair, so that a later try can't succeed either."""
        quoting = [source.name for source in self._sources if not source.lacks(pair)]
        if not quoting:
            return UnsupportedAsset(f"No price source quotes {pair}: use another coin or currency.")
        if len(quoting) < self._quorum:
            return UnsupportedAsset(
                f"Only {', '.join(quoting)} may quote {pair}, and {self._quorum} price sources must agree: use another "
                "coin or currency."
            )
        return None

    async def _ask(self, pair: Pair) -> Rate | PriceUnavailable:
        """Ask the sources, and wait only until the rate is settled and the reliable ones have answered."""
        asked = [(source.is_trusted, task) for source in self._sources if (task := source.ask(pair)) is not None]
        if not asked and (rate := self._still_settled(pair)) is not None:
            return rate
        pending = {task for _, task in asked}
        trusted = {task for is_trusted, task in asked if is_trusted}
        waited_since = asyncio.get_running_loop().time()
        while True:
            # Settled anew after each answer: only that shows whether more answers are needed.
            outcome = self._settle(pair)
            is_settled = isinstance(outcome, Rate)
            limit = self._patience_seconds if is_settled else self._deadline_seconds
            left = limit - (asyncio.get_running_loop().time() - waited_since)
            if left <= 0 or not (pending & trusted if is_settled else pending):
                return outcome
            _, pending = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)

    def _still_settled(self, pair: Pair) -> Rate | None:
        """Return the last rate while settling would give it again: from the same answers, none of them too old yet."""
        last = self._settled.get(pair)
        is_same = last is not None and last.observations == self._observations(pair)
        return last.rate if last is not None and is_same and last.since <= self._clock() <= last.until else None

    def _observations(self, pair: Pair) -> list[Observation]:
        return [found for source in self._sources if (found := source.observation(pair)) is not None]

    def _settle(self, pair: Pair) -> Rate | PriceUnavailable:
        observations = self._observations(pair)
        now = self._clock()
        failures = {source.name: reason for source in self._sources if (reason := source.failure(pair)) is not None}
        try:
            rate = agreed_rate(
                pair.base,
                pair.quote,
                observations,
                now=now,
                quorum=self._quorum,
                max_age_seconds=self._max_age_seconds,
                max_spread_percent=self._max_spread_percent,
                failures=failures,
                last=self._last.get(pair),
            )
        except PriceUnavailable as error:
            return error
        # An answer that was refused may be taken at another time: then the rate is settled anew each time.
        if len(rate.sources) == len(observations):
            until = rate.observed_at + timedelta(seconds=self._max_age_seconds)
            self._settled[pair] = _SettledRate(rate, observations, now, until)
        return rate
