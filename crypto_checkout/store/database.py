"""The connections to SQLite and the two calls that everything else uses: `write(fn)` and `read(fn)`.

A unit of work is a synchronous function over one connection. It can't await, so nothing holds the write lock across
the network, and two units never interleave. What the tables mean is in the other modules of this room.
"""

import asyncio
import secrets
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import aiosqlite

from crypto_checkout.core import ids, moments

T = TypeVar("T")
Parameters = dict[str, str | int | None]
Clock = Callable[[], datetime]

_READERS = 3
_MOST_UNITS_PER_COMMIT = 500
_BUSY_TIMEOUT_MS = 5_000


class ReadUnit:
    """What a reading unit of work sees: one snapshot of the database, and one frozen `now`."""

    def __init__(self, connection: sqlite3.Connection, now: datetime) -> None:
        self._connection = connection
        self.now = now

    @property
    def now_text(self) -> str:
        """`now` as the tables hold it."""
        return moments.to_text(self.now)

    def one(self, sql: str, parameters: Parameters | None = None) -> sqlite3.Row | None:
        """Return the first row, or None."""
        row: sqlite3.Row | None = self._connection.execute(sql, parameters or {}).fetchone()
        return row

    def all(self, sql: str, parameters: Parameters | None = None) -> list[sqlite3.Row]:
        """Return all rows."""
        return self._connection.execute(sql, parameters or {}).fetchall()


class WriteUnit(ReadUnit):
    """What a writing unit of work sees: its own savepoint in a transaction that commits after it returned."""

    def __init__(self, connection: sqlite3.Connection, now: datetime) -> None:
        super().__init__(connection, now)
        self.callbacks: list[Callable[[], None]] = []

    def run(self, sql: str, parameters: Parameters | None = None) -> int:
        """Run a statement that changes rows; return how many it changed."""
        return self._connection.execute(sql, parameters or {}).rowcount

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Have a callback called on the event loop once the unit is durable; never if it isn't."""
        self.callbacks.append(callback)

    def new_id(self, prefix: str) -> str:
        """Return a fresh public id of this moment."""
        return ids.make(prefix, self.now, secrets.token_bytes(ids.ENTROPY_BYTES))


@dataclass(slots=True)
class _Waiting(Generic[T]):
    """A writing unit that waits for its turn, and the future of its caller."""

    work: Callable[[WriteUnit], T]
    future: asyncio.Future[T]


@dataclass(slots=True)
class _Outcome(Generic[T]):
    """What became of a unit: its result and callbacks, or its error; `skipped` when its caller was gone before."""

    result: T | None = None
    error: BaseException | None = None
    skipped: bool = False
    callbacks: list[Callable[[], None]] = field(default_factory=list)


class Database:
    """One writer with group commit, and a few read-only readers, on an already migrated file.

    Use `Database.open` and `close`, or `async with`.
    """

    def __init__(self, writer: aiosqlite.Connection, readers: Sequence[aiosqlite.Connection], clock: Clock) -> None:
        self._writer = writer
        self._readers = readers
        self._busy = [0] * len(readers)
        self._clock = clock
        self._queue: deque[_Waiting[Any]] = deque()
        self._drain: asyncio.Task[None] | None = None
        self._closed = False

    @classmethod
    async def open(cls, path: Path, clock: Clock) -> Self:
        """Open the connections; the file must exist and be migrated (see `store.migrate`)."""
        writer = await _connect(path, read_only=False)
        readers = [await _connect(path, read_only=True) for _ in range(_READERS)]
        return cls(writer, readers, clock)

    async def close(self) -> None:
        """Finish the units that wait, then close the connections."""
        self._closed = True
        if self._drain is not None:
            await asyncio.gather(self._drain, return_exceptions=True)
        for connection in (*self._readers, self._writer):
            await connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def write(self, work: Callable[[WriteUnit], T]) -> T:
        """Run a unit in a transaction and return its result once it is durable.

        The units that wait together share one transaction, each in its own savepoint, and one fsync. What the unit
        raises is raised here, and nothing of it stays. A cancelled caller leaves the unit whole or not run at all.
        """
        if self._closed:
            raise sqlite3.ProgrammingError("the database is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(work, future))
        if self._drain is None or self._drain.done():
            self._drain = asyncio.create_task(self._drain_queue(), name="database writer")
        return await future

    async def read(self, work: Callable[[ReadUnit], T]) -> T:
        """Run a unit over one snapshot and return its result; writing in it is refused by SQLite."""
        free = min(range(len(self._readers)), key=self._busy.__getitem__)
        self._busy[free] += 1
        try:
            return await _on_thread(self._readers[free], _run_read, work, self._clock())
        finally:
            self._busy[free] -= 1

    async def _drain_queue(self) -> None:
        while self._queue:
            group = [self._queue.popleft() for _ in range(min(len(self._queue), _MOST_UNITS_PER_COMMIT))]
            try:
                outcomes = await _on_thread(self._writer, _run_group, group, self._clock)
            except (sqlite3.Error, ValueError) as error:
                outcomes = [_Outcome(error=error) for _ in group]
            for waiting, outcome in zip(group, outcomes, strict=True):
                _answer(waiting, outcome)


def _answer(waiting: _Waiting[Any], outcome: _Outcome[Any]) -> None:
    """Tell a caller, and run what it registered; the caller may be gone, its callbacks are still due."""
    if not waiting.future.done() and not outcome.skipped:
        if outcome.error is not None:
            waiting.future.set_exception(outcome.error)
        else:
            waiting.future.set_result(outcome.result)
    for callback in outcome.callbacks:
        callback()


async def _connect(path: Path, *, read_only: bool) -> aiosqlite.Connection:
    mode = "ro" if read_only else "rw"
    connection = await aiosqlite.connect(f"file:{_quoted(path)}?mode={mode}", uri=True, isolation_level=None)
    try:
        await _on_thread(connection, _prepare, read_only)
    except BaseException:  # closed before the error goes on; nothing is swallowed  # a loop's boundary
        await connection.close()
        raise
    return connection


def _quoted(path: Path) -> str:
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _prepare(connection: sqlite3.Connection, read_only: bool) -> None:
    connection.row_factory = sqlite3.Row
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA foreign_keys = ON")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
        return
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: a commit that was answered survives a power cut. Losing one would hand out an address twice.
    connection.execute("PRAGMA synchronous = FULL")


async def _on_thread(connection: aiosqlite.Connection, work: Callable[..., T], *arguments: object) -> T:
    """Run a function over the raw connection on aiosqlite's own thread: one hop for a whole unit.

    `_execute` is private, so its version is bounded in pyproject.toml and a test pins what it does.
    """
    result: T = await connection._execute(work, connection._conn, *arguments)  # noqa: SLF001
    return result


def _run_read(connection: sqlite3.Connection, work: Callable[[ReadUnit], T], now: datetime) -> T:
    connection.execute("BEGIN")
    try:
        return work(ReadUnit(connection, now))
    finally:
        connection.execute("ROLLBACK")


def _run_group(connection: sqlite3.Connection, group: Sequence[_Waiting[Any]], clock: Clock) -> list[_Outcome[Any]]:
    """Run units in one transaction. An error of the transaction itself is raised, and then no unit has happened."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        outcomes = [_run_unit(connection, waiting, clock()) for waiting in group]
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return outcomes


def _run_unit(connection: sqlite3.Connection, waiting: _Waiting[Any], now: datetime) -> _Outcome[Any]:
    if waiting.future.cancelled():
        return _Outcome(skipped=True)
    connection.execute("SAVEPOINT unit")
    unit = WriteUnit(connection, now)
    try:
        result = waiting.work(unit)
    except BaseException as error:  # it belongs to the caller, who gets it  # a loop's boundary
        if not connection.in_transaction:
            # A full disk or an I/O error made SQLite roll back everything: the units before this one are gone too.
            raise sqlite3.OperationalError(f"the transaction was rolled back: {error}") from error
        connection.execute("ROLLBACK TO unit")
        connection.execute("RELEASE unit")
        return _Outcome(error=error)
    connection.execute("RELEASE unit")
    return _Outcome(result=result, callbacks=unit.callbacks)
