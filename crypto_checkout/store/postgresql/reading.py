"""Units that read, on a reader's thread, each in one snapshot.

Quick ones that come together share the snapshot, and the way to the thread: the way there and back takes as long as
their statements.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import psycopg

from crypto_checkout.core.errors import DatabaseFailed
from crypto_checkout.core.moments import Clock
from crypto_checkout.store.postgresql.connection import PostgresqlConnection
from crypto_checkout.store.units import Lookups, ReadUnit, call

T = TypeVar("T")
_FAULTS = (DatabaseFailed, psycopg.Error)


@dataclass(slots=True)
class QuickRead(Generic[T]):
    """A quick unit that reads, and the future that its caller awaits."""

    work: Callable[[ReadUnit], T]
    clock: Clock
    future: asyncio.Future[T]


@dataclass(slots=True)
class QuickReads:
    """Quick units that run one after another; one that fails is no matter to the others."""

    units: Sequence[QuickRead[Any]]
    _outcomes: list[tuple[Any, BaseException | None]] = field(default_factory=list)

    def run(self, connect: Callable[[], PostgresqlConnection]) -> None:
        """Run the units in one transaction; from a fault on, each in its own."""
        try:
            self._run_together(connect())
        except BaseException:  # noqa: BLE001  # each unit meets it by itself  # a loop's boundary
            for unit in self.units[len(self._outcomes) :]:
                try:
                    self._outcomes.append((read(connect, unit.work, unit.clock), None))
                except BaseException as error:  # noqa: BLE001  # passed to the caller  # a loop's boundary
                    self._outcomes.append((None, error))

    def answer(self, _: object) -> None:
        """Resume the callers."""
        for unit, (result, error) in zip(self.units, self._outcomes, strict=True):
            if unit.future.done():
                continue
            if error is None:
                unit.future.set_result(result)
            else:
                unit.future.set_exception(error)

    def _run_together(self, connection: PostgresqlConnection) -> None:
        lookups = Lookups()
        try:
            connection.execute("BEGIN")
            for unit in self.units:
                try:
                    self._outcomes.append((call(unit.work, ReadUnit(connection, unit.clock(), lookups)), None))
                except _FAULTS:
                    raise
                except BaseException as error:  # noqa: BLE001  # passed to the caller  # a loop's boundary
                    self._outcomes.append((None, error))
        finally:
            _end(connection)


def read(connect: Callable[[], PostgresqlConnection], work: Callable[[ReadUnit], T], clock: Clock) -> T:
    """Run a unit in a snapshot of its own. One whose session was lost before runs again."""
    connection = connect()
    try:
        return _run(connection, work, clock)
    except DatabaseFailed:
        if not connection.is_lost:
            raise
    return _run(connect(), work, clock)


def _run(connection: PostgresqlConnection, work: Callable[[ReadUnit], T], clock: Clock) -> T:
    try:
        connection.execute("BEGIN")
        return call(work, ReadUnit(connection, clock()))
    finally:
        _end(connection)


def _end(connection: PostgresqlConnection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")
