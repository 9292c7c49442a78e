"""The engine: connections to one file of SQLite, on threads of their own and on the event loop."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from contextvars import Context
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import aiosqlite

from crypto_checkout.core.moments import Clock
from crypto_checkout.store.faults import as_failure
from crypto_checkout.store.group_commit import (
    BUSY_TIMEOUT_MS,
    Group,
    QueuedUnit,
    StepLimit,
    belongs_on_a_thread,
    roll_back,
)
from crypto_checkout.store.sqlite.checkpoints import Checkpoints
from crypto_checkout.store.units import Lookups, ReadUnit, WriteUnit, call

T = TypeVar("T")

_READERS = 3
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
    """The read-only connection of the event loop.

    The units of one turn of the loop share a snapshot, with its BEGIN and ROLLBACK. What a turn answers had arrived
    before it began, so nobody who asks can know of a commit after that.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._limit = StepLimit(connection)
        self._shared: Lookups | None = None

    def run(self, work: Callable[[ReadUnit], T], clock: Clock) -> T:
        """Run a unit in the snapshot of this turn. Raises errors of SQLite as they are."""
        try:
            return self._limit.call(work, ReadUnit(self._connection, clock(), self._shared or self._begin()))
        except sqlite3.Error:
            self.end_turn()
            raise

    def _begin(self) -> Lookups:
        # First of all, so that whatever learns of a commit from now on comes after it in the loop's queue.
        asyncio.get_running_loop().call_soon(self.end_turn, context=_NO_CONTEXT)
        self._connection.execute("BEGIN")
        self._shared = Lookups()
        return self._shared

    def end_turn(self) -> None:
        """Let the next unit see what is committed by then."""
        if self._shared is not None:
            self._shared = None
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def version(self) -> int:
        """Return SQLite's counter of other connections' commits."""
        row: tuple[int] = self._connection.execute("PRAGMA data_version").fetchone()
        return row[0]


class SqliteEngine:
    """One writer, and a few read-only readers, on an already migrated file."""

    def __init__(
        self,
        writer: aiosqlite.Connection,
        readers: Sequence[aiosqlite.Connection],
        quick_reader: sqlite3.Connection,
        checkpoints: Checkpoints,
        connections: AsyncExitStack,
    ) -> None:
        self._writer = writer
        self._checkpoints = checkpoints
        self._readers = [_Reader(connection) for connection in readers]
        self._quick_reader = _QuickReader(quick_reader)
        self._connections = connections

    @classmethod
    async def open(cls, path: Path, *, serves: bool) -> Self:
        """Open the connections; the file must exist and be migrated (see `store.migrate`).

        One process `serves` the file; others may have it open meanwhile. Raises DatabaseFailed if the storage refuses.
        """
        async with AsyncExitStack() as connections:
            try:
                writer = await _connect(connections, path, read_only=False)
                readers = [await _connect(connections, path, read_only=True) for _ in range(_READERS)]
                quick_reader = _connect_here(connections, path)
            except sqlite3.Error as error:
                raise as_failure(error) from error
            return cls(writer, readers, quick_reader, Checkpoints(path, serves=serves), connections.pop_all())

    def data_id(self) -> str:
        """Return "": `store.data_folder.life` tells one file from another."""
        return ""

    def before_writing(self, work: Callable[[WriteUnit, bool], None], clock: Clock) -> None:
        """Run nothing: a file isn't replaced under the process that serves it."""

    def begin(self, group: Group) -> Sequence[QueuedUnit[Any]]:
        """Run quick units on the event loop, up to the commit; return those that would keep it too long together."""
        return group.begin(self._writer._conn)  # noqa: SLF001 - as in `_on_thread`

    async def finish(self, group: Group) -> None:
        """Finish a group on the writer's thread."""
        await _on_thread(self._writer, _finish, group, self._checkpoints)

    async def read(self, work: Callable[[ReadUnit], T], clock: Clock, *, quick: bool) -> T:
        """Run a unit in one snapshot; SQLite refuses writes in it."""
        if quick:
            try:
                return self._quick_reader.run(work, clock)
            except sqlite3.Error as error:
                if not belongs_on_a_thread(error):
                    raise _read_failure(error) from error
        reader = min(self._readers, key=lambda reader: reader.started - reader.finished)
        reader.started += 1
        return await _on_thread(reader.connection, reader.run, work, clock)

    def version(self) -> int | None:
        """Return a number that every commit changes, those of other processes too; None if it can't be told now."""
        try:
            return self._quick_reader.version()
        except sqlite3.Error:
            return None

    def processes(self) -> int:
        """Return 1: `store.data_folder.lock` keeps others from serving a file."""
        return 1

    async def close(self) -> None:
        """Close the connections."""
        self._quick_reader.end_turn()
        await self._connections.aclose()


def _finish(connection: sqlite3.Connection, group: Group, checkpoints: Checkpoints) -> None:
    try:
        checkpoints.prepare(connection)
        if group.has_begun:
            group.finish(connection)
        else:
            connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            try:
                group.finish(connection)
            finally:
                connection.execute("PRAGMA busy_timeout = 0")
    finally:
        roll_back(connection)
    checkpoints.bound(connection)


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
    # In memory: a write needs no second disk, which may be full, and no file descriptor, of which none may be left.
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA busy_timeout = 0")  # a group on the thread sets its own


async def _on_thread(connection: aiosqlite.Connection, work: Callable[..., T], *arguments: object) -> T:
    """Run a function with the raw connection on aiosqlite's thread: one hop for a whole unit.

    `_execute` is private, so pyproject.toml bounds the version of aiosqlite and a test pins its behaviour.
    """
    result: T = await connection._execute(work, connection._conn, *arguments)  # type: ignore[no-untyped-call]  # noqa: SLF001
    return result


def _run(connection: sqlite3.Connection, work: Callable[[ReadUnit], T], clock: Clock) -> T:
    """Run a unit that reads in one snapshot."""
    try:
        connection.execute("BEGIN")
        return call(work, ReadUnit(connection, clock()))
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _read_failure(error: sqlite3.Error) -> BaseException:
    """Return the error of a unit that reads; one that tried to write is a bug, and no fault of the storage."""
    return error if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_READONLY else as_failure(error)
