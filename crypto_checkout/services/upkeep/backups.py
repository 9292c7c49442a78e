"""Make backups of the running server: when they are due by the newest one in the folder, or when the owner asks.

A process of its own does the work (`store.backups.worker`), one at a time. One that fails is tried again in an hour.
"""

import asyncio
import json
import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, BinaryIO

from crypto_checkout import metrics
from crypto_checkout.core.backups import next_due
from crypto_checkout.core.diagnosis.explanation import span
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.owner.audit import Action, Actor
from crypto_checkout.log import get_logger
from crypto_checkout.services.loops import every, pause
from crypto_checkout.services.owner.audit import record
from crypto_checkout.store.backups import folder as store
from crypto_checkout.store.backups import worker
from crypto_checkout.store.backups.folder import BackupFile
from crypto_checkout.store.backups.making import Job
from crypto_checkout.store.data_folder import life
from crypto_checkout.store.database import Database

log = get_logger("backup")

_TURN_SECONDS = 60.0
_AFTER_START_SECONDS = 30.0
_FIRST_AFTER = timedelta(hours=1)
_AGAIN_AFTER = timedelta(hours=1)
_LATE_PERIODS = 2
_LONGEST_LINE = 1 << 16


@dataclass(frozen=True, slots=True)
class BackupProgress:
    """The progress of the backup that is being made: its step (copying, checking, encrypting), and the part done."""

    step: str
    percent: int


@dataclass(frozen=True, slots=True)
class BackupFailure:
    """A backup that couldn't be made: when, and why, as sentences."""

    at: datetime
    words: str


@dataclass(frozen=True, slots=True)
class BackupsStatus:
    """The state of the backups.

    `newest` is the newest one that was checked, `next_at` when the next is due (None where none are made by
    themselves), `progress` that of the one being made now, and `failure` that of the last one, if it failed.
    """

    newest: BackupFile | None
    next_at: datetime | None
    progress: BackupProgress | None
    failure: BackupFailure | None
    is_late: bool


class Backups:
    """The loop that makes backups, and what the dashboard shows of them.

    Args:
        db: is backed up.
        job: what is copied, where to, and what is kept.
        every: the time from one to the next; None makes them only when the owner asks.
        clock: the wall clock.
        command: starts the process that makes one.

    """

    def __init__(
        self, db: Database, job: Job, *, every: timedelta | None, clock: Clock, command: Sequence[str]
    ) -> None:
        self._db = db
        self._job = job
        self._every = every
        self._clock = clock
        self._command = command
        self._woken = asyncio.Event()
        self._asked = False
        self._newest: BackupFile | None = None
        self._next_at: datetime | None = None
        self._progress: BackupProgress | None = None
        self._failure: BackupFailure | None = None
        self._unreadable: str | None = None
        metrics.BACKUP_AGE.set_function(self._age_seconds)
        metrics.BACKUP_BYTES.set_function(lambda: math.nan if self._newest is None else self._newest.size_bytes)

    async def run(self) -> None:
        """Take a turn soon after the start, when others have begun, and every minute, until cancelled."""
        await pause(_AFTER_START_SECONDS, self._woken)
        await every(_TURN_SECONDS, self.turn, log=log, failure="the backups can't be looked after", woken=self._woken)

    async def turn(self) -> None:
        """Make a backup if one is due, or asked for."""
        now = self._clock()
        await self._look(now)
        is_asked, self._asked = self._asked, False
        if not is_asked and not self._is_due(now):
            return
        self._progress = BackupProgress("copying", 0)
        try:
            told = await self._run_worker(now)
        finally:
            self._progress = None
        if "made" in told:
            self._failure = None
            log.info("a backup is made", backup=told["made"])
        elif not told.get("running"):  # the command line makes one: the next turn sees it
            self._failure = BackupFailure(now, told["failed"])
            metrics.BACKUP_FAILURES.inc()
            log.error("no backup could be made", error=told["failed"])
        await self._look(self._clock())

    def back_up_now(self) -> None:
        """Have a backup made now; it runs in the background, and `status` has its progress."""
        if self._progress is None:
            self._asked = True
            self._progress = BackupProgress("copying", 0)
            self._woken.set()

    def status(self) -> BackupsStatus:
        """Return the state of the backups, as of the last look at the folder."""
        return BackupsStatus(self._newest, self._next_at, self._progress, self._failure, self._is_late(self._clock()))

    async def listing(self) -> list[BackupFile]:
        """Return the backups, the newest first. Raises OSError if the folder can't be read."""
        return await asyncio.to_thread(store.listing, self._job.folder)

    async def open(self, name: str, actor: Actor) -> BinaryIO | None:
        """Open a backup for reading, for a download that the audit trail records; None without one of that name.

        It can be read to its end even if it is deleted meanwhile.
        """
        found = await asyncio.to_thread(store.find, self._job.folder, name, self._clock())
        if found is None:
            return None
        with ExitStack() as stack:
            try:
                file = stack.enter_context(found.path.open("rb"))
            except FileNotFoundError:
                return None
            await self._db.write(lambda unit: record(unit, actor, Action.BACKUP_DOWNLOADED, detail=found.name))
            stack.pop_all()
        return file

    def issue(self) -> str | None:
        """Return what is wrong with the backups, as sentences; None if nothing is."""
        if self._unreadable is not None:
            return self._unreadable
        if self._failure is not None:
            return f"The last backup failed. {self._failure.words}"
        now = self._clock()
        if not self._is_late(now):
            return None
        return (
            "There is no backup yet." if self._newest is None else f"The newest backup is {span(self._age(now))} old."
        )

    # --- when --------------------------------------------------------------------------------------------------------

    async def _look(self, now: datetime) -> None:
        """Look at the folder: other processes make backups too, and people delete some."""
        try:
            there = await self.listing()
        except OSError as error:
            there = []
            self._unreadable = f"The backups in {self._job.folder} can't be read: {error.strerror}."
        else:
            self._unreadable = None
        self._newest = next((each for each in there if each.is_verified and each.made_at <= now), None)
        if self._failure is not None and self._newest is not None and self._newest.made_at > self._failure.at:
            self._failure = None  # somebody made one by hand
        if self._every is None:
            return
        times = [each.made_at for each in there if each.is_verified]
        begun = await self._db.read(life.since) if not times else None
        self._next_at = next_due(times, now, self._every) if begun is None else begun + min(self._every, _FIRST_AFTER)

    def _is_due(self, now: datetime) -> bool:
        if self._next_at is None or now < self._next_at:
            return False
        return self._failure is None or not timedelta() <= now - self._failure.at < _AGAIN_AFTER

    def _is_late(self, now: datetime) -> bool:
        if self._every is None or self._next_at is None:
            return False
        return now - self._next_at > (_LATE_PERIODS - 1) * self._every

    def _age(self, now: datetime) -> timedelta:
        return timedelta() if self._newest is None else now - self._newest.made_at

    def _age_seconds(self) -> float:
        return math.nan if self._newest is None else self._age(self._clock()).total_seconds()

    # --- the process -------------------------------------------------------------------------------------------------

    async def _run_worker(self, at: datetime) -> dict[str, Any]:
        """Have the process make a backup; return what it told last. Ending the server ends it too."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=_LONGEST_LINE
            )
        except OSError as error:
            return {"failed": f"The process that makes it can't be started: {error.strerror or error}."}
        assert process.stdin is not None, "asked for above"
        assert process.stdout is not None, "asked for above"
        told: dict[str, Any] = {}
        try:
            process.stdin.write(worker.to_line(self._job, at))
            while line := await process.stdout.readline():
                told = json.loads(line)
                if "step" in told:
                    self._progress = BackupProgress(told["step"], told["percent"])
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            process.stdin.close()
        if "made" in told or "failed" in told:
            return told
        return {"failed": f"The process that makes it ended before it was complete (exit code {code})."}
