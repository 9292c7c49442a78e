"""Group commit: units that wait together run in one transaction, and share one fsync; one that fails is undone alone.

Each has its own savepoint. Quick ones run without: a savepoint costs as much as two rows, and few fail after a change.
A group of quick units runs on the event loop, where nothing else contends for the interpreter, and only its commit,
which waits for the disk, goes to the writer's thread. Every other group runs on that thread from begin to end.
"""

import asyncio
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from crypto_checkout.core import moments
from crypto_checkout.core.errors import CheckoutError, DatabaseDamaged, DatabaseFailed, LeaderChanged, OutcomeUnknown
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.upkeep.leader import Leader
from crypto_checkout.store.faults import as_failure
from crypto_checkout.store.units import EngineConnection, Lookups, ReadUnit, Row, WriteUnit, call

T = TypeVar("T")
U = TypeVar("U", bound=ReadUnit)

Commit = Callable[[Any, "Sequence[Outcome[Any]]"], None]
"""An engine's way to commit the transaction of one of its connections, with the outcomes of the units in it."""

BUSY_TIMEOUT_MS = 5_000
"""The time for which a group on the writer's thread waits for another process that writes."""

TERM: ContextVar[Leader | None] = ContextVar("term", default=None)
"""The term in which the current task leads; None where it doesn't, and always on a file, which one process serves.

Whatever a task with a term writes is refused once another process leads. A task that it starts has the same term.
"""

_STEPS_COUNTED = 1_000
_MOST_STEPS = 20 * _STEPS_COUNTED
_MOST_SECONDS = 0.02  # of processor time for a group: 64 units with long metadata take a quarter of a second
_IN_THE_WAY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT})


class StepLimit:
    """Interrupts a unit on the event loop after as many of SQLite's steps as take about a millisecond.

    It is in force until `close`. Only the unit is interrupted, never the statements around it that begin and end its
    transaction. What was interrupted is undone and run again on a thread.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._left = sys.maxsize
        connection.set_progress_handler(self._count, _STEPS_COUNTED)

    def call(self, work: Callable[[U], T], unit: U) -> T:
        """Run a unit within the limit."""
        self._left = _MOST_STEPS // _STEPS_COUNTED
        try:
            return call(work, unit)
        finally:
            self._left = sys.maxsize

    def close(self) -> None:
        """End the limit: the connection's other units may take as long as they like."""
        self._connection.set_progress_handler(None, 0)

    def _count(self) -> bool:
        """Count steps; SQLite counts them by statement and over its calls, so a few of them come too early."""
        self._left -= 1
        return self._left < 0


def belongs_on_a_thread(error: BaseException) -> bool:
    """Tell whether a unit failed only because nothing may wait, or take long, on the event loop."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _IN_THE_WAY


@dataclass(slots=True)
class QueuedUnit(Generic[T]):
    """A write unit in the queue, and the future that its caller awaits."""

    work: Callable[[WriteUnit], T]
    future: asyncio.Future[T]
    is_quick: bool
    context: Context = field(default_factory=copy_context)


@dataclass(slots=True)
class Outcome(Generic[T]):
    """The outcome of a unit: its result and what it left to do after the commit, or its error."""

    result: T | None = None
    error: BaseException | None = None
    callbacks: Sequence[tuple[Callable[..., None], tuple[Any, ...]]] = ()
    event_id: str | None = None
    """The id of an event that it has recorded, if it did."""


def _nobody() -> None:
    """Let nobody join a group."""


def _commit(connection: EngineConnection, _: Sequence[Outcome[Any]]) -> None:
    """Commit and tell nobody: there is no other process, or it looks by itself."""
    connection.execute("COMMIT")


@dataclass(slots=True)
class Group:
    """Units that share a transaction, and their outcomes once it is over."""

    units: list[QueuedUnit[Any]]
    clock: Clock
    is_quick: bool = False
    joining: Callable[[], QueuedUnit[Any] | None] = _nobody
    """Returns another unit of the same kind that waits by now, and leaves it to the group."""
    before_commit: Sequence[Callable[[], None]] = ()
    """Called on the writer's thread once all units have run. If one fails, no unit has any effect."""
    outcomes: list[Outcome[Any]] | None = None
    _uncommitted: list[Outcome[Any]] | None = None
    _failed_together: bool = False
    """True once quick units failed without savepoints: then each has its own."""

    @property
    def has_begun(self) -> bool:
        """True once `begin` ran the units: only the commit is left."""
        return self._uncommitted is not None

    def begin(self, connection: sqlite3.Connection) -> Sequence[QueuedUnit[Any]]:
        """Run quick units on the event loop, up to the commit; return those that would keep it too long together.

        No unit has a savepoint. Where one fails after it has changed something, or takes long after all, or another
        process writes, nothing stays of it, and `finish` runs them.
        """
        left: Sequence[QueuedUnit[Any]] = ()
        try:
            with closing(StepLimit(connection)) as limit:
                connection.execute("BEGIN IMMEDIATE")
                until, outcomes = time.thread_time() + _MOST_SECONDS, list[Outcome[Any]]()
                lookups = Lookups(holds_rows=True)
                for unit in self.units:
                    outcomes.append(_run_unit_together(connection, unit, self.clock(), lookups, limit.call))
                    if time.thread_time() > until:
                        break
                lookups.settle(connection)
                self.units, left = self.units[: len(outcomes)], self.units[len(outcomes) :]
                self._uncommitted = outcomes
        except BaseException:  # noqa: BLE001  # raised again by the unit that it belongs to  # a loop's boundary
            roll_back(connection)
            self._failed_together = True
        return left

    def finish(self, connection: EngineConnection, commit: Commit = _commit) -> None:
        """Commit what `begin` ran, or run the units and commit. If the transaction fails, no unit has any effect."""
        while self.outcomes is None:
            try:
                self.outcomes = self._finish(connection, commit)
            except BaseException as error:  # noqa: BLE001  # passed to each caller  # a loop's boundary
                if self._runs_together and isinstance(error, Exception) and not isinstance(error, DatabaseFailed):
                    self._failed_together = True  # it is raised again by the unit that it belongs to
                else:
                    self.fail(error)

    @property
    def _runs_together(self) -> bool:
        """True where the units are to run without savepoints."""
        return self.is_quick and not self.has_begun and not self._failed_together

    def _finish(self, connection: EngineConnection, commit: Commit) -> list[Outcome[Any]]:
        try:
            outcomes = self._run(connection) if self._uncommitted is None else self._uncommitted
            for store in self.before_commit:
                store()
            commit(connection, outcomes)
        finally:
            roll_back(connection)
        return outcomes

    def _run(self, connection: EngineConnection) -> list[Outcome[Any]]:
        """Run the units in a transaction on the writer's thread, which may wait for another process.

        Others join them as long as the transaction goes on: those that came while it waited, above all.
        """
        connection.execute("BEGIN IMMEDIATE")
        lookups, outcomes = Lookups(), list[Outcome[Any]]()
        run = _run_unit_together if self._runs_together else _run_unit
        for waiting in self._until_none_joins():
            now = self.clock()
            is_over = _is_over(waiting.context.get(TERM), ReadUnit(connection, now, lookups))
            outcomes.append(_refused() if is_over else run(connection, waiting, now, lookups))
        lookups.settle(connection)
        return outcomes

    def _until_none_joins(self) -> Iterator[QueuedUnit[Any]]:
        """Yield the units, and those that join them meanwhile."""
        yield from self.units
        while (another := self.joining()) is not None:
            self.units.append(another)
            yield another

    def end_joining(self) -> None:
        """Let no more units join, and so break a reference cycle, which the garbage collector would have to find."""
        self.joining = _nobody

    def fail(self, error: BaseException) -> None:
        """Give each unit its own error: tasks that raise a shared one would all extend its traceback."""
        self.outcomes = []
        outcome = "the database took nothing of it"
        kind = DatabaseDamaged if isinstance(as_failure(error), DatabaseDamaged) else DatabaseFailed
        if isinstance(error, OutcomeUnknown):
            kind, outcome = OutcomeUnknown, "it isn't known whether the database took it"
        for _ in self.units:
            failure = kind(f"{outcome}: {error}")
            failure.__cause__ = error
            self.outcomes.append(Outcome(error=failure))

    def answer(self) -> None:
        """Resume the callers. The callbacks of a stored unit run even if its caller was cancelled."""
        loop = asyncio.get_running_loop()
        for unit, outcome in zip(self.units, self.outcomes or (), strict=True):
            for callback, arguments in outcome.callbacks:
                loop.call_soon(callback, *arguments, context=unit.context)
            if unit.future.done():
                continue
            if outcome.error is not None:
                unit.future.set_exception(outcome.error)
            else:
                unit.future.set_result(outcome.result)


def _is_over(term: Leader | None, unit: ReadUnit) -> bool:
    """Tell whether a term is over; None never is. The units of a transaction share the answer until one ends the term.

    The number may come again in a database that was restored, the moment at which the term began doesn't.
    """
    if term is None:
        return False
    (row,) = unit.lookup("SELECT term, process, since FROM leader", table="leader")
    return leader_of(row) != term


def leader_of(row: Row) -> Leader | None:
    """Return the leader that the row of `leader` names, in its term; None before the first, and once one has ended."""
    return None if row["process"] is None else Leader(row["process"], moments.from_text(row["since"]), row["term"])


def _refused() -> Outcome[Any]:
    return Outcome(error=LeaderChanged("the database took nothing of it: another process leads now"))


def roll_back(connection: EngineConnection) -> None:
    """Undo the open transaction, if there is one."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _run_unit(
    connection: EngineConnection,
    waiting: QueuedUnit[Any],
    now: datetime,
    lookups: Lookups,
) -> Outcome[Any]:
    """Run a unit in a savepoint. Raise if SQLite rolled back the whole transaction, earlier units included."""
    if waiting.future.cancelled():
        return Outcome()
    connection.execute("SAVEPOINT unit")
    unit = WriteUnit(connection, now, lookups)
    try:
        result = call(waiting.work, unit)
        lookups.settle(connection)
        connection.execute("RELEASE unit")
    except BaseException as error:  # passed to the caller  # a loop's boundary
        if not connection.in_transaction:
            raise
        connection.execute("ROLLBACK TO unit")
        connection.execute("RELEASE unit")
        lookups.clear()
        return Outcome(error=as_failure(error))
    return Outcome(result, None, unit.callbacks, unit.event_id)


def _run_unit_together(
    connection: EngineConnection,
    waiting: QueuedUnit[Any],
    now: datetime,
    lookups: Lookups,
    run: Callable[[Callable[[WriteUnit], Any], WriteUnit], Any] = call,
) -> Outcome[Any]:
    """Run a unit without a savepoint. Raise its error if something of it would stay."""
    if waiting.future.cancelled():
        return Outcome()
    unit = WriteUnit(connection, now, lookups)
    try:
        return Outcome(run(waiting.work, unit), None, unit.callbacks, unit.event_id)
    except CheckoutError as error:  # passed to the caller
        if unit.has_changed or isinstance(error, DatabaseFailed):
            raise
        return Outcome(error=error)
