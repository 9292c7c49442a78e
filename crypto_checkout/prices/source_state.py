"""One source as the board sees it: its last answers, the pairs it does not quote, and its back-off after failures.

Prices are not weighed here, nor sources compared.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from crypto_checkout.core.checkout.quotes import Observation
from crypto_checkout.core.errors import RecoverableError
from crypto_checkout.core.moments import Clock
from crypto_checkout.prices.source import Source, SourceThrottled, UnsupportedPair

FIRST_BACKOFF_SECONDS = 5
MAX_BACKOFF_SECONDS = 300

# Not forever: Coinbase once called USD an invalid currency for an hour.
UNSUPPORTED_SECONDS = 3600


class Pair(NamedTuple):
    """A coin or currency, and the currency of its price."""

    base: str
    quote: str

    def __str__(self) -> str:
        return f"{self.base}/{self.quote}"


@dataclass(frozen=True, slots=True)
class _SourceAnswer:
    observation: Observation
    received_at: datetime


class SourceState:
    """One source with its last answers; it has at most one pending request for each pair.

    After a failure the source is left alone for all pairs: 5 s, then twice as long each time, up to 5 minutes (or as
    long as a throttling source demands); an answer ends that. An unsupported pair is not requested again for an hour,
    and is not a failure.
    """

    def __init__(self, source: Source, *, clock: Clock, reuse_seconds: float, timeout_seconds: float) -> None:
        self._source = source
        self._clock = clock
        self._reuse = timedelta(seconds=reuse_seconds)
        self._timeout_seconds = timeout_seconds
        self._answers: dict[Pair, _SourceAnswer] = {}
        self._unsupported_until: dict[Pair, datetime] = {}
        self._pending: dict[Pair, asyncio.Task[None]] = {}
        self._failures = 0
        self._retry_at: datetime | None = None
        self._last_error: str | None = None

    @property
    def name(self) -> str:
        """The source's name."""
        return self._source.name

    @property
    def is_trusted(self) -> bool:
        """True if its last request succeeded. Otherwise it is asked, but not waited for."""
        return self._failures == 0

    def observation(self, pair: Pair) -> Observation | None:
        """Return its last answer, of any age."""
        answer = self._answers.get(pair)
        return None if answer is None else answer.observation

    def lacks(self, pair: Pair) -> bool:
        """Return True if it does not quote the pair, by an answer of the last hour."""
        until = self._unsupported_until.get(pair)
        return until is not None and self._clock() < until

    def failure(self, pair: Pair) -> str | None:
        """Return the reason why it has no new answer, or None if it has one."""
        if self.lacks(pair):
            return f"does not quote {pair}"
        if pair in self._pending:
            return "no answer yet"
        return None if self.is_trusted else self._last_error

    def ask(self, pair: Pair) -> asyncio.Task[None] | None:
        """Return the pending request, or start one; None if its last answer is recent, or asking is of no use now.

        The task never fails. Cancelling a caller who awaits it through `asyncio.wait` does not cancel it.
        """
        if pair in self._pending:
            return self._pending[pair]
        if self.lacks(pair) or self._is_backing_off() or self._is_recent(pair):
            return None
        task = asyncio.create_task(self._observe(pair), name=f"price {self.name} {pair}")
        self._pending[pair] = task
        task.add_done_callback(lambda done: self._finish(pair, done))
        return task

    async def close(self) -> None:
        """Cancel the pending requests."""
        tasks = list(self._pending.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

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
        self._answers[pair] = _SourceAnswer(observation, self._clock())
        self._failures = 0
        self._retry_at = None

    def _fail(self, reason: str, *, at_least_seconds: float = 0) -> None:
        self._last_error = reason
        # Pairs requested together fail together; that is one failure, not several.
        if self._is_backing_off() and not at_least_seconds:
            return
        # The cap on the exponent only keeps the number small.
        backoff = min(FIRST_BACKOFF_SECONDS * 2 ** min(self._failures, 10), MAX_BACKOFF_SECONDS)
        self._failures += 1
        self._retry_at = self._clock() + timedelta(seconds=max(backoff, at_least_seconds))

    def _finish(self, pair: Pair, task: asyncio.Task[None]) -> None:
        del self._pending[pair]
        # A bug in one source must not cost the shop its price while others answer.
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(f"broke with {type(error).__name__}")

    def _is_backing_off(self) -> bool:
        return self._retry_at is not None and self._clock() < self._retry_at

    def _is_recent(self, pair: Pair) -> bool:
        answer = self._answers.get(pair)
        # An answer from the future means that the clock was set back; then ask again.
        return answer is not None and timedelta() <= self._clock() - answer.received_at < self._reuse
