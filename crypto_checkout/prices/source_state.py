"""One source as the board sees it: what it said last, what it does not quote, and whether it is left alone for now.

Nothing here weighs prices or compares sources.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from crypto_checkout.core.checkout.quotes import Observation
from crypto_checkout.core.errors import RecoverableError
from crypto_checkout.core.moments import Clock
from crypto_checkout.prices.source import Source, SourceThrottled, UnsupportedPair

FIRST_BACKOFF_SECONDS = 5
MAX_BACKOFF_SECONDS = 300

# Not for good: Coinbase has called USD an invalid currency for an hour.
UNSUPPORTED_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Pair:
    """What is asked: the price of `base` in `quote`."""

    base: str
    quote: str

    def __str__(self) -> str:
        return f"{self.base}/{self.quote}"


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """A source's health, for people; pairs are written `ETH/USD`."""

    name: str
    observations: Mapping[str, Observation]
    unsupported: tuple[str, ...]
    last_ok_at: datetime | None
    last_error: str | None
    last_error_at: datetime | None
    backing_off_until: datetime | None


@dataclass(slots=True)
class _SourceAnswer:
    observation: Observation
    received_at: datetime


class SourceState:
    """Asks one source, at most once at a time for each pair.

    A failure puts the source off for all pairs: 5 s, then twice as long each time, up to 5 minutes (or what a throttled
    source asks for); an answer ends that. A pair it does not quote is not asked for again for an hour, and says
    nothing about its health.
    """

    def __init__(self, source: Source, *, clock: Clock, reuse_seconds: float, timeout_seconds: float) -> None:
        self._source = source
        self._clock = clock
        self._reuse = timedelta(seconds=reuse_seconds)
        self._timeout_seconds = timeout_seconds
        self._answers: dict[Pair, _SourceAnswer] = {}
        self._unsupported_until: dict[Pair, datetime] = {}
        self._asking: dict[Pair, asyncio.Task[None]] = {}
        self._failures = 0
        self._retry_at: datetime | None = None
        self._last_ok_at: datetime | None = None
        self._last_error: str | None = None
        self._last_error_at: datetime | None = None

    @property
    def name(self) -> str:
        """The source's name."""
        return self._source.name

    @property
    def is_trusted(self) -> bool:
        """Whether its last attempt succeeded; one that did not is asked, but not waited for."""
        return self._failures == 0

    def observation(self, pair: Pair) -> Observation | None:
        """Return its last answer, of whatever age."""
        answer = self._answers.get(pair)
        return None if answer is None else answer.observation

    def lacks(self, pair: Pair) -> bool:
        """Tell whether it said lately that it does not quote the pair."""
        until = self._unsupported_until.get(pair)
        return until is not None and self._clock() < until

    def complaint(self, pair: Pair) -> str | None:
        """Return why there is no new answer from it, or None if there is one."""
        if self.lacks(pair):
            return f"does not quote {pair}"
        if pair in self._asking:
            return "no answer yet"
        return None if self.is_trusted else self._last_error

    def ask(self, pair: Pair) -> asyncio.Task[None] | None:
        """Return the question that is under way, a new one, or None when there is no need to ask, or no use in it.

        The task never fails; cancelling somebody who waits for it with `asyncio.wait` does not cancel it.
        """
        if pair in self._asking:
            return self._asking[pair]
        if self.lacks(pair) or self._is_backing_off() or self._is_recent(pair):
            return None
        task = asyncio.create_task(self._observe(pair), name=f"price {self.name} {pair}")
        self._asking[pair] = task
        task.add_done_callback(lambda done: self._finish(pair, done))
        return task

    async def close(self) -> None:
        """Give up the questions that are under way."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def status(self) -> SourceStatus:
        """Tell how it is."""
        return SourceStatus(
            name=self.name,
            observations={str(pair): answer.observation for pair, answer in self._answers.items()},
            unsupported=tuple(str(pair) for pair in self._unsupported_until if self.lacks(pair)),
            last_ok_at=self._last_ok_at,
            last_error=self._last_error,
            last_error_at=self._last_error_at,
            backing_off_until=self._retry_at if self._is_backing_off() else None,
        )

    async def _observe(self, pair: Pair) -> None:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                observation = await self._source.observe(pair.base, pair.quote)
        except UnsupportedPair:
            self._unsupported_until[pair] = self._clock() + timedelta(seconds=UNSUPPORTED_SECONDS)
        except SourceThrottled as error:
            self._fail(str(error), at_least_seconds=error.retry_after_seconds)
        except TimeoutError:
            self._fail(f"no answer within {self._timeout_seconds:g} s")
        except RecoverableError as error:
            self._fail(str(error))
        else:
            self._succeed(pair, observation)

    def _succeed(self, pair: Pair, observation: Observation) -> None:
        now = self._clock()
        self._answers[pair] = _SourceAnswer(observation, now)
        self._last_ok_at = now
        self._failures = 0
        self._retry_at = None

    def _fail(self, reason: str, *, at_least_seconds: float = 0) -> None:
        now = self._clock()
        self._last_error = reason
        self._last_error_at = now
        # Pairs that were asked for together fail together; that is one failure, not several.
        if self._is_backing_off() and not at_least_seconds:
            return
        # The cap on the exponent only keeps the number small.
        backoff = min(FIRST_BACKOFF_SECONDS * 2 ** min(self._failures, 10), MAX_BACKOFF_SECONDS)
        self._failures += 1
        self._retry_at = now + timedelta(seconds=max(backoff, at_least_seconds))

    def _finish(self, pair: Pair, task: asyncio.Task[None]) -> None:
        del self._asking[pair]
        # A bug in one source must not take the price away while others answer; health pages show it.
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(f"broke with {type(error).__name__}")

    def _is_backing_off(self) -> bool:
        return self._retry_at is not None and self._clock() < self._retry_at

    def _is_recent(self, pair: Pair) -> bool:
        answer = self._answers.get(pair)
        # An answer from the future means that the clock was set back: asking again is the way out.
        return answer is not None and timedelta() <= self._clock() - answer.received_at < self._reuse
