"""One connection to a PostgreSQL server, with the names of sqlite3, for units of work.

It speaks through libpq's pipeline. Nothing is waited for but an answer that somebody reads, and the COMMIT: all else
travels on the way. So a unit costs as many round trips as it has answers that it reads.

An error of a statement whose answer nobody reads is raised by a later one. It is still the unit's own, because the
release of its savepoint waits for what is unanswered.
"""

import select
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

import psycopg
from psycopg import errors, pq

from crypto_checkout.core.errors import DatabaseFailed, OutcomeUnknown
from crypto_checkout.store.postgresql import locks, primary
from crypto_checkout.store.postgresql.answers import Columns, PostgresqlAnswer
from crypto_checkout.store.postgresql.faults import as_failure
from crypto_checkout.store.postgresql.statements import Statement, translate
from crypto_checkout.store.units import Value

_ANSWER_SECONDS = 60.0
_COMMIT_SECONDS = 15.0  # a commit that takes longer waits for a standby that isn't there
_DOUBT_SECONDS = 10.0
"""The wait after which a server is asked, by another connection, whether it is there at all."""
_MOST_PREPARED = 500
_MOST_UNANSWERED = 100
_SENT_TOGETHER = 8
"""The statements after which the server gets what there is, so that it works while the unit goes on."""
_RELEASE, _ROLL_BACK_UNIT = "RELEASE unit", "ROLLBACK TO unit"
_SAVEPOINTS = frozenset({"SAVEPOINT unit", _RELEASE, _ROLL_BACK_UNIT})
_BEGIN = {
    "BEGIN": "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    "BEGIN IMMEDIATE": "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE",
}
"""The statements that begin a transaction as SQLite's do: one snapshot to read, or one writer at a time."""
_LOCK_TO_WRITE = f"SELECT pg_advisory_xact_lock({locks.SPACE}, {locks.WRITE}), pg_current_xact_id()"
_OK = frozenset({pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK})
_SYNC = ""
_PREPARE = "PREPARE"


@dataclass(slots=True)
class _Prepared:
    """A statement that the server knows by name, and the columns of its answers."""

    name: bytes
    columns: Columns | None = None


class PostgresqlConnection:
    """A session. It is used by one thread at a time, and is over when `is_lost`.

    `was_committed` tells of a transaction whether it was committed although the answer was lost, None if that can't be
    known; it is asked with the transaction's number, and the id of an event that it recorded, if it did.
    """

    def __init__(
        self,
        session: "psycopg.Connection[Any]",
        *,
        writes: bool,
        answer_seconds: float | None = _ANSWER_SECONDS,
        was_committed: Callable[[str, str | None], bool | None] = lambda *_: None,
    ) -> None:
        self.is_lost = False
        self.in_transaction = False
        self._session = session
        self._writes = writes
        self._answer_seconds = answer_seconds
        self._was_committed = was_committed
        self._transaction: str | None = None
        """The number of the transaction that is open, once it is known."""
        self._pgconn = session.pgconn
        self._pgconn.nonblocking = 1
        self._pgconn.enter_pipeline_mode()
        self._sent: deque[tuple[str, PostgresqlAnswer | None]] = deque()
        """The commands that aren't answered yet, and what waits for them; empty ones are synchronizations."""
        self._unanswered = 0
        """The statements among them, without those that begin and end transactions and savepoints."""
        self._forgotten = 0
        """The first of the commands whose errors nobody hears of."""
        self._uses: dict[str, int] = {}
        self._prepared: dict[str, _Prepared] = {}
        self._numbers = count()
        self._poll = select.poll()
        self._poll.register(self._pgconn.socket, select.POLLIN)

    # --- statements --------------------------------------------------------------------------------------------------

    def execute(self, sql: str, parameters: Mapping[str, Value] | Sequence[Value] = (), /) -> Any:
        """Send a statement, whose parameters are `:name` or `?`.

        Reading its answer waits for it; one outside a transaction is waited for at once. Raises, then or later:
            DatabaseFailed: The server is lost or can't do it now.
            psycopg.Error: The statement is wrong, or breaks a constraint.

        """
        if self._control(sql):
            return None
        answer = PostgresqlAnswer(self, sql)
        self._send(sql, translate(sql), parameters, answer)
        if not self.in_transaction:
            self.wait()
        return answer

    def executemany(self, sql: str, parameters: Iterable[Mapping[str, Value]], /) -> None:
        """Send a statement once for each set of parameters."""
        statement = translate(sql)
        for each in parameters:
            self._send(sql, statement, each)

    def wait(self) -> None:
        """Wait until every statement is answered. Raises the first error among them, as `execute` does."""
        self._answers()

    def columns(self, sql: str, result: "pq.abc.PGresult") -> Columns:
        """Return the columns of an answer to a statement; of one that comes again and again they are kept."""
        prepared = self._prepared.get(sql)
        if prepared is None:
            return Columns(result)
        if prepared.columns is None:
            prepared.columns = Columns(result)
        return prepared.columns

    def is_alive(self) -> bool:
        """Tell whether the session still seems to be there, without asking the server."""
        with suppress(DatabaseFailed):
            while not self.is_lost and self._poll_now():  # a goodbye, then the end
                self._pq(self._pgconn.consume_input)
        return not self.is_lost

    def close(self) -> None:
        """Close the session."""
        self.is_lost = True
        self.in_transaction = False
        self._session.close()

    # --- transactions ------------------------------------------------------------------------------------------------

    def _control(self, sql: str) -> bool:
        """Begin or end a transaction or a savepoint, if this does so; only a COMMIT is waited for."""
        if sql in _SAVEPOINTS:
            if sql == _RELEASE and self._unanswered:
                self._answers()
            elif sql == _ROLL_BACK_UNIT:
                self._forget()
            self._send_control(sql)
        elif statement := _BEGIN.get(sql):
            self.in_transaction, self._transaction = True, None
            self._send_control(statement)
            if sql == "BEGIN IMMEDIATE":
                self._send(_LOCK_TO_WRITE, translate(_LOCK_TO_WRITE), ())
        elif sql == "COMMIT":
            self.commit()
        elif sql == "ROLLBACK":
            self._roll_back()
        else:
            return False
        return True

    def commit(self, event_id: str | None = None) -> None:
        """Commit and wait until it is durable. If the answer is lost, an event of the transaction may tell the outcome.

        Raises DatabaseFailed if nothing was stored, and OutcomeUnknown if that can't be known.
        """
        if self._transaction is None:
            self._answers()  # its number, without which nobody could be asked for the outcome
        self.in_transaction = False
        self._send_control("COMMIT")
        transaction, self._transaction = self._transaction, None
        try:
            with self._within(_COMMIT_SECONDS):
                result = self._answers()
        except BaseException as error:  # passed on  # a loop's boundary
            if self.is_lost and transaction is not None:
                was_committed = self._outcome(transaction, event_id)
                if was_committed:
                    return
                if was_committed is None:
                    raise OutcomeUnknown(str(error)) from error
            self.in_transaction = not self.is_lost
            self._roll_back()
            raise
        if result is None or result.command_status != b"COMMIT":
            raise DatabaseFailed("the database failed: the server undid the transaction")

    def _outcome(self, transaction: str, event_id: str | None) -> bool | None:
        """Ask whether a transaction was committed. Raises OutcomeUnknown if anything keeps this process from asking."""
        try:
            return self._was_committed(transaction, event_id)
        except Exception as error:  # the commit may be stored all the same  # a loop's boundary
            raise OutcomeUnknown(str(error)) from error

    def _roll_back(self) -> None:
        if self.in_transaction:
            self.in_transaction = False
            self._forget()
            self._send_control("ROLLBACK")
            self._synchronize()

    def _forget(self) -> None:
        """Let nobody hear of errors of what was sent: it is undone. An error among it must not skip what undoes it."""
        if self._unanswered:
            self._synchronize()
            self._unanswered = 0
        self._forgotten = len(self._sent)

    # --- the pipeline ------------------------------------------------------------------------------------------------

    def _send_control(self, sql: str) -> None:
        self._pq(self._pgconn.send_query_params, sql.encode(), None)
        self._sent.append((sql, None))

    def _send(
        self,
        sql: str,
        statement: Statement,
        parameters: Mapping[str, Value] | Sequence[Value],
        answer: PostgresqlAnswer | None = None,
    ) -> None:
        values = statement.values(parameters)
        if self._unanswered >= _MOST_UNANSWERED:
            self._answers()
        prepared = self._prepared.get(sql)
        if prepared is None and self._is_worth_preparing(sql):
            prepared = self._prepared[sql] = _Prepared(b"s%d" % next(self._numbers))
            self._pq(self._pgconn.send_prepare, prepared.name, statement.text)
            self._sent.append((_PREPARE + sql, None))
        if prepared is None:
            self._pq(self._pgconn.send_query_params, statement.text, values)
        else:
            self._pq(self._pgconn.send_query_prepared, prepared.name, values)
        self._sent.append((sql, answer))
        self._unanswered += 1
        if self._unanswered % _SENT_TOGETHER == 0:
            self._pq(self._pgconn.flush)

    def _is_worth_preparing(self, sql: str) -> bool:
        """Tell whether a statement comes for the second time; lists of parameters have many lengths."""
        if len(self._prepared) >= _MOST_PREPARED:
            return False
        if len(self._uses) > 10 * _MOST_PREPARED:
            self._uses.clear()
        uses = self._uses[sql] = self._uses.get(sql, 0) + 1
        return uses > 1

    def _synchronize(self) -> None:
        """Send what is waiting to be sent."""
        self._pq(self._pgconn.pipeline_sync)
        self._sent.append((_SYNC, None))
        while self._pq(self._pgconn.flush):
            self._wait(select.POLLIN | select.POLLOUT)
            self._pq(self._pgconn.consume_input)

    def _answers(self) -> "pq.abc.PGresult | None":
        """Read all answers, and return the last. Raises the first error among them."""
        self._synchronize()
        self._unanswered = 0
        last: pq.abc.PGresult | None = None
        failed: tuple[str, psycopg.Error] | None = None
        while self._sent:
            sql, answer = self._sent.popleft()
            is_forgotten = self._forgotten > 0
            self._forgotten -= is_forgotten
            result = self._next()
            if sql == _SYNC:
                continue
            if result is None:
                raise self._lose(psycopg.OperationalError("the connection is lost"))
            self._next()  # None, after each command
            if result.status in _OK:
                last = result
                if answer is not None:
                    answer.given = result
                elif sql == _LOCK_TO_WRITE:
                    self._transaction = (result.get_value(0, 1) or b"").decode()
                continue
            if sql.startswith(_PREPARE):
                self._prepared.pop(sql.removeprefix(_PREPARE), None)
            if failed is None and not is_forgotten:
                failed = sql, errors.error_from_result(result)
        if failed is not None:
            raise self._failure(*failed)
        return last

    def _failure(self, sql: str, error: psycopg.Error) -> BaseException:
        if self._pgconn.status != pq.ConnStatus.OK:
            return self._lose(error)
        if sql.startswith("BEGIN") or sql == _LOCK_TO_WRITE:  # the transaction never began
            self._roll_back()
        return as_failure(error, writes=self._writes)

    def _next(self) -> "pq.abc.PGresult | None":
        try:
            while self._pgconn.is_busy():
                self._wait(select.POLLIN)
                self._pgconn.consume_input()
            result: pq.abc.PGresult | None = self._pgconn.get_result()
        except psycopg.Error as error:
            raise self._lose(error) from error
        return result

    def confirm(self, seconds: float) -> None:
        """Make sure that a standby which has to have every commit has all that can be read now.

        Raises DatabaseFailed if it doesn't within so many seconds.
        """
        with self._within(seconds):
            self.execute(primary.CONFIRM)

    @contextmanager
    def _within(self, seconds: float) -> Iterator[None]:
        """Wait no longer for answers than this, if there is a limit at all."""
        usual = self._answer_seconds
        self._answer_seconds = None if usual is None else min(usual, seconds)
        try:
            yield
        finally:
            self._answer_seconds = usual

    def _wait(self, events: int) -> None:
        """Wait for the server, and other threads run meanwhile. One that isn't there is soon waited for no more."""
        self._poll.modify(self._pgconn.socket, events)
        most = self._answer_seconds
        if most is None:
            self._poll.poll()
            return
        at_first = min(most, _DOUBT_SECONDS)
        if self._poll.poll(at_first * 1000):
            return
        if at_first == most or not primary.is_there(self._session):
            raise self._lose(psycopg.OperationalError(f"the server gave no answer for {at_first:.0f} seconds"))
        if not self._poll.poll((most - at_first) * 1000):
            raise self._lose(psycopg.OperationalError(f"the server gave no answer for {most:.0f} seconds"))

    def _poll_now(self) -> bool:
        self._poll.modify(self._pgconn.socket, select.POLLIN)
        return bool(self._poll.poll(0))

    def _pq(self, call: Any, *arguments: Any) -> Any:
        """Call libpq. Raises DatabaseFailed if the connection is lost."""
        try:
            return call(*arguments)
        except psycopg.Error as error:
            raise self._lose(error) from error

    def _lose(self, error: psycopg.Error) -> BaseException:
        self.close()
        return as_failure(error, writes=True)
