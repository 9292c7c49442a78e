"""One provider: its health, and conversations with it, which send calls in requests that it takes, and retry.

`chain.rpc.providers` chooses among several.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from web3.types import RPCResponse

from crypto_checkout.chain.rpc import failures
from crypto_checkout.chain.rpc.answers import Call
from crypto_checkout.chain.rpc.failures import (
    Busy,
    Disproven,
    Muddled,
    NoAnswer,
    Nonsense,
    TimedOut,
    TooLarge,
    Unreachable,
)
from crypto_checkout.chain.rpc.pace import ProviderPace
from crypto_checkout.chain.rpc.transport import Transport
from crypto_checkout.core.errors import ProviderFailed

Ask = Callable[[Sequence[Call]], Awaitable[list[Any]]]
"""Calls to one provider -> their results, in their order. Raises ProviderFailed."""

Sleep = Callable[[float], Awaitable[None]]

MOST_CALLS = 100
"""The most calls in one request."""

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
_MOST_DOUBLINGS = 6
_MOST_JITTER = 0.25
_LONGEST_WAIT_SECONDS = 600.0
_LONG_REST_SECONDS = 60.0

_FIRST_RETRY_SECONDS = 0.05
_LONGEST_RETRY_SECONDS = 0.8
# After so many full batches a larger one is tried, and less often each time that it is refused.
_GROW_AFTER_BATCHES = 10
_MOST_GROW_AFTER_BATCHES = 1000


@dataclass(frozen=True, slots=True)
class Patience:
    """The most tries in a row for one request, and the longest pause that a busy provider may demand between them."""

    tries: int
    longest_wait_seconds: float


ALONE = Patience(10, 5.0)
BESIDE_OTHERS = Patience(4, _LONGEST_RETRY_SECONDS)


@dataclass(slots=True)
class Provider:
    """One RPC endpoint and its health; `name` is its host only, since URLs carry access keys.

    Times are by the clock of its `Rpc`. While it rests until `paused_until`, others are preferred; until
    `left_alone_until` it isn't asked at all, because it said so. Until `trusted_until` its chain ID needs no check.
    `batch_calls` is the most calls that it takes in one request.
    """

    name: str
    transport: Transport = field(repr=False)
    pace: ProviderPace = field(repr=False)
    failures: int = 0
    paused_until: float = 0.0
    left_alone_until: float = 0.0
    failed_at: float = 0.0
    last_error: str | None = None
    last_cause: str = ProviderFailed.cause
    trusted_until: float = 0.0
    batch_calls: int = MOST_CALLS
    full_batches: int = 0
    grow_after_batches: int = _GROW_AFTER_BATCHES
    has_grown: bool = False

    def failed(self, reason: str, now: float, *, at_least_seconds: float = 0, jitter: float = 0) -> None:
        """Record a failure; each one in a row doubles the pause before this provider is preferred again.

        `jitter`, from 0 to 1, lengthens the pause by up to a quarter, so that many callers don't come back together.
        """
        self.failures += 1
        self.failed_at = now
        self.last_error = reason
        pause = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** min(self.failures - 1, _MOST_DOUBLINGS))
        pause *= 1 + _MOST_JITTER * jitter
        self.paused_until = now + max(pause, min(at_least_seconds, _LONGEST_WAIT_SECONDS))

    def failed_with(self, error: Exception, reason: str, now: float, *, jitter: float) -> None:
        """Record a failure by its kind: its batches and pace stay known, and its chain unless another node may come."""
        demanded = error.retry_after_seconds if isinstance(error, Busy) else 0
        rest = _LONG_REST_SECONDS if isinstance(error, TimedOut | Disproven) else 0
        self.failed(reason, now, at_least_seconds=max(demanded, rest), jitter=jitter)
        self.left_alone_until = now + min(demanded, _LONGEST_WAIT_SECONDS)
        if isinstance(error, Unreachable):
            self.trusted_until = 0.0

    def succeeded(self) -> None:
        """Record an answer."""
        self.failures = 0
        self.paused_until = self.left_alone_until = 0.0
        self.last_error = None

    def takes_fewer(self, calls: int) -> None:
        """Note that a batch of so many calls was refused."""
        if self.has_grown:
            self.grow_after_batches = min(_MOST_GROW_AFTER_BATCHES, 2 * self.grow_after_batches)
        self.batch_calls, self.full_batches, self.has_grown = max(1, calls // 2), 0, False

    def took(self, calls: int) -> None:
        """Note that a request of so many calls was answered."""
        self.pace.took(calls)
        if calls == self.batch_calls < MOST_CALLS:
            self.full_batches, self.has_grown = self.full_batches + 1, False
            if self.full_batches >= self.grow_after_batches:
                self.batch_calls, self.full_batches, self.has_grown = min(MOST_CALLS, 2 * self.batch_calls), 0, True


class Conversation:
    """Calls to one provider for one reader.

    What was answered is kept: only the rest is asked for again. A busy provider gets smaller requests at its own pace,
    one that is hard to understand is asked again soon and a few times, and one that doesn't answer in time is given up.
    """

    def __init__(
        self,
        provider: Provider,
        patience: Patience,
        *,
        clock: Callable[[], float],
        sleep: Sleep,
        jitter: Callable[[], float],
    ) -> None:
        self.provider = provider
        self.began_at = clock()
        self._patience = patience
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._sent_at: float | None = None

    def silent_seconds(self) -> float:
        """Return for how long the provider has not begun to answer the current request; 0 without one."""
        return 0.0 if self._sent_at is None else self._clock() - self._sent_at

    async def ask(self, calls: Sequence[Call]) -> list[Any]:
        """Return the results of any number of calls, in their order. Raises ProviderFailed."""
        results: dict[int, Any] = {}
        left = [*range(len(calls))]
        size, failed = MOST_CALLS, 0
        while left:
            some = left[: min(size, self.provider.batch_calls, self.provider.pace.room() or MOST_CALLS)]
            answered, failure = await self._request([calls[place] for place in some])
            results.update((some[place], result) for place, result in answered.items())
            if isinstance(failure, _RefusedCall):
                # Sent alone, it is answered, or the answer gives the reason.
                place = some[failure.place]
                (results[place],) = await self.ask([calls[place]])
            elif failure is not None:
                failed = 0 if answered else failed + 1
                if not answered and len(some) > 1 and self._is_shrunk_after(failure, len(some), failed):
                    size, failed = max(1, len(some) // 2), 0
                elif failed >= self._patience.tries or not self._may_pass(failure):
                    raise failure
                await self._pause(failure, failed)
            else:
                size, failed = min(MOST_CALLS, 2 * size), 0
            left = [place for place in left if place not in results]
        return [results[place] for place in range(len(calls))]

    async def _request(self, calls: Sequence[Call]) -> tuple[dict[int, Any], ProviderFailed | None]:
        """Send calls in one request; return the results by place, and why others have none."""
        await self._wait(self.provider.pace.reserve(len(calls)))
        self._sent_at = self._clock()
        try:
            answers = await self.provider.transport.send(calls, heard=self._hear)
        except ProviderFailed as error:
            if isinstance(error, Busy):
                self.provider.pace.was_busy(len(calls))
            return {}, error
        finally:
            self._sent_at = None
        return self._read(calls, answers)

    def _read(
        self, calls: Sequence[Call], answers: Sequence[RPCResponse]
    ) -> tuple[dict[int, Any], ProviderFailed | None]:
        results: dict[int, Any] = {}
        found: list[ProviderFailed] = []
        for place, ((method, _), answer) in enumerate(zip(calls, answers, strict=True)):
            if answer.get("error") is None and "result" in answer:
                results[place] = answer["result"]
            elif answer.get("error") is None:
                found.append(Nonsense("an answer with neither a result nor an error"))
            else:
                failure = failures.of_error(answer["error"], method)
                is_of_many = len(calls) > 1 and not isinstance(failure, Busy)
                found.append(_RefusedCall(place) if is_of_many else failure)
        busy = next((each for each in found if isinstance(each, Busy)), None)
        if busy is not None:
            self.provider.pace.was_busy(len(calls) - len(results), taken_with_them=len(results))
        elif results:
            self.provider.took(len(calls))
        return results, busy or next(iter(found), None)

    def _is_shrunk_after(self, failure: ProviderFailed, calls: int, failed: int) -> bool:
        """Tell whether a failed batch is to be halved, and remember it where its size was the reason.

        A busy provider may count each call. Nodes limit the size of a batch, or of its answer, and report that in many
        ways; some take no batch at all.
        """
        if isinstance(failure, Busy):
            return failure.retry_after_seconds <= self._patience.longest_wait_seconds
        if isinstance(failure, Muddled) or (isinstance(failure, Nonsense) and failed >= BESIDE_OTHERS.tries):
            self.provider.takes_fewer(calls)
            return True
        return False

    def _may_pass(self, failure: ProviderFailed) -> bool:
        """Tell whether the same request may succeed soon."""
        if isinstance(failure, Busy):
            return failure.retry_after_seconds <= self._patience.longest_wait_seconds
        return isinstance(failure, Nonsense | Muddled | NoAnswer) and not isinstance(failure, TooLarge | TimedOut)

    async def _pause(self, failure: ProviderFailed, failed: int) -> None:
        seconds = min(_LONGEST_RETRY_SECONDS, _FIRST_RETRY_SECONDS * 2 ** max(0, failed - 1)) * (0.5 + self._jitter())
        demanded = failure.retry_after_seconds if isinstance(failure, Busy) else 0
        await self._wait(max(seconds, demanded))

    async def _wait(self, seconds: float) -> None:
        if seconds > 0:
            await self._sleep(seconds)

    def _hear(self) -> None:
        self._sent_at = None


class _RefusedCall(ProviderFailed):
    """The call at a place of a batch was refused, perhaps only there."""

    def __init__(self, place: int) -> None:
        super().__init__(f"call {place} of a batch was refused")
        self.place = place
