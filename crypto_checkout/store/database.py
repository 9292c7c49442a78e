"""Connections to SQLite, and the two calls through which all else uses them: `write(fn)` and `read(fn)`.

A unit of work is a synchronous function over one connection. It can't await, so the write lock is never held across
the network, and two units never interleave. The tables are described in the other modules of this room.
"""

import asyncio
import re
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import aiosqlite

from crypto_checkout.core import ids, moments
from crypto_checkout.core.errors import DatabaseDamaged, DatabaseFailed
from crypto_checkout.core.moments import Clock
from crypto_checkout.encryption import Cipher
from crypto_checkout.entropy import Entropy
from crypto_checkout.store.faults import Faults, as_failure
from crypto_checkout.store.secret_key import open_cipher

T = TypeVar("T")
U = TypeVar("U", bound="ReadUnit")
Row = sqlite3.Row
Value = str | int | None
Parameters = Mapping[str, Value]
_ENTROPY = Entropy()

_READERS = 3
_MOST_UNITS_PER_COMMIT = 500
_MOST_PLACEHOLDERS = 500
_BUSY_TIMEOUT_MS = 5_000
_KEPT_WAL_BYTES = 16 * 1024 * 1024
_TRANSACTION_CONTROL = re.compile(r"\s*(BEGIN|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE)\b", re.IGNORECASE)


def placeholders(values: Iterable[str]) -> tuple[str, dict[str, str]]:
    """Return the names of parameters for `IN (…)`, separated by commas, and the parameters themselves."""
    parameters = {f"v{place}": value for place, value in enumerate(values)}
    return ", ".join(f":{name}" for name in parameters), parameters


def batched(values: Iterable[str]) -> Iterator[Sequence[str]]:
    """Yield the values, sorted, in batches small enough for one `IN (…)`."""
    values = sorted(values)
    for start in range(0, len(values), _MOST_PLACEHOLDERS):
        yield values[start : start + _MOST_PLACEHOLDERS]


class ReadUnit:
    """A unit of work that reads: one snapshot of the database, and one frozen `now`."""

    def __init__(self, connection: sqlite3.Connection, now: datetime) -> None:
        self._connection = connection
        self.now = now

    @property
    def now_text(self) -> str:
        """`now` as tables store it."""
        return moments.to_text(self.now)

    def one(self, sql: str, parameters: Parameters | None = None) -> sqlite3.Row | None:
        """Return the first row, or None."""
        row: sqlite3.Row | None = self._execute(sql, parameters).fetchone()
        return row

    def all(self, sql: str, parameters: Parameters | None = None) -> list[sqlite3.Row]:
        """Return all rows."""
        return self._execute(sql, parameters).fetchall()

    def _execute(self, sql: str, parameters: Parameters | None) -> sqlite3.Cursor:
        """Run a statement inside the unit's transaction only."""
        if _TRANSACTION_CONTROL.match(sql):
            raise sqlite3.ProgrammingError(f"a unit of work doesn't control its transaction: {sql.strip()}")
        # On a full disk SQLite rolls back the whole transaction. A unit that caught the error and went on would
        # commit each further statement on its own.
        if not self._connection.in_transaction:
            raise sqlite3.OperationalError("the unit's transaction has ended")
        return self._connection.execute(sql, parameters or {})


class WriteUnit(ReadUnit):
    """A unit of work that writes: its own savepoint in a transaction that commits after the unit returns."""

    def __init__(self, connection: sqlite3.Connection, now: datetime) -> None:
        super().__init__(connection, now)
        self.callbacks: list[Callable[[], None]] = []

    def run(self, sql: str, parameters: Parameters | None = None) -> int:
        """Run a statement that changes rows; return the number of changed rows."""
        return self._execute(sql, parameters).rowcount

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Register a callback for when the unit is durable; if it fails, the callback is never called.

        It runs on the event loop in the caller's context, before the caller resumes. Its exceptions go to the loop's
        handler.
        """
        self.callbacks.append(callback)

    def new_id(self, prefix: str) -> str:
        """Return a new public id with the unit's time."""
        return ids.make(prefix, self.now, _ENTROPY.take(ids.ENTROPY_BYTES))


@dataclass(slots=True)
class _QueuedUnit(Generic[T]):
    """A write unit in the queue, and the future that its caller awaits."""

    work: Callable[[WriteUnit], T]
    future: asyncio.Future[T]
    context: Context = field(default_factory=copy_context)


@dataclass(slots=True)
class _Outcome(Generic[T]):
    """The outcome of a unit: its result and callbacks, or its error."""

    result: T | None = None
    error: BaseException | None = None
    callbacks: list[Callable[[], None]] = field(default_factory=list)


@dataclass(slots=True)
class _Group:
    """Units that share a transaction, and their outcomes once they ran."""

    units: list[_QueuedUnit[Any]]
    clock: Clock
    outcomes: list[_Outcome[Any]] | None = None

    def run(self, connection: sqlite3.Connection) -> None:
        """Run the units, once. If the transaction itself fails, no unit has any effect."""
        if self.outcomes is None:
            try:
                self.outcomes = _run_units(connection, self.units, self.clock)
            except BaseException as error:  # noqa: BLE001  # passed to each caller  # a loop's boundary
                self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Give each unit its own error: tasks that raise a shared one would all extend its traceback."""
        self.outcomes = []
        for _ in self.units:
            kind = DatabaseDamaged if isinstance(as_failure(error), DatabaseDamaged) else DatabaseFailed
            failure = kind(f"the database took nothing of it: {error}")
            failure.__cause__ = error
            self.outcomes.append(_Outcome(error=failure))

    def answer(self) -> None:
        """Resume the callers. The callbacks of a stored unit run even if its caller was cancelled."""
        loop = asyncio.get_running_loop()
        for unit, outcome in zip(self.units, self.outcomes or (), strict=True):
            for callback in outcome.callbacks:
                loop.call_soon(callback, context=unit.context)
            if unit.future.done():
                continue
            if outcome.error is not None:
                unit.future.set_exception(outcome.error)
            else:
                unit.future.set_result(outcome.result)


@dataclass(slots=True)
class _Reader:
    """A read-only connection. Its thread counts finished units, because a unit runs on when its caller is cancelled."""

    connection: aiosqlite.Connection
    started: int = 0
    finished: int = 0

    def run(self, connection: sqlite3.Connection, work: Callable[[ReadUnit], T], clock: Clock) -> T:
        """Run a unit in one snapshot, on the connection's thread."""
        try:
            connection.execute("BEGIN")
            return _call(work, ReadUnit(connection, clock()))
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_READONLY:
                raise  # the unit tried to write: a bug, and no fault of the storage
            raise as_failure(error) from error
        finally:
            self.finished += 1
            if connection.in_transaction:
                connection.execute("ROLLBACK")


class Database:
    """One writer with group commit, and a few read-only readers, on an already migrated file.

    Use `Database.open` and `close`, or `async with`.
    """

    def __init__(
        self,
        writer: aiosqlite.Connection,
        readers: Sequence[aiosqlite.Connection],
        clock: Clock,
        connections: AsyncExitStack,
        path: Path,
    ) -> None:
        self.path = path
        self._writer = writer
        self._readers = [_Reader(connection) for connection in readers]
        self._clock = clock
        self._connections = connections
        self._queue: deque[_QueuedUnit[Any]] = deque()
        self._drain: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self.faults = Faults()

    @classmethod
    async def open(cls, path: Path, clock: Clock) -> Self:
        """Open the connections; the file must exist and be migrated (see `store.migrate`).

        The clock is read on the connections' threads. Raises DatabaseFailed if the storage refuses.
        """
        async with AsyncExitStack() as connections:
            try:
                writer = await _connect(connections, path, read_only=False)
                readers = [await _connect(connections, path, read_only=True) for _ in range(_READERS)]
            except sqlite3.Error as error:
                raise as_failure(error) from error
            return cls(writer, readers, clock, connections.pop_all(), path)

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

    async def write(self, work: Callable[[WriteUnit], T]) -> T:
        """Run a unit in a transaction and return its result once it is durable.

        Queued units share one transaction, each in its own savepoint, and one fsync. An exception of the unit is
        raised here, and its changes are undone. If the caller is cancelled, the unit is either complete or not run.

        Raises:
            DatabaseFailed: The storage failed (the disk is full, a page is damaged, another process held the lock for
                too long), and the unit's changes are undone.
            sqlite3.ProgrammingError: The database is closed.

        """
        self._refuse_if_closed()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.append(_QueuedUnit(work, future))
        self._start_drain()
        try:
            result = await future
        except DatabaseFailed as error:
            self.faults.note_failure(error)
            raise
        self.faults.note_success()
        return result

    async def read(self, work: Callable[[ReadUnit], T]) -> T:
        """Run a unit in one snapshot and return its result; SQLite refuses writes in it."""
        self._refuse_if_closed()
        reader = min(self._readers, key=lambda reader: reader.started - reader.finished)
        reader.started += 1
        try:
            return await _on_thread(reader.connection, reader.run, work, self._clock)
        except DatabaseFailed as error:
            self.faults.note_failure(error)
            raise

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
            group = [self._queue.popleft() for _ in range(min(len(self._queue), _MOST_UNITS_PER_COMMIT))]
            await self._run_group(_Group([unit for unit in group if not unit.future.done()], self._clock))

    async def _run_group(self, group: _Group) -> None:
        """Run a group on the writer's thread, and resume its callers.

        When the event loop ends, it cancels every task including this one, while the thread goes on and may commit.
        Callers still need the outcome, so the task returns to the thread until it is known.
        """
        while group.units and group.outcomes is None:
            with suppress(asyncio.CancelledError):
                try:
                    await _on_thread(self._writer, group.run)
                except ValueError as error:  # aiosqlite raises it for a closed connection
                    group.fail(error)
        group.answer()

    async def _close(self) -> None:
        async with self._connections:
            while self._drain is not None and not self._drain.done():
                await asyncio.wait({self._drain})


async def _connect(connections: AsyncExitStack, path: Path, *, read_only: bool) -> aiosqlite.Connection:
    """Open a connection and register its closing; the writer closes last, and so checkpoints the WAL."""
    connection = aiosqlite.connect(_uri(path, "ro" if read_only else "rw"), uri=True, isolation_level=None)
    connections.push_async_callback(_disconnect, connection)
    await connection
    await _on_thread(connection, _prepare, read_only)
    return connection


def _uri(path: Path, mode: str) -> str:
    return f"{path.absolute().as_uri()}?mode={mode}"


async def _disconnect(connection: aiosqlite.Connection) -> None:
    await connection.close()
    # After a failed connect, the thread still reports to the loop, which may be about to close.
    connection._thread.join()  # noqa: SLF001


def _prepare(connection: sqlite3.Connection, read_only: bool) -> None:
    connection.row_factory = sqlite3.Row
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA foreign_keys = ON")
    if read_only:
        return
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: a confirmed commit survives a power cut. Losing one would give out an address twice.
    connection.execute("PRAGMA synchronous = FULL")
    # The log is reused from its start; without this limit it would stay as large as one large write has made it.
    connection.execute(f"PRAGMA journal_size_limit = {_KEPT_WAL_BYTES}")


async def _on_thread(connection: aiosqlite.Connection, work: Callable[..., T], *arguments: object) -> T:
    """Run a function with the raw connection on aiosqlite's thread: one hop for a whole unit.

    `_execute` is private, so pyproject.toml bounds the version of aiosqlite and a test pins its behaviour.
    """
    result: T = await connection._execute(work, connection._conn, *arguments)  # type: ignore[no-untyped-call]  # noqa: SLF001
    return result


def _call(work: Callable[[U], T], unit: U) -> T:
    try:
        return work(unit)
    except StopIteration as error:  # a future can't hold one (PEP 479): the caller would wait for ever
        raise RuntimeError("a unit of work raised StopIteration") from error


def _run_units(connection: sqlite3.Connection, units: Sequence[_QueuedUnit[Any]], clock: Clock) -> list[_Outcome[Any]]:
    """Run units in one transaction. If the transaction itself fails, raise its error; no unit has any effect then."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        outcomes = [_run_unit(connection, waiting, clock()) for waiting in units]
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return outcomes


def _run_unit(connection: sqlite3.Connection, waiting: _QueuedUnit[Any], now: datetime) -> _Outcome[Any]:
    """Run a unit in a savepoint. Raise if SQLite rolled back the whole transaction, earlier units included."""
    if waiting.future.cancelled():
        return _Outcome()
    connection.execute("SAVEPOINT unit")
    unit = WriteUnit(connection, now)
    try:
        result = _call(waiting.work, unit)
    except BaseException as error:  # passed to the caller  # a loop's boundary
        if not connection.in_transaction:
            raise
        connection.execute("ROLLBACK TO unit")
        connection.execute("RELEASE unit")
        return _Outcome(error=as_failure(error))
    connection.execute("RELEASE unit")
    return _Outcome(result=result, callbacks=unit.callbacks)
