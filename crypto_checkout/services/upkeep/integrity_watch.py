"""Check the database in full once a day, at the hour with the fewest sessions, slowly and with low priority.

Damage that a unit of work or the check meets is remembered by the database's faults: readiness, issue and alert follow
from there. The result is recorded beside the database, so that a server restarted with damage checks again at once.
"""

import asyncio
from contextlib import suppress
from functools import partial

from crypto_checkout.core.moments import Clock
from crypto_checkout.log import get_logger
from crypto_checkout.services.loops import every
from crypto_checkout.services.upkeep.daily import is_daily_due
from crypto_checkout.services.upkeep.slow_thread import run_slowly
from crypto_checkout.store.data_folder import integrity, last_check
from crypto_checkout.store.database import Database

log = get_logger("integrity")

_EVERY_SECONDS = 600.0


class IntegrityWatch:
    """The daily check of the database."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._folder = db.path.absolute().parent
        self._began_at = clock()
        self._woken = asyncio.Event()
        db.faults.on_damage(self._woken.set)

    async def run(self) -> None:
        """Take a turn now and every ten minutes, until cancelled."""
        await every(_EVERY_SECONDS, self.turn, log=log, failure="the database could not be checked", woken=self._woken)

    async def turn(self) -> None:
        """Check the database if that is due; record damage that a unit of work has met."""
        damage = self._db.faults.damage
        if damage is None:
            if not await self._is_due():
                return
            damage = await run_slowly(partial(integrity.check_in_slices, self._db.path), "integrity check")
            if damage is not None:
                self._db.faults.note_damage(damage)
        with suppress(OSError):  # on a full disk; then the next turn checks again
            await asyncio.to_thread(last_check.note, self._folder, self._clock(), damage)

    async def _is_due(self) -> bool:
        last = last_check.read(self._folder)
        if last is not None and not last[1]:
            return True
        return await is_daily_due(self._db, self._clock(), None if last is None else last[0], self._began_at)
