"""The pace that a provider takes: calls per second, learned from its answers.

Plans count each call of a batch. A provider that was never too busy is asked without any pause. One that is busy twice
in a row while calls come fast has a limit: what it took within the last second. While that holds calls back, it grows
slowly, and one that is busy although little was sent is not held to it: so a limit learned too low doesn't stay.
"""

from collections import deque
from collections.abc import Callable

LEAST = 5.0
"""Calls per second below which nothing is learned: a provider that takes even fewer is left to retries."""

_WINDOW_SECONDS = 1.05
_GROWTH = 1.1


class ProviderPace:
    """The pace of one provider; `per_second` is None while no limit is known. `clock` is monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.per_second: float | None = None
        self._clock = clock
        self._sent = deque[tuple[float, int]]()
        self._taken = deque[tuple[float, int]]()
        self._refusals = 0
        self._grown_at = 0.0
        self._holds_back = False

    def room(self) -> int | None:
        """Return the most calls that one request may hold; None for no limit."""
        return None if self.per_second is None else max(1, int(self.per_second))

    def reserve(self, calls: int) -> float:
        """Return the seconds to wait before sending so many calls, at most `room`; they are counted as sent then."""
        now = self._clock()
        at = max(now, self._sent[-1][0]) if self._sent else now
        if self.per_second is None:
            at = now
        else:
            while sum(each for _, each in self._lately(self._sent, at)) + calls > max(self.per_second, calls):
                at = self._sent[0][0] + _WINDOW_SECONDS
            self._holds_back |= at > now
        self._lately(self._sent, at)
        self._sent.append((at, calls))
        return at - now

    def took(self, calls: int) -> None:
        """Note that calls were answered."""
        now = self._clock()
        self._refusals = 0
        self._lately(self._taken, now)
        self._taken.append((now, calls))
        if self.per_second is not None and self._holds_back and now - self._grown_at >= 1:
            self.per_second *= _GROWTH
            self._grown_at, self._holds_back = now, False

    def was_busy(self, calls: int, *, taken_with_them: int = 0) -> None:
        """Note that so many calls were too many just now, while others of their batch were answered."""
        self._refusals += 1
        now = self._clock()
        self._lately(self._taken, now).append((now, taken_with_them))
        taken = sum(each for _, each in self._taken)
        if (
            self.per_second is not None
            and sum(each for _, each in self._lately(self._sent, now)) <= self.per_second / 2
        ):
            self.per_second *= 2
            return
        if self._refusals < 2 or taken + calls <= LEAST:  # noqa: PLR2004 - twice in a row: one may be chance
            return
        learned = max(LEAST, taken or calls / 2)
        self.per_second = learned if self.per_second is None else min(self.per_second, learned)
        self._grown_at = now

    @staticmethod
    def _lately(noted: deque[tuple[float, int]], now: float) -> deque[tuple[float, int]]:
        """Forget what is older than the window; return the rest."""
        while noted and noted[0][0] <= now - _WINDOW_SECONDS:
            noted.popleft()
        return noted
