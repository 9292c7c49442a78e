"""Connections to SQLite, and the two calls through which all else uses them: `write(fn)` and `read(fn)`.

A unit of work is a synchronous function over one connection. It can't await, so the write lock is never held across
the network, and two units never interleave. The tables are described in the other modules of this room.

A *quick* unit takes a few rows by an index, however large the tables are. It runs on the event loop: a row costs some
10 µs there, and the way to a thread and back 40 to 300. Nothing waits there, for a lock or the disk's confirmation, and
a unit that isn't quick after all is interrupted and starts again on a thread. All others run on threads.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from contextvars import Context
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Self, TypeVar

import aiosqlite

from crypto_checkout.core.errors import DatabaseFailed
from crypto_checkout.core.moments import Clock
from crypto_checkout.encryption import Cipher
from crypto_checkout.store.faults import Faults, as_failure
from crypto_checkout.store.group_commit import BUSY_TIMEOUT_MS, Group, QueuedUnit, StepLimit, belongs_on_a_thread
from crypto_checkout.store.secret_key import open_cipher
from crypto_checkout.store.units import Parameters, ReadUnit, Row, Value, WriteUnit, batched, call, placeholders

__all__ = ["Database", "Parameters", "ReadUnit", "Row", "Value", "WriteUnit", "batched", "placeholders"]

T = TypeVar("T")

_READERS = 3
_MOST_UNITS_PER_COMMIT = 500
_MOST_QUICK_UNITS = 64
_QUIET_TURNS = 3
_KEPT_WAL_BYTES = 16 * 1024 * 1024
_NO_CONTEXT = Context()


@dataclass(slots=True)
class _Reader:
    """A read-only connection. Its thread counts finished units, because a unit runs on when its caller is cancelled."""

    connection: aiosqlite.Connection
    started: int = 0
    finished: int = 0

    def run(self, connection: sqlite3.Connection, work: Callable[[ReadUnit], T], clock: Clock) -> T:
        """Run a unit in one snapshot, on the connection's thread."""
        try:
            return _run(connection, work, clock)
        except sqlite3.Error as error:
            raise _read_failure(error) from error
        finally:
            self.finished += 1


class _QuickReader:
    """The read-only connection of the event loop."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._limit = StepLimit(connection)

    def run(self, work: Callable[[ReadUnit], T], clock: Clock) -> T:
        """Run a unit in one snapshot. Raises errors of SQLite as they are."""
        return _run(self._connection, work, clock, self._limit.call)

    def version(self) -> int:
        """Return SQLite's counter of other connections' commits."""
        row: tuple[int] = self._connection.execute("PRAGMA data_version").fetchone()
        return row[0]


class Database:
    """One writer with group commit, and a few read-only readers, on an already migrated file.

    Use `Database.open` and `close`, or `async with`.
    """

    def __init__(
        self,
        writer: aiosqlite.Connection,
        readers: Sequence[aiosqlite.Connection],
        quick_reader: sqlite3.Connection,
        clock: Clock,
        connections: AsyncExitStack,
        path: Path,
    ) -> None:
        self.path = path
        self._writer = writer
        self._readers = [_Reader(connection) for connection in readers]
        self._quick_reader = _QuickReader(quick_reader)
        self._clock = clock
        self._connections = connections
        self._queue: deque[QueuedUnit[Any]] = deque()
        self._drain: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._version_of_turn: int | None = None
        self.faults = Faults()

    @classmethod
    async def open(cls, path: Path, clock: Clock) -> Self:
        """Open the connections; the file must exist and be migrated (see `store.migrate`).

        The clock is read on the event loop and on threads. Raises DatabaseFailed if the storage refuses.
        """
        async with AsyncExitStack() as connections:
            try:
                writer = await _connect(connections, path, read_only=False)
                readers = [await _connect(connections, path, read_only=True) for _ in range(_READERS)]
                quick_reader = _connect_here(connections, path)
            except sqlite3.Error as error:
                raise as_failure(error) from error
            return cls(writer, readers, quick_reader, clock, connections.pop_all(), path)

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

        Queued units share one transaction, each in its own savepoint, and one fsync. An exception of the unit is
        raised here, and its changes are undone. If the caller is cancelled, the unit is either complete or not run.
        A quick one may run twice: then nothing stays of the first time.

        Raises:
            DatabaseFailed: The storage failed (the disk is full, a page is damaged, another process held the lock for
                too long), and the unit's changes are undone.
            sqlite3.ProgrammingError: The database is closed.

        """
        self._refuse_if_closed()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.append(QueuedUnit(work, future, quick))
        self._start_drain()
        try:
            result = await future
        except DatabaseFailed as error:
            self.faults.note_failure(error)
            raise
        self.faults.note_success()
        return result

    async def read(self, work: Callable[[ReadUnit], T], *, quick: bool = False) -> T:
        """Run a unit in one snapshot and return its result; SQLite refuses writes in it. A quick one may run twice."""
        self._refuse_if_closed()
        if quick:
            try:
                return self._quick_reader.run(work, self._clock)
            except DatabaseFailed as error:
                self.faults.note_failure(error)
                raise
            except sqlite3.Error as error:
                if not belongs_on_a_thread(error):
                    failure = _read_failure(error)
                    if isinstance(failure, DatabaseFailed):
                        self.faults.note_failure(failure)
                    raise failure from error
        reader = min(self._readers, key=lambda reader: reader.started - reader.finished)
        reader.started += 1
        try:
            return await _on_thread(reader.connection, reader.run, work, self._clock)
        except DatabaseFailed as error:
            self.faults.note_failure(error)
            raise

    def version(self) -> int | None:
        """Return a number that every commit changes, those of other processes too; None if it can't be told now.

        What was read after it was told still holds while it is the same. Commits count once they are durable. SQLite is
        asked once in a turn of the event loop: what a turn answers had arrived before it began, so nobody who asks
        can know of a later commit.
        """
        self._refuse_if_closed()
        if self._version_of_turn is None:
            with suppress(sqlite3.Error):
                self._version_of_turn = self._quick_reader.version()
                asyncio.get_running_loop().call_soon(self._end_turn, context=_NO_CONTEXT)
        return self._version_of_turn

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
            is_quick = all(unit.is_quick for unit in islice(self._queue, _MOST_QUICK_UNITS))
            most = min(len(self._queue), _MOST_QUICK_UNITS if is_quick else _MOST_UNITS_PER_COMMIT)
            units = [self._queue.popleft() for _ in range(most)]
            group = Group([unit for unit in units if not unit.future.done()], self._clock)
            if is_quick and group.units:
                left = group.begin(self._writer._conn)  # noqa: SLF001 - as in `_on_thread`
                self._queue.extendleft(reversed(left))
            await self._run_group(group)

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
        """Finish a group on the writer's thread, and resume its callers.

        When the event loop ends, it cancels every task including this one, while the thread goes on and may commit.
        Callers still need the outcome, so the task returns to the thread until it is known.
        """
        while group.units and group.outcomes is None:
            with suppress(asyncio.CancelledError):
                try:
                    await _on_thread(self._writer, group.finish)
                except ValueError as error:  # aiosqlite raises it for a closed connection
                    group.fail(error)
        group.answer()

    async def _close(self) -> None:
        async with self._connections:
            while self._drain is not None and not self._drain.done():
                await asyncio.wait({self._drain})


async def _connect(connections: AsyncExitStack, path: Path, *, read_only: bool) -> aiosqlite.Connection:
    """Open a connection and register its closing; the writer closes last, and so checkpoints the WAL."""
    connection = aiosqlite.connect(
        _uri(path, "ro" if read_only else "rw"),
        uri=True,
        isolation_level=None,
        check_same_thread=read_only,  # the writer is used on its thread and on the event loop, in turns
    )
    connections.push_async_callback(_disconnect, connection)
    await connection
    await _on_thread(connection, _prepare, read_only)
    return connection


def _connect_here(connections: AsyncExitStack, path: Path) -> sqlite3.Connection:
    """Open the event loop's own connection, which never waits."""
    connection = sqlite3.connect(_uri(path, "ro"), uri=True, isolation_level=None)
    connections.callback(connection.close)
    _prepare(connection, read_only=True)
    connection.execute("PRAGMA busy_timeout = 0")
    return connection


def _uri(path: Path, mode: str) -> str:
    return f"{path.absolute().as_uri()}?mode={mode}"


async def _disconnect(connection: aiosqlite.Connection) -> None:
    await connection.close()
    # After a failed connect, the thread still reports to the loop, which may be about to close.
    connection._thread.join()  # noqa: SLF001


def _prepare(connection: sqlite3.Connection, read_only: bool) -> None:
    connection.row_factory = sqlite3.Row
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA foreign_keys = ON")
    if read_only:
        # Opens the log now, which a first query would: later there may be no file descriptor left for it.
        connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
        return
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: a confirmed commit survives a power cut. Losing one would give out an address twice.
    connection.execute("PRAGMA synchronous = FULL")
    # The log is reused from its start; without this limit it would stay as large as one large write has made it.
    connection.execute(f"PRAGMA journal_size_limit = {_KEPT_WAL_BYTES}")
    # In memory: a write needs no second disk, which may be full, and no file descriptor, of which none may be left.
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA busy_timeout = 0")  # a group on the thread sets its own


async def _on_thread(connection: aiosqlite.Connection, work: Callable[..., T], *arguments: object) -> T:
    """Run a function with the raw connection on aiosqlite's thread: one hop for a whole unit.

    `_execute` is private, so pyproject.toml bounds the version of aiosqlite and a test pins its behaviour.
    """
    result: T = await connection._execute(work, connection._conn, *arguments)  # type: ignore[no-untyped-call]  # noqa: SLF001
    return result


def _run(
    connection: sqlite3.Connection,
    work: Callable[[ReadUnit], T],
    clock: Clock,
    run: Callable[[Callable[[ReadUnit], T], ReadUnit], T] = call,
) -> T:
    """Run a unit that reads in one snapshot."""
    try:
        connection.execute("BEGIN")
        return run(work, ReadUnit(connection, clock()))
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _read_failure(error: sqlite3.Error) -> BaseException:
    """Return the error of a unit that reads; one that tried to write is a bug, and no fault of the storage."""
    return error if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_READONLY else as_failure(error)
