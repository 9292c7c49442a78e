"""Notice a replica that falls behind: Litestream has stopped, or can't reach the place it copies to.

Only what is in the replica outlives this machine. So Litestream is asked twice a minute to confirm that all is there;
with nothing to copy that costs nothing. Where it never ran beside the database, nobody is asked.
"""

import time
from collections.abc import Callable
from pathlib import Path

from crypto_checkout import litestream, metrics
from crypto_checkout.core import moments
from crypto_checkout.core.moments import Clock
from crypto_checkout.litestream import NotReplicated
from crypto_checkout.log import get_logger
from crypto_checkout.services.loops import every

log = get_logger("replica")

_EVERY_SECONDS = 30.0
_PATIENCE_SECONDS = 20


class ReplicaWatch:
    """The loop that asks; `elapsed` returns the seconds of a clock that is never set."""

    def __init__(self, database: Path, clock: Clock, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._elapsed = elapsed
        self._confirmed = clock(), elapsed()
        self._problem: str | None = None

    async def run(self) -> None:
        """Ask now and twice a minute, until cancelled."""
        await every(_EVERY_SECONDS, self.turn, log=log, failure="the replica can't be watched")

    async def turn(self) -> None:
        """Ask once; without a replica, do nothing."""
        asked = self._clock(), self._elapsed()
        problem = None
        if litestream.is_used(self._database):
            try:
                await litestream.confirm(self._database, _PATIENCE_SECONDS)
            except NotReplicated as error:
                problem = str(error)
        if problem is None:
            self._confirmed = asked
        elif self._problem is None:
            log.warning("the replica is behind", error=problem)
        if self._problem is not None and problem is None:
            log.info("the replica has everything again")
        self._problem = problem
        metrics.REPLICA_BEHIND.set(self.behind_seconds())

    def behind_seconds(self) -> float:
        """Return the seconds since everything was in the replica; 0 while it is, or where there is none."""
        return 0.0 if self._problem is None else self._elapsed() - self._confirmed[1]

    def issue(self) -> str | None:
        """Return a sentence about a replica that is behind."""
        if self._problem is None:
            return None
        since = moments.to_text(self._confirmed[0])
        return f"What was written since {since} may not be in the replica: {self._problem}."
