"""Keep what a restore may not undo: API keys stay revoked, and logins of before have ended.

`crypto-checkout restore` sees to that itself. This is for databases that are restored in other ways, with the tools of
a PostgreSQL server for example: each process records beside the database what was revoked and how far it had come
(`store.data_folder.restore_guard`), and compares at its next start, and while it runs: a server's database can be
replaced under it. Addresses have records of their own (`services.checkout.wallet_start`).
"""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from crypto_checkout.core.errors import DatabaseFailed
from crypto_checkout.log import RepeatedLine, get_logger
from crypto_checkout.services.loops import every
from crypto_checkout.services.owner import api_keys
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.data_folder import restore_guard as records
from crypto_checkout.store.data_folder.restore_guard import LastNumbers
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.upkeep import restore_guard as store

log = get_logger("database")

_EVERY_SECONDS = 1.0
_REFUSED = "what a restore may not undo could not be recorded"
_IN_DOUBT = (
    "the database was restored or has failed over, or other processes have used it, since this one ran last, and none "
    "of them leads now: this data folder can't tell what the database lacks. So addresses are passed over, and all "
    "logins to the dashboard have ended. After a restore, first start a process that ran until the end"
)


class RestoreGuard:
    """The loop of each process that records it, and what it does at the start."""

    def __init__(self, db: Database, folder: Path, events: Outbox) -> None:
        self._db = db
        self._folder = folder
        self._events = events
        self._revoked: frozenset[str] = frozenset()
        self._numbers: LastNumbers | None = None
        self._version: int | None = None
        self._refusals = RepeatedLine()

    async def apply(self, *, is_led: bool) -> bool:
        """Make a database safe that was restored to an earlier state, before it is served. Repeating is safe.

        `is_led` tells whether another process leads there, which has made sure of it. Where none does, and others have
        used the database since this folder's records were kept, or the server's data are others, it may lack what they
        have written, and is made safe as well. Return False then: nobody knows how far addresses were given out.
        """
        self._revoked = await asyncio.to_thread(records.revoked_keys, self._folder)
        self._numbers = await asyncio.to_thread(records.last_numbers, self._folder)
        known, now = self._numbers, await self._db.read(self._last_numbers)
        has_missed = not is_led and known is not None and now is not None and known.has_missed_some(now)
        await self._make_safe(in_doubt=has_missed)
        return not has_missed

    def before_writing(self, unit: WriteUnit, is_other_data: bool) -> bool:
        """Make a database safe that was restored while its server was down, or that may lack a moment after a failover.

        Return whether it was: it may lack what others have written in the last second.
        """
        known, now = self._numbers, store.last_numbers(unit)
        if known is None or now is None:
            return False
        if known.are_lost_in(now):
            self._say_restored(store.make_safe(unit, known, now))
            return True
        if is_other_data and now.since == known.since:  # else another process has done it
            store.pass_numbers_over(unit, known, now)
            return True
        return False

    def record_revoked(self, key_id: str) -> None:
        """Record the revocation of a key at once."""
        if key_id not in self._revoked:
            try:
                records.add_revoked_keys(self._folder, {key_id})
            except OSError as error:
                log.warning(_REFUSED, error=str(error), times=1)  # the next turn tries again
            else:
                self._revoked |= {key_id}

    async def _make_safe(self, *, in_doubt: bool = False) -> None:
        known, now = self._numbers, await self._db.read(self._last_numbers)
        if known is not None and now is not None and (in_doubt or known.are_lost_in(now)):
            ended = await self._db.write(lambda unit: store.make_safe(unit, known, now))
            if in_doubt and not known.are_lost_in(now):
                log.critical(_IN_DOUBT, logins=ended)
            else:
                self._say_restored(ended)
        await self._revoke_again()

    async def _revoke_again(self) -> None:
        """Revoke the keys that work although they are on record as revoked."""
        recorded = self._revoked
        if not await self._db.read(lambda unit: store.keys_that_work_again(unit, recorded)):
            return
        if again := await self._db.write(lambda unit: self._revoke(unit, recorded)):
            log.critical(
                "API keys worked again that had been revoked: they are revoked once more. The database was restored to "
                "an earlier state, or a failover lost the last moment",
                keys=again,
            )

    def _say_restored(self, logins: int) -> None:
        log.critical(
            "the database was restored to an earlier state: all logins to the dashboard have ended. Its password, "
            "second factor, webhook endpoints and their secrets are those of then: change what you have changed "
            "since. API keys made since are gone",
            logins=logins,
        )

    async def run(self) -> None:
        """Record it within a second, and at the end, until cancelled."""
        try:
            await every(_EVERY_SECONDS, self.record, log=log, failure=_REFUSED)
        finally:
            with suppress(DatabaseFailed):  # logged
                await self.record()

    async def record(self) -> None:
        """Take a turn; where the folder takes nothing, as on a full disk, the next one tries again."""
        try:
            await self.turn()
        except OSError as error:
            if (times := self._refusals.due()) is not None:
                log.warning(_REFUSED, error=str(error), times=times)

    async def turn(self) -> None:
        """Record what has changed since the last turn."""
        version = self._db.version()
        if version is not None and version == self._version:
            return
        revoked, numbers = await self._db.read(lambda unit: (store.revoked_keys(unit), self._last_numbers(unit)))
        if self._numbers is not None and numbers is not None and self._numbers.are_events_lost_in(numbers):
            await self._make_safe()
            return
        if self._revoked - revoked:
            await self._revoke_again()  # also where this or another process has made the database safe meanwhile
        if added := revoked - self._revoked:
            await asyncio.to_thread(records.add_revoked_keys, self._folder, added)
            self._revoked |= added
        if numbers is not None and numbers != self._numbers:
            records.note_last_numbers(self._folder, numbers)
            self._numbers = numbers
        self._version = version

    def _last_numbers(self, unit: ReadUnit) -> LastNumbers | None:
        numbers = store.last_numbers(unit)
        return None if numbers is None else replace(numbers, data_id=self._db.data_id())

    def _revoke(self, unit: WriteUnit, recorded: Collection[str]) -> list[str]:
        again = store.keys_that_work_again(unit, recorded)
        for each in again:
            api_keys.revoke(unit, self._events, each)
        return again
