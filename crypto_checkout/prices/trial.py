"""A trial of price sources: each is asked once, and its answer shown beside the price that they settle.

It judges by the rules of a shop's own prices, remembers nothing, and has no part in any session's price.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from crypto_checkout.core.checkout.quotes import FUTURE_TOLERANCE, Observation, Rate, agreed_rate
from crypto_checkout.core.errors import PriceUnavailable, RecoverableError
from crypto_checkout.core.moments import Clock
from crypto_checkout.prices.source import TIMEOUT_SECONDS, Source

OpenSources = Callable[[Sequence[str]], AbstractAsyncContextManager[Sequence[Source]]]

_DEADLINE_SECONDS = TIMEOUT_SECONDS + 1


@dataclass(frozen=True, slots=True)
class SourceAnswer:
    """A source's answer to a trial; `problem` is set if it gave no price, or one that wasn't taken."""

    source: str
    value: Decimal | None = None
    observed_at: datetime | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class TrialResult:
    """The answers of all sources, and the price that they settle; `problem` is set if they settle none."""

    answers: tuple[SourceAnswer, ...]
    rate: Rate | None
    problem: str | None = None


class PriceTrial:
    """Tries sources by name; `open_sources` opens them for as long as they are asked."""

    def __init__(
        self, open_sources: OpenSources, *, max_age_seconds: float, max_spread_percent: Decimal, clock: Clock
    ) -> None:
        self._open = open_sources
        self._max_age_seconds = max_age_seconds
        self._max_spread_percent = max_spread_percent
        self._clock = clock

    async def run(self, base: str, quote: str, names: Sequence[str], quorum: int) -> TrialResult:
        """Ask these sources for the price of one unit of `base` in `quote`, all at once. Never raises for a source."""
        async with self._open(names) as sources:
            found = await asyncio.gather(*(_ask(source, base, quote) for source in sources))
        observations = [each for each in found if isinstance(each, Observation)]
        failures = {each.source: each.problem or "" for each in found if isinstance(each, SourceAnswer)}
        rate, problem = None, None
        try:
            rate = agreed_rate(
                base,
                quote,
                observations,
                now=self._clock(),
                quorum=quorum,
                max_age_seconds=self._max_age_seconds,
                max_spread_percent=self._max_spread_percent,
                failures=failures,
            )
        except PriceUnavailable as error:
            problem = error.message
        taken = () if rate is None else rate.sources
        answers = (
            each if isinstance(each, SourceAnswer) else self._answer(each, is_taken=each.source in taken)
            for each in found
        )
        return TrialResult(tuple(answers), rate, problem)

    def _answer(self, each: Observation, *, is_taken: bool) -> SourceAnswer:
        return SourceAnswer(each.source, each.value, each.observed_at, None if is_taken else self._refusal(each))

    def _refusal(self, each: Observation) -> str:
        age = self._clock() - each.observed_at
        if age > timedelta(seconds=self._max_age_seconds):
            return f"older than {self._max_age_seconds:g} s"
        if -age > FUTURE_TOLERANCE:
            return "its clock is ahead"
        return "too far from the others"


async def _ask(source: Source, base: str, quote: str) -> Observation | SourceAnswer:
    try:
        async with asyncio.timeout(_DEADLINE_SECONDS):
            return await source.observe(base, quote)
    except TimeoutError:
        return SourceAnswer(source.name, problem=f"no answer within {_DEADLINE_SECONDS:g} s")
    except RecoverableError as error:
        return SourceAnswer(source.name, problem=str(error))
