"""Check the database in full once a day, at the hour with the fewest sessions, slowly and with low priority.

Damage that a unit of work or the check meets is remembered by the database's faults: readiness, issue and alert follow
from there. The result is recorded beside the database, so that a server restarted with damage checks again at once.
"""

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from crypto_checkout.core.moments import Clock
from crypto_checkout.log import get_logger
from crypto_checkout.services.loops import every
from crypto_checkout.store.data_folder import integrity, last_check
from crypto_checkout.store.database import Database

log = get_logger("integrity")

_EVERY_SECONDS = 600.0
_AGAIN_AFTER = timedelta(hours=20)
_AT_LATEST_AFTER = timedelta(hours=48)
_LOOKED_BACK = timedelta(days=7)
_LOWEST_PRIORITY = 19


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
            damage = await _check_slowly(self._db.path)
            if damage is not None:
                self._db.faults.note_damage(damage)
        with suppress(OSError):  # on a full disk; then the next turn checks again
            await asyncio.to_thread(last_check.note, self._folder, self._clock(), damage)

    async def _is_due(self) -> bool:
        now = self._clock()
        last = last_check.read(self._folder)
        if last is not None and not last[1]:
            return True
        age = now - (self._began_at if last is None else last[0])
        if age >= _AT_LATEST_AFTER or age < timedelta():
            return True
        if last is not None and age < _AGAIN_AFTER:
            return False
        return now.hour == await self._db.read(lambda unit: integrity.quiet_hour(unit, now - _LOOKED_BACK))


async def _check_slowly(path: Path) -> str | None:
    """Check a database on a thread of its own. Cancelling ends the check at its next step."""
    loop, stop = asyncio.get_running_loop(), threading.Event()
    result: asyncio.Future[str | None] = loop.create_future()

    def settle(set_result: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(lambda: None if result.done() else set_result())

    def check() -> None:
        with suppress(OSError):  # Linux has a priority for each thread; elsewhere the pauses must do
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)
        try:
            damage = integrity.check_in_slices(path, stop)
        except Exception as error:  # noqa: BLE001  # a loop's boundary: it is raised where the check was asked for
            failure = error
            settle(lambda: result.set_exception(failure))
        else:
            settle(lambda: result.set_result(damage))

    threading.Thread(target=check, name="integrity check", daemon=True).start()
    try:
        return await result
    finally:
        stop.set()
