"""The engine: a session that writes and a few that read, each on a thread of its own, and made anew when it is lost."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import Any, Self, TypeVar

from crypto_checkout.core.errors import DatabaseFailed, FatalError
from crypto_checkout.core.moments import Clock
from crypto_checkout.store.group_commit import Group, Outcome, QueuedUnit
from crypto_checkout.store.place import DatabaseServer
from crypto_checkout.store.postgresql.connection import PostgresqlConnection
from crypto_checkout.store.postgresql.peers import Peers
from crypto_checkout.store.postgresql.reading import QuickRead, QuickReads, read
from crypto_checkout.store.postgresql.session import ServingSession, open_connection
from crypto_checkout.store.signals import notices
from crypto_checkout.store.units import ReadUnit, WriteUnit

T = TypeVar("T")

_READERS = 4
_MOST_TOGETHER = 16
_LOOK_EVERY_SECONDS = 0.25
_MOST_SECONDS_BETWEEN_LOOKS = 0.75
_RETRY_SECONDS = 0.5
_SNAPSHOT = "SELECT CAST(pg_current_snapshot() AS TEXT)"


class _Worker:
    """A thread and its session."""

    def __init__(self, connect: Callable[[], PostgresqlConnection], name: str) -> None:
        self._started = 0  # changed on the event loop only
        self._finished = 0  # and this on the thread
        self._connect = connect
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"postgresql {name}")
        self._connection: PostgresqlConnection | None = None
        self._refused: tuple[float, DatabaseFailed | FatalError] | None = None

    def start(self, work: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
        """Start a function of this worker on its thread."""
        self._started += 1
        return asyncio.get_running_loop().run_in_executor(self._thread, partial(self._counted, work, *arguments))

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run a function of this worker on its thread, which finishes it even if the caller is cancelled."""
        return await self.start(work, *arguments)

    def waiting(self) -> int:
        """Return how many functions run or wait."""
        return self._started - self._finished

    def connection(self) -> PostgresqlConnection:
        """Return the session, a new one if it was lost. Raises as what opens it does."""
        if self._connection is not None and self._connection.is_alive():
            return self._connection
        if self._refused is not None and time.monotonic() - self._refused[0] < _RETRY_SECONDS:
            raise DatabaseFailed(str(self._refused[1])) from self._refused[1]
        try:
            self._connection = self._connect()
        except (DatabaseFailed, FatalError) as error:
            self._refused = time.monotonic(), error
            raise
        return self._connection

    async def close(self) -> None:
        """Close the session after what is running."""
        await self.run(_Worker._close)
        self._thread.shutdown()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _counted(self, work: Callable[..., T], *arguments: Any) -> T:
        try:
            return work(self, *arguments)
        finally:
            self._finished += 1


class PostgresqlEngine:
    """Sessions on a server, whose database must be migrated."""

    def __init__(self, server: DatabaseServer, receive: Callable[[str], None], *, serves: bool) -> None:
        self._serving = ServingSession(server)
        writer = self._serving.open if serves else partial(open_connection, server, "writer", writes=True)
        self._writer = _Worker(writer, "writer")
        self._readers = [
            _Worker(partial(open_connection, server, "reader", writes=False), f"reader {number}")
            for number in range(_READERS)
        ]
        self._quick: list[QuickRead[Any]] = []
        self._commits = 0  # changed by the writer's thread only, as is the next
        self._is_committing = False
        self._changes = 0
        self._snapshot = ""
        self._looked_at: float | None = None
        self._looking: asyncio.Task[None] | None = None
        self._peers = Peers(server, receive) if serves else None

    @classmethod
    async def open(cls, server: DatabaseServer, receive: Callable[[str], None], *, serves: bool) -> Self:
        """Open the first sessions. Raises FatalError while another process changes the tables, and DatabaseFailed."""
        engine = cls(server, receive, serves=serves)
        try:
            await engine._writer.run(_Worker.connection)
            await engine._look()
            if engine._peers is not None:
                await engine._peers.open()
        except BaseException:  # passed on  # a loop's boundary
            await engine.close()
            raise
        engine._looking = asyncio.create_task(engine._look_often(), name="database watch")
        return engine

    def begin(self, group: Group) -> Sequence[QueuedUnit[Any]]:
        """Begin nothing: every unit waits for the network."""
        del group
        return ()

    async def finish(self, group: Group) -> None:
        """Run and commit a group on the writer's thread."""
        await self._writer.run(self._finish, group)

    async def read(self, work: Callable[[ReadUnit], T], clock: Clock, *, quick: bool) -> T:
        """Run a unit in one snapshot on a reader's thread. One whose session was lost before runs again.

        Quick ones that come in the same turn of the event loop share the way to a thread, and a snapshot.
        """
        if not quick:
            return await self._reader().run(_read, work, clock)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._quick.append(QuickRead(work, clock, future))
        if len(self._quick) == 1:
            asyncio.get_running_loop().call_soon(self._send_quick, context=Context())
        return await future

    def _send_quick(self) -> None:
        """Send the quick units that are there to readers, some together."""
        for start in range(0, len(self._quick), _MOST_TOGETHER):
            together = QuickReads(self._quick[start : start + _MOST_TOGETHER])
            self._reader().start(_read_together, together).add_done_callback(together.answer)
        self._quick = []

    def _reader(self) -> _Worker:
        return min(self._readers, key=_Worker.waiting)

    def version(self) -> int | None:
        """Return a number that every commit of this process changes at once, and those of commands within a second.

        While other processes serve the database, it can't be told: a request to this one may follow one to another.
        Nor can it during a commit, which readers see before its answer is here.
        """
        if self.processes() > 1 or self._looked_at is None or self._is_committing:
            return None
        # What a process wrote before it ended is seen by a look that began after it was found to have ended.
        since = time.monotonic() - _MOST_SECONDS_BETWEEN_LOOKS
        is_known = self._looked_at > since and (self._peers is None or self._looked_at > self._peers.fewer_since)
        return self._commits + self._changes if is_known else None

    def processes(self) -> int:
        """Return the number of processes that serve the database, this one included."""
        return 1 if self._peers is None else self._peers.processes

    def data_id(self) -> str:
        """Return the data's id, which changes with a restore and a failover; "" for a process that doesn't serve."""
        return self._serving.data_id

    def before_writing(self, work: Callable[[WriteUnit, bool], None], clock: Clock) -> None:
        """Run a unit before anything is written in another incarnation of the server, or to other data."""
        self._serving.before_writing = lambda connection, is_other_data: work(
            WriteUnit(connection, clock()), is_other_data
        )

    async def close(self) -> None:
        """Close the sessions."""
        if self._peers is not None:
            await self._peers.close()
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking
        self._send_quick()
        for worker in (*self._readers, self._writer):
            await worker.close()

    def _finish(self, worker: _Worker, group: Group) -> None:
        if group.outcomes is not None:
            return
        try:
            connection = worker.connection()
        except Exception as error:  # noqa: BLE001  # passed to each caller, who waits for it  # a loop's boundary
            group.fail(error)
            return
        try:
            group.finish(connection, self._commit)
        finally:
            self._commits += 1
            self._is_committing = False

    def _commit(self, connection: PostgresqlConnection, outcomes: Sequence[Outcome[Any]]) -> None:
        """Commit what units did, with their notices to the other processes."""
        told = notices(each for outcome in outcomes for each in outcome.callbacks)
        if told and self._peers is not None:
            self._peers.tell(connection, told)
        self._is_committing = True
        connection.commit(next((each.event_id for each in outcomes if each.event_id is not None), None))

    async def _look_often(self) -> None:
        """Notice what other processes commit: the server's snapshot changes whenever a transaction that wrote ends."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
            if self._peers is not None and not self._writer.waiting():
                self._writer.start(_open)
            with suppress(DatabaseFailed):
                await self._look()

    async def _look(self) -> None:
        started = time.monotonic()
        snapshot = await self._reader().run(_snapshot)
        if snapshot != self._snapshot:
            self._snapshot = snapshot
            self._changes += 1
        self._looked_at = started


def _open(worker: _Worker) -> None:
    """Open the session again that tells the others of this process, if it was lost: it may have nothing to write."""
    with suppress(DatabaseFailed, FatalError):  # the next write says so
        worker.connection()


def _snapshot(worker: _Worker) -> str:
    return str(worker.connection().execute(_SNAPSHOT).fetchone()[0])


def _read(worker: _Worker, work: Callable[[ReadUnit], T], clock: Clock) -> T:
    return read(worker.connection, work, clock)


def _read_together(worker: _Worker, together: QuickReads) -> None:
    together.run(worker.connection)
