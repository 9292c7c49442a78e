"""Delete expired rows: answers to idempotency keys, delivery attempts, and events if the configuration says so.

Nothing brings back what a clock that is ahead had deleted too early. So where real chains are followed, nothing expires
before their newest block says so too.
"""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from functools import partial

from crypto_checkout.core.moments import Clock
from crypto_checkout.log import get_logger
from crypto_checkout.services.loops import every
from crypto_checkout.store import idempotency
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.ledger import cursors
from crypto_checkout.store.webhooks import deliveries, events

log = get_logger("retention")

IDEMPOTENCY = timedelta(hours=24)

_EVERY_SECONDS = 3600.0
_AT_ONCE = 250


class Retention:
    """The hourly clean-up; 0 days keep events, or delivery attempts, for good.

    `chain_ids` are the real chains whose blocks tell the time beside the clock.
    """

    def __init__(
        self, db: Database, *, event_days: int, attempt_days: int, clock: Clock, chain_ids: Collection[int] = ()
    ) -> None:
        self._db = db
        self._event_days = event_days
        self._attempt_days = attempt_days
        self._clock = clock
        self._chain_ids = chain_ids

    async def run(self) -> None:
        """Clean up now and every hour, until cancelled."""
        await every(_EVERY_SECONDS, self.turn, log=log, failure="clean-up failed")

    async def turn(self) -> None:
        """Delete expired rows, in small parts, so that no other write waits long."""
        now = await self._credible_now()
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

    async def _credible_now(self) -> datetime:
        """Return the clock's time, or that of the newest block if it is earlier."""
        tips = await self._db.read(cursors.tips)
        blocks = [tips[chain_id].time for chain_id in self._chain_ids if chain_id in tips]
        return min(self._clock(), max(blocks)) if blocks else self._clock()


async def in_parts(db: Database, delete: Callable[[WriteUnit], int]) -> None:
    """Delete in parts, each in a unit of its own, until nothing is left; other writes run between them."""
    while await db.write(delete):
        pass
