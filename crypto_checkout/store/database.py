"""The database: the two calls through which all else uses it, `write(fn)` and `read(fn)`.

A unit of work is a synchronous function over one connection. It can't await, so the write lock is never held across
the network, and two units never interleave. The tables are described in the other modules of this room, and each engine
has a folder: `store.sqlite`, `store.postgresql`.

A *quick* unit takes a few rows by an index, however large the tables are. On SQLite it runs on the event loop: a row
costs some 10 µs there, and the way to a thread and back 40 to 300. Nothing waits there, for a lock or the disk's
confirmation, and a unit that isn't quick after all is interrupted and starts again on a thread. All others run on
threads.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import Context
from functools import cached_property, partial
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from crypto_checkout.core.errors import DatabaseFailed, LeaderChanged
from crypto_checkout.core.moments import Clock
from crypto_checkout.encryption import Cipher
from crypto_checkout.log import get_logger
from crypto_checkout.store.faults import Faults
from crypto_checkout.store.group_commit import Group, QueuedUnit
from crypto_checkout.store.place import DatabaseServer, path_of
from crypto_checkout.store.secret_key import open_cipher
from crypto_checkout.store.signals import Signals
from crypto_checkout.store.sqlite.engine import SqliteEngine
from crypto_checkout.store.units import Parameters, ReadUnit, Row, Value, WriteUnit, batched, placeholders

__all__ = ["Database", "Parameters", "ReadUnit", "Row", "Value", "WriteUnit", "batched", "placeholders"]

log = get_logger("database")

T = TypeVar("T")

_MOST_UNITS_PER_COMMIT = 500
_MOST_QUICK_UNITS = 64
_QUIET_TURNS = 3
_NO_CONTEXT = Context()


class Engine(Protocol):
    """The connections of an engine."""

    def begin(self, group: Group) -> Sequence[QueuedUnit[Any]]:
        """Begin a group of quick units on the event loop, where that is worth it; return those that are left."""

    async def finish(self, group: Group) -> None:
        """Commit a group, or fail it, once, however often this is cancelled and called again."""

    async def read(self, work: Callable[[ReadUnit], T], clock: Clock, *, quick: bool) -> T:
        """Run a unit in one snapshot."""

    def version(self) -> int | None:
        """Return a number that every commit changes, those of other processes too; None if it can't be told now."""

    def processes(self) -> int:
        """Return the number of processes that serve this database, this one included."""

    def data_id(self) -> str:
        """Return the data's id, as `Database.data_id` says."""

    def before_writing(self, work: Callable[[WriteUnit, bool], None], clock: Clock) -> None:
        """Run a unit first in another incarnation of the server, as `Database.before_writing` says."""

    async def close(self) -> None:
        """Close the connections."""


class Database:
    """Units of work on an already migrated database: writes with group commit, and reads beside them.

    Use `Database.open` and `close`, or `async with`.
    """

    def __init__(self, engine: Engine, clock: Clock, path: Path, signals: Signals) -> None:
        self.path = path
        self.signals = signals
        self.faults = Faults()
        self._engine = engine
        self._clock = clock
        self._queue: deque[QueuedUnit[Any]] = deque()
        self._drain: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._before_commit: list[Callable[[], None]] = []
        self._version_of_turn: int | None = None

    @classmethod
    async def open(cls, place: Path | DatabaseServer, clock: Clock, *, serves: bool = False) -> Self:
        """Open a file or a server's database, which must be migrated (see `store.migrate`).

        The clock is read on the event loop and on threads. While any process `serves` a server's database, its tables
        aren't changed. Only one process serves a file, as `store.data_folder.lock` sees to, and makes its checkpoints.

        Raises:
            DatabaseFailed: The storage refuses.
            FatalError: Another process is changing the tables.

        """
        signals = Signals()
        if isinstance(place, Path):
            return cls(await SqliteEngine.open(place, serves=serves), clock, place, signals)
        from crypto_checkout.store.postgresql.engine import PostgresqlEngine

        engine = await PostgresqlEngine.open(place, signals.receive, serves=serves)
        return cls(engine, clock, path_of(place), signals)

    @cached_property
    def cipher(self) -> Cipher:
        """The cipher of the secrets in it; the key is in a file beside it (`store.secret_key`), made on first use."""
        return open_cipher(self.path.parent)

    async def close(self) -> None:
        """Finish the queued units, then close the connections, even if the caller is cancelled meanwhile.

        Closing again is safe: it waits for the first call.
        """
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="database close")
        await asyncio.shield(self._closing)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def write(self, work: Callable[[WriteUnit], T], *, quick: bool = False) -> T:
        """Run a unit in a transaction and return its result once it is durable.

        Queued units share one transaction and one fsync. An exception of the unit is raised here, and its changes alone
        are undone. If the caller is cancelled, the unit is either complete or not run. A quick one may run twice: then
        nothing stays of the first time.

        Raises:
            OutcomeUnknown: It isn't known whether the unit was stored: the database server was lost meanwhile.
            DatabaseFailed: The storage failed (the disk is full, a page is damaged, another process held the lock for
                too long), and the unit's changes are undone.
            LeaderChanged: The task leads (`store.group_commit.TERM`), and its term is over; nothing was written.
            sqlite3.ProgrammingError: The database is closed.

        """
        self._refuse_if_closed()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.append(QueuedUnit(work, future, quick))
        self._start_drain()
        try:
            result = await future
        except LeaderChanged:
            raise  # no fault of the database
        except DatabaseFailed as error:
            self.faults.note_failure(error)
            raise
        self.faults.note_success()
        return result

    async def read(self, work: Callable[[ReadUnit], T], *, quick: bool = False) -> T:
        """Run a unit in one snapshot and return its result; writes in it are refused. A quick one may run twice."""
        self._refuse_if_closed()
        try:
            return await self._engine.read(work, self._clock, quick=quick)
        except DatabaseFailed as error:
            self.faults.note_failure(error)
            raise

    def version(self) -> int | None:
        """Return a number that every commit changes, those of other processes too; None if it can't be told now.

        What was read after it was told still holds while it is the same. Commits count once they are durable. The
        engine is asked once in a turn of the event loop: what a turn answers had arrived before it began, so nobody who
        asks can know of a later commit.
        """
        if self._version_of_turn is None:
            self._version_of_turn = self._engine.version()
            if self._version_of_turn is not None:
                asyncio.get_running_loop().call_soon(self._end_turn, context=_NO_CONTEXT)
        return self._version_of_turn

    def data_id(self) -> str:
        """Return the id of a server's data, which changes with a restore and with a failover; "" for a file."""
        return self._engine.data_id()

    def before_writing(self, work: Callable[[WriteUnit, bool], None]) -> None:
        """Have a unit run before anything is written after the server was restarted, restored, or failed over to.

        It is told whether other data are there than before, and registers no callbacks. Never for a file.
        """
        self._engine.before_writing(work, self._clock)

    def before_commit(self, store: Callable[[], None]) -> None:
        """Have a function called on a thread before each commit, to store elsewhere what must be there by then.

        If it raises, nothing is committed.
        """
        self._before_commit.append(store)

    def processes(self) -> int:
        """Return the number of processes that serve this database, this one included; always 1 for a file."""
        return self._engine.processes()

    def _end_turn(self) -> None:
        self._version_of_turn = None

    def _refuse_if_closed(self) -> None:
        if self._closing is not None:
            raise sqlite3.ProgrammingError("the database is closed")

    def _start_drain(self, _: object = None) -> None:
        """Make sure that a task empties the queue: one that was cancelled before its first step has done nothing."""
        if self._queue and (self._drain is None or self._drain.done()):
            # In its own context, so that it inherits nothing from the first caller.
            self._drain = asyncio.create_task(self._drain_queue(), name="database writer", context=Context())
            self._drain.add_done_callback(self._start_drain)

    async def _drain_queue(self) -> None:
        while self._queue:
            await self._gather()
            is_quick, alike = next(groupby(self._queue, attrgetter("is_quick")))
            units = list(islice(alike, _MOST_QUICK_UNITS if is_quick else _MOST_UNITS_PER_COMMIT))
            for _ in units:
                self._queue.popleft()
            group = Group([unit for unit in units if not unit.future.done()], self._clock, is_quick)
            group.before_commit = self._before_commit
            group.joining = partial(self._another, group)
            await self._run_group(group)

    def _another(self, group: Group) -> QueuedUnit[Any] | None:
        """Take one more unit for a group; it is called on the writer's thread, while nobody else takes any."""
        is_full = len(group.units) >= _MOST_QUICK_UNITS
        if is_full or not self._queue or self._queue[0].is_quick != group.is_quick:
            return None
        return self._queue.popleft()

    async def _gather(self) -> None:
        """Let units join that are on their way, as those of requests that have arrived: a commit costs all the same.

        This lasts until none has come for some turns of the loop, so a unit on its own hardly waits.
        """
        seen = quiet = 0
        while quiet < _QUIET_TURNS and len(self._queue) < _MOST_QUICK_UNITS:
            quiet = quiet + 1 if len(self._queue) == seen else 0
            seen = len(self._queue)
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)

    async def _run_group(self, group: Group) -> None:
        """Run a group, and resume its callers whatever happens: otherwise they would wait for ever."""
        try:
            if group.is_quick and group.units:
                self._queue.extendleft(reversed(self._engine.begin(group)))
            await self._finish(group)
        except Exception as error:  # a loop's boundary
            log.exception("a commit went wrong", error=str(error))
            if group.outcomes is None:
                group.fail(error)
        group.end_joining()
        group.answer()

    async def _finish(self, group: Group) -> None:
        """Finish a group where it commits.

        When the event loop ends, it cancels every task including this one, while the thread goes on and may commit.
        Callers still need the outcome, and the next group the connection, so the task returns to the thread until that
        is done; to finish twice changes nothing.
        """
        is_over = not group.units
        while not is_over:
            with suppress(asyncio.CancelledError):
                await self._engine.finish(group)
                is_over = True

    async def _close(self) -> None:
        try:
            while self._drain is not None and not self._drain.done():
                await asyncio.wait({self._drain})
        finally:
            await self._engine.close()
