"""Delete expired rows: answers to idempotency keys, delivery attempts, and events if the configuration says so."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

from crypto_checkout.core.moments import Clock
from crypto_checkout.log import get_logger
from crypto_checkout.services.loops import every
from crypto_checkout.store import idempotency
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.webhooks import deliveries, events

log = get_logger("retention")

IDEMPOTENCY = timedelta(hours=24)

_EVERY_SECONDS = 3600.0
_AT_ONCE = 250


class Retention:
    """The hourly clean-up; 0 days keep events, or delivery attempts, for good."""

    def __init__(self, db: Database, *, event_days: int, attempt_days: int, clock: Clock) -> None:
        self._db = db
        self._event_days = event_days
        self._attempt_days = attempt_days
        self._clock = clock

    async def run(self) -> None:
        """Clean up now and every hour, until cancelled."""
        await every(_EVERY_SECONDS, self.turn, log=log, failure="clean-up failed")

    async def turn(self) -> None:
        """Delete expired rows, in small parts, so that no other write waits long."""
        now = self._clock()
        answered_before = now - IDEMPOTENCY
        await in_parts(self._db, lambda unit: idempotency.delete_before(unit, answered_before, _AT_ONCE))
        if self._attempt_days:
            before = now - timedelta(days=self._attempt_days)
            await in_parts(self._db, lambda unit: deliveries.delete_attempts_before(unit, before, _AT_ONCE))
        if self._event_days:
            before = now - timedelta(days=self._event_days)
            for livemode in (True, False):
                delete = partial(events.delete_before, livemode=livemode, moment=before, limit=_AT_ONCE)
                await in_parts(self._db, delete)


async def in_parts(db: Database, delete: Callable[[WriteUnit], int]) -> None:
    """Delete in parts, each in a unit of its own, until nothing is left; other writes run between them."""
    while await db.write(delete):
        pass
