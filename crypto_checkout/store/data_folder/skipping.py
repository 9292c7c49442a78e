"""The number of addresses to skip if it is unknown how many were given out since a copy was made."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

LEAST_SKIPPED = 1_000
"""The least number of addresses to skip."""

LEAST_FROM_REPLICA = 5_000
"""The least after a replica, which may lack the last second: three times what a server can give out meanwhile."""

SPREAD = 10_000
"""A random number below this is added, so that two machines with the same copy continue at different places."""

BUSIEST_HOUR = """
    SELECT MAX(made)
    FROM (SELECT COUNT(*) AS made FROM checkout_sessions GROUP BY substr(created_at, 1, 13)) AS hours
"""
"""The most sessions made within an hour."""

_MOST_SKIPPED = 1_000_000
_BUSY_HOURS = 24
_SHORTEST_LIFE_SECONDS = 86_400
_HOUR_SECONDS = 3_600


@dataclass(frozen=True, slots=True)
class Skip:
    """The number of addresses to skip: `addresses`, or derived from the pace until `now` plus a random number.

    `draw` returns a random number below its argument; `least` are skipped whatever the pace was.
    """

    now: datetime
    draw: Callable[[int], int]
    addresses: int | None = None
    least: int = LEAST_SKIPPED

    def after(self, index: int, oldest: datetime | None, newest: datetime | None, busiest: int) -> int:
        """Return the number of addresses to skip: twice what the pace until the newest event yields since then.

        That is the usual pace, or for a day that of the busiest hour, whichever yields more.

        Args:
            index: the number of addresses that the copy gave out.
            oldest: the time of its oldest event.
            newest: the time of its newest event.
            busiest: the most sessions that it made within an hour.

        """
        if self.addresses is not None:
            return self.addresses
        if oldest is None or newest is None:
            return self.least + self.draw(SPREAD)
        life = max(_SHORTEST_LIFE_SECONDS, (newest - oldest).total_seconds())
        since = max(0.0, (self.now - newest).total_seconds())
        by_pace = math.ceil(2 * index * since / life)
        in_a_rush = math.ceil(2 * busiest * min(_BUSY_HOURS, since / _HOUR_SECONDS))
        return min(_MOST_SKIPPED, max(self.least, by_pace, in_a_rush)) + self.draw(SPREAD)
