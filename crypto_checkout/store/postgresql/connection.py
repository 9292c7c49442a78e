"""One connection to a PostgreSQL server, with the names of sqlite3, for units of work.

It speaks through libpq's pipeline: what begins and ends transactions and savepoints isn't waited for, but travels with
the next statement. So a unit costs as many round trips as it has statements that it waits for, and one for the COMMIT.
"""

import select
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from itertools import count
from typing import Any, ClassVar

import psycopg
from psycopg import errors, pq
from psycopg.abc import AdaptContext
from psycopg.adapt import AdaptersMap, Loader, Transformer

from crypto_checkout.core.errors import DatabaseFailed
from crypto_checkout.store.postgresql import locks, primary
from crypto_checkout.store.postgresql.faults import as_failure
from crypto_checkout.store.postgresql.statements import Statement, translate
from crypto_checkout.store.units import Value

_ANSWER_SECONDS = 60.0
_COMMIT_SECONDS = 15.0  # a commit that takes longer waits for a standby that isn't there
_DOUBT_SECONDS = 10.0
"""The wait after which a server is asked, by another connection, whether it is there at all."""
_MOST_PREPARED = 500
_MOST_UNANSWERED = 100
_SAVEPOINTS = frozenset({"SAVEPOINT unit", "RELEASE unit", "ROLLBACK TO unit"})
_LOCK_TO_WRITE = f"SELECT pg_advisory_xact_lock({locks.SPACE}, {locks.WRITE})"
_TRANSACTION = "SELECT pg_current_xact_id()"
_BEGIN = {
    "BEGIN": ("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",),
    "BEGIN IMMEDIATE": ("BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE", _LOCK_TO_WRITE, _TRANSACTION),
}
"""The statements that begin a transaction as SQLite's do: one snapshot to read, or one writer at a time."""
_SYNC = ""
_PREPARE = "PREPARE"


class TupleRow(tuple[Any, ...]):
    """A row with its values by place and by name."""

    __slots__ = ()
    places: ClassVar[Mapping[str, int]] = {}

    def __getitem__(self, key: Any) -> Any:
        return tuple.__getitem__(self, self.places[key] if type(key) is str else key)

    def keys(self) -> list[str]:
        """Return the names of the columns."""
        return list(self.places)


@lru_cache(maxsize=4096)
def _row_type(names: tuple[bytes, ...]) -> type[TupleRow]:
    """Return the type of rows with these columns; of two with one name, the first has it."""
    places: dict[str, int] = {}
    for place, name in enumerate(names):
        places.setdefault(name.decode(), place)
    return type("TupleRow", (TupleRow,), {"__slots__": (), "places": places})


class _BooleanLoader(Loader):
    """Reads a comparison as SQLite answers it."""

    def load(self, data: Any) -> int:
        return int(bytes(data) == b"t")


class _NumericLoader(Loader):
    """Reads a sum of integers, which PostgreSQL answers as a numeric."""

    def load(self, data: Any) -> int | float:
        text = bytes(data).decode()
        return float(text) if "." in text else int(text)


def _adapters() -> AdaptContext:
    adapters = AdaptersMap(psycopg.adapters)
    adapters.register_loader("bool", _BooleanLoader)
    adapters.register_loader("numeric", _NumericLoader)
    return _Adapters(adapters)


class _Adapters:
    connection = None

    def __init__(self, adapters: AdaptersMap) -> None:
        self.adapters = adapters


_ADAPTERS = _adapters()


class PostgresqlAnswer:
    """The answer to a statement, as sqlite3.Cursor; read once."""

    def __init__(self, result: "pq.abc.PGresult") -> None:
        self._result = result

    @property
    def rowcount(self) -> int:
        """Number of changed rows."""
        return self._result.command_tuples or 0

    @property
    def lastrowid(self) -> int | None:
        """The `seq` that an INSERT by position returned."""
        value = self._result.get_value(0, 0)
        return None if value is None else int(value)

    def fetchone(self) -> TupleRow | None:
        """Return the first row, or None."""
        rows = self._rows(min(1, self._result.ntuples))
        return rows[0] if rows else None

    def fetchall(self) -> list[TupleRow]:
        """Return all rows."""
        return self._rows(self._result.ntuples)

    def __iter__(self) -> Any:
        return iter(self.fetchall())

    def _rows(self, count: int) -> list[TupleRow]:
        if not count:
            return []
        result = self._result
        names = tuple(result.fname(place) or b"" for place in range(result.nfields))
        transformer = Transformer(_ADAPTERS)
        transformer.set_pgresult(result)
        return transformer.load_rows(0, count, _row_type(names))


class PostgresqlConnection:
    """A session. It is used by one thread at a time, and is over when `is_lost`.

    `was_committed` tells of a transaction, by its number, whether it was committed although the answer was lost.
    """

    def __init__(
        self,
        session: "psycopg.Connection[Any]",
        *,
        writes: bool,
        answer_seconds: float | None = _ANSWER_SECONDS,
        was_committed: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.is_lost = False
        self.in_transaction = False
        self._session = session
        self._writes = writes
        self._answer_seconds = answer_seconds
        self._was_committed = was_committed
        self._transaction: str | None = None
        self._pgconn = session.pgconn
        self._pgconn.nonblocking = 1
        self._pgconn.enter_pipeline_mode()
        self._sent: deque[str] = deque()
        """The commands that aren't answered yet; empty ones are synchronizations."""
        self._uses: dict[str, int] = {}
        self._prepared: dict[str, bytes] = {}
        self._numbers = count()
        self._poll = select.poll()
        self._poll.register(self._pgconn.socket, select.POLLIN)

    # --- statements --------------------------------------------------------------------------------------------------

    def execute(self, sql: str, parameters: Mapping[str, Value] | Sequence[Value] = (), /) -> Any:
        """Run a statement, whose parameters are `:name` or `?`, and wait for its answer.

        Raises:
            DatabaseFailed: The server is lost or can't do it now.
            psycopg.Error: The statement is wrong, or breaks a constraint.

        """
        if self._control(sql):
            return None
        self._send(sql, translate(sql), parameters)
        result = self._answers()
        assert result is not None, "a statement has an answer"
        return PostgresqlAnswer(result)

    def executemany(self, sql: str, parameters: Iterable[Mapping[str, Value]], /) -> None:
        """Run a statement once for each set of parameters; they travel together."""
        statement = translate(sql)
        for number, each in enumerate(parameters, 1):
            self._send(sql, statement, each)
            if number % _MOST_UNANSWERED == 0:
                self._answers()
        self._answers()

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
            self._send_control(sql)
        elif statements := _BEGIN.get(sql):
            self.in_transaction = True
            for statement in statements:
                self._send_control(statement)
        elif sql == "COMMIT":
            self._commit()
        elif sql == "ROLLBACK":
            self._roll_back()
        else:
            return False
        return True

    def _commit(self) -> None:
        """Commit and wait until it is durable. Raises DatabaseFailed if nothing was stored."""
        self.in_transaction = False
        self._send_control("COMMIT")
        transaction, self._transaction = self._transaction, None
        try:
            with self._within(_COMMIT_SECONDS):
                result = self._answers()
        except DatabaseFailed:
            if self.is_lost and transaction is not None and self._was_committed(transaction):
                return
            raise
        if result is None or result.command_status != b"COMMIT":
            raise DatabaseFailed("the database failed: the server undid the transaction")

    def _roll_back(self) -> None:
        if self.in_transaction:
            self.in_transaction = False
            self._send_control("ROLLBACK")
            self._synchronize()

    # --- the pipeline ------------------------------------------------------------------------------------------------

    def _send_control(self, sql: str) -> None:
        self._pq(self._pgconn.send_query_params, sql.encode(), None)
        self._sent.append(sql)

    def _send(self, sql: str, statement: Statement, parameters: Mapping[str, Value] | Sequence[Value]) -> None:
        values = statement.values(parameters)
        name = self._prepared.get(sql)
        if name is None and self._is_worth_preparing(sql):
            name = self._prepared[sql] = b"s%d" % next(self._numbers)
            self._pq(self._pgconn.send_prepare, name, statement.text)
            self._sent.append(_PREPARE + sql)
        if name is None:
            self._pq(self._pgconn.send_query_params, statement.text, values)
        else:
            self._pq(self._pgconn.send_query_prepared, name, values)
        self._sent.append(sql)

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
        self._sent.append(_SYNC)
        while self._pq(self._pgconn.flush):
            self._wait(select.POLLIN | select.POLLOUT)
            self._pq(self._pgconn.consume_input)

    def _answers(self) -> "pq.abc.PGresult | None":
        """Read all answers, and return the last. Raises the first error among them."""
        self._synchronize()
        last: pq.abc.PGresult | None = None
        failed: tuple[str, psycopg.Error] | None = None
        while self._sent:
            sql = self._sent.popleft()
            result = self._next()
            if sql == _SYNC:
                continue
            if result is None:
                raise self._lose(psycopg.OperationalError("the connection is lost"))
            self._next()  # None, after each command
            if result.status in {pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK}:
                last = result
                if sql == _TRANSACTION:
                    self._transaction = (result.get_value(0, 0) or b"").decode()
                continue
            if sql.startswith(_PREPARE):
                self._prepared.pop(sql.removeprefix(_PREPARE), None)
            if failed is None:
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
        while self._pgconn.is_busy():
            self._wait(select.POLLIN)
            self._pq(self._pgconn.consume_input)
        result: pq.abc.PGresult | None = self._pq(self._pgconn.get_result)
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
