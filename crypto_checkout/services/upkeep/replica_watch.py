"""Notice a replica that falls behind: Litestream has stopped, or can't reach the place it copies to.

Only what is in the replica outlives this machine. So Litestream is asked twice a minute when it last had everything
copied. Where it never ran beside the database, nobody is asked.
"""

from datetime import datetime, timedelta
from pathlib import Path

from crypto_checkout import litestream, metrics
from crypto_checkout.core import moments
from crypto_checkout.core.moments import Clock
from crypto_checkout.litestream import NotReplicated
from crypto_checkout.log import get_logger
from crypto_checkout.services.loops import every
from crypto_checkout.store.sqlite.checkpoints import is_left_to_litestream

log = get_logger("replica")

MOST_BEHIND = timedelta(seconds=30)
"""The age of the last copy from which the replica is behind; Litestream repeats it several times a second."""

_EVERY_SECONDS = 30.0


class ReplicaWatch:
    """The loop that asks."""

    def __init__(self, database: Path, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._copied_at = clock()
        self._problem: str | None = None

    async def run(self) -> None:
        """Ask now and twice a minute, until cancelled."""
        await every(_EVERY_SECONDS, self.turn, log=log, failure="the replica can't be watched")

    async def turn(self) -> None:
        """Ask once; without a replica, do nothing."""
        problem = await self._ask() if is_left_to_litestream(self._database) else None
        if problem is not None and self._problem is None:
            log.warning("the replica is behind", error=problem)
        if problem is None and self._problem is not None:
            log.info("the replica has everything again")
        self._problem = problem
        if problem is None:
            metrics.REPLICA_BEHIND.set(0)
        else:
            metrics.REPLICA_BEHIND.set(max(0.0, (self._clock() - self._copied_at).total_seconds()))

    def issue(self) -> str | None:
        """Return a sentence about a replica that is behind."""
        if self._problem is None:
            return None
        since = moments.to_text(self._copied_at)
        return f"What was written since {since} may not be in the replica: {self._problem}."

    async def _ask(self) -> str | None:
        """Return the reason for which the replica is behind; None if it has everything."""
        try:
            self._copied_at = await litestream.copied_at(self._database)
        except NotReplicated as error:
            return str(error)
        return behind(self._copied_at, self._clock())


def behind(copied_at: datetime, now: datetime) -> str | None:
    """Return a sentence if the last copy is too old."""
    return "Litestream can't reach the place that it copies to" if now - copied_at > MOST_BEHIND else None
