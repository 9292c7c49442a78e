"""Measure how long the event loop keeps everything waiting: while one step computes, no request is answered.

A heartbeat every 20 ms notes how late it is. So a stall is measured to 20 ms, and a longer one never goes unseen.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Never

_EVERY_SECONDS = 0.02
_PART_SECONDS = 10.0
_PARTS = 6


class LoopWatch:
    """The loop that measures; `clock` is monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._longest: deque[tuple[float, float]] = deque(maxlen=_PARTS + 1)

    async def run(self) -> Never:
        """Measure until cancelled."""
        while True:
            due = self._clock() + _EVERY_SECONDS
            await asyncio.sleep(_EVERY_SECONDS)
            self.note(self._clock() - due)

    def note(self, late_seconds: float) -> None:
        """Note how late a heartbeat was."""
        now = self._clock()
        if not self._longest or now - self._longest[-1][0] >= _PART_SECONDS:
            self._longest.append((now, 0.0))
        since, longest = self._longest[-1]
        self._longest[-1] = since, max(longest, late_seconds)

    def longest_seconds(self) -> float:
        """Return the longest stall in the last minute, in seconds."""
        oldest = self._clock() - (_PARTS + 1) * _PART_SECONDS
        return max((longest for since, longest in self._longest if since > oldest), default=0.0)
