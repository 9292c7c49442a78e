"""Throw away what is too old: answers to idempotency keys after a day, events where the operator says so."""

import asyncio
from datetime import timedelta

from crypto_checkout.core.moments import Clock
from crypto_checkout.log import get_logger
from crypto_checkout.store import events, idempotency
from crypto_checkout.store.database import Database

log = get_logger("retention")

IDEMPOTENCY = timedelta(hours=24)

_EVERY_SECONDS = 3600.0
_AT_ONCE = 1000


class Retention:
    """The hourly clean-up; `event_days` of 0 keeps events for good."""

    def __init__(self, db: Database, *, event_days: int, clock: Clock) -> None:
        self._db = db
        self._event_days = event_days
        self._clock = clock

    async def run(self) -> None:
        """Clean up now and every hour, until cancelled."""
        while True:
            try:
                await self.turn()
            except Exception as error:  # a loop's boundary: the next hour is another chance
                log.exception("clean-up failed", error=str(error))
            await asyncio.sleep(_EVERY_SECONDS)

    async def turn(self) -> None:
        """Delete what is too old; events in small parts, so that nobody waits long for the writer."""
        now = self._clock()
        await self._db.write(lambda unit: idempotency.delete_before(unit, now - IDEMPOTENCY))
        if not self._event_days:
            return
        before = now - timedelta(days=self._event_days)
        while await self._db.write(lambda unit: events.delete_before(unit, before, _AT_ONCE)):
            pass
