"""The number of addresses to skip if it is unknown how many were given out since a copy was made."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

LEAST_SKIPPED = 1_000
"""The least number of addresses to skip."""

SPREAD = 10_000
"""A random number below this is added, so that two machines with the same copy continue at different places."""

_MOST_SKIPPED = 1_000_000
_SHORTEST_LIFE_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Skip:
    """The number of addresses to skip: `addresses`, or derived from the pace until `now` plus a random number.

    `draw` returns a random number below its argument.
    """

    now: datetime
    draw: Callable[[int], int]
    addresses: int | None = None

    def after(self, index: int, oldest: datetime | None, newest: datetime | None) -> int:
        """Return the number of addresses to skip: twice what the pace until the newest event yields since then.

        `oldest` and `newest` are the times of the copy's events, `index` the number of addresses that it gave out.
        """
        if self.addresses is not None:
            return self.addresses
        if oldest is None or newest is None:
            return LEAST_SKIPPED + self.draw(SPREAD)
        life = max(_SHORTEST_LIFE_SECONDS, (newest - oldest).total_seconds())
        since = max(0.0, (self.now - newest).total_seconds())
        by_pace = math.ceil(2 * index * since / life)
        return min(_MOST_SKIPPED, max(LEAST_SKIPPED, by_pace)) + self.draw(SPREAD)
