"""Notice a wrong clock: one that jumps while the server runs, or is behind the database at the start.

The wall clock is compared with a clock that nobody can set. A jump is logged and becomes an issue. When the clock is
set back, retries scheduled by the earlier time are due at once: otherwise they would wait for as long as it was ahead.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from crypto_checkout.core import moments
from crypto_checkout.core.diagnosis.explanation import span
from crypto_checkout.core.moments import Clock
from crypto_checkout.log import get_logger
from crypto_checkout.services.loops import every
from crypto_checkout.store.database import Database
from crypto_checkout.store.webhooks import deliveries, events

log = get_logger("clock")

_EVERY_SECONDS = 5.0
_TOLERANCE = timedelta(minutes=1)
_REMEMBERED_SECONDS = 86_400.0
_PART = 1000


def elapsed_seconds() -> float:
    """Return the seconds since the machine's start, also those in which it slept where the system tells them."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass(frozen=True, slots=True)
class ClockIssue:
    """A wrong clock: the moment by the clock itself, and a sentence."""

    noticed_at: datetime
    words: str

    @property
    def id(self) -> str:
        """The moment as a text, which tells one issue from the next."""
        return moments.to_text(self.noticed_at)


class ClockWatch:
    """The loop that compares the clocks.

    Args:
        db: holds the latest time seen before the start, and the retries.
        wake: wake the dispatchers.
        clock: the wall clock.
        elapsed: seconds of a clock that is never set.

    """

    def __init__(
        self,
        db: Database,
        wake: Iterable[Callable[[], None]],
        *,
        clock: Clock,
        elapsed: Callable[[], float] = elapsed_seconds,
    ) -> None:
        self._db = db
        self._wake = [*wake]
        self._clock = clock
        self._elapsed = elapsed
        self._last: tuple[datetime, float] | None = None
        self._issue: tuple[ClockIssue, float] | None = None

    async def run(self) -> None:
        """Compare now and every few seconds, until cancelled."""
        await every(_EVERY_SECONDS, self.turn, log=log, failure="the clock can't be watched")

    async def turn(self) -> None:
        """Compare the clocks once."""
        wall, elapsed = self._clock(), self._elapsed()
        last = self._last
        if last is None:
            newest = await self._db.read(events.newest_at)
            ahead = timedelta(0) if newest is None else newest - wall
            if newest is not None and ahead > _TOLERANCE:
                self._note(wall, elapsed, f"is {span(ahead)} behind the newest entry of the database")
            await self._make_due()
        else:
            jump = timedelta(seconds=round((wall - last[0]).total_seconds() - (elapsed - last[1])))
            if abs(jump) > _TOLERANCE:
                self._note(wall, elapsed, f"was set {'back' if jump < timedelta(0) else 'ahead'} by {span(abs(jump))}")
            if jump < -_TOLERANCE:
                await self._make_due()
        self._last = wall, elapsed

    def issue(self) -> ClockIssue | None:
        """Return the last jump, for a day; None if it was dismissed."""
        if self._issue is None or self._elapsed() - self._issue[1] > _REMEMBERED_SECONDS:
            return None
        return self._issue[0]

    def dismiss(self, issue_id: str) -> None:
        """Forget an issue."""
        if self._issue is not None and self._issue[0].id == issue_id:
            self._issue = None

    def _note(self, wall: datetime, elapsed: float, what: str) -> None:
        issue = ClockIssue(wall, f"The clock of this machine {what}; it says {wall:%Y-%m-%d %H:%M:%S} UTC.")
        self._issue = issue, elapsed
        log.critical("the clock is wrong, or was", error=issue.words)

    async def _make_due(self) -> None:
        """Make the deliveries due that were scheduled while the clock was ahead, in parts."""
        made = 0
        for livemode in (True, False):
            for endpoint_id in await self._db.read(partial(deliveries.targets, livemode=livemode)):
                part = partial(deliveries.make_due, endpoint_id=endpoint_id, limit=_PART)
                while changed := await self._db.write(part):
                    made += changed
        if made:
            log.warning("deliveries that were scheduled while the clock was ahead are due now", deliveries=made)
            for wake in self._wake:
                wake()
