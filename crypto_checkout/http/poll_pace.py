"""The pause between the polls of open pages: longer while there are very many, so that they never take a whole core.

A page asks every 2.5 seconds. Where all of them together ask more often than one process should answer, each answer
names a longer pause, which follows from the number of pages. It differs from answer to answer, so that pages that
began together don't go on together.
"""

import random
import time
from collections.abc import Callable

MOST_POLLS_PER_SECOND = 1_000
"""The polls that open pages may take together: about an eighth of a core."""
USUAL_SECONDS = 2.5
LONGEST_SECONDS = 30.0

_MEASURED_SECONDS = 5.0
_NOTEWORTHY = 1.1


class PollPace:
    """Counts polls and adapts the pause; `clock` is monotonic, and `spread` returns a number from 0 to 1."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, spread: Callable[[], float] = random.random
    ) -> None:
        self._clock = clock
        self._spread = spread
        self._since = clock()
        self._polls = 0
        self._pause = USUAL_SECONDS

    def seconds(self) -> int | None:
        """Count a poll; return the pause that its page should make, or None for the usual one."""
        self._polls += 1
        now = self._clock()
        # At least one round of all pages, so that the pages counted are those that the last pause has reached.
        if now - self._since >= max(_MEASURED_SECONDS, self._pause):
            self._adapt(now)
        if self._pause < USUAL_SECONDS * _NOTEWORTHY:
            return None
        return round(self._pause * (0.5 + self._spread()))

    def _adapt(self, now: float) -> None:
        pages = self._polls / (now - self._since) * self._pause
        self._pause = min(LONGEST_SECONDS, max(USUAL_SECONDS, pages / MOST_POLLS_PER_SECOND))
        self._since, self._polls = now, 0
