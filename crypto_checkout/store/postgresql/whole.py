"""A server's database as a whole, for moving all rows of a database from it, or into it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

import psycopg
from psycopg import sql as compose

from crypto_checkout.core.errors import DatabaseFailed, FatalError
from crypto_checkout.store.migrations.catalog import CatalogTable
from crypto_checkout.store.place import DatabaseServer
from crypto_checkout.store.postgresql import locks
from crypto_checkout.store.postgresql.faults import explained
from crypto_checkout.store.postgresql.session import connect, in_use
from crypto_checkout.store.postgresql.statements import translate

_INDEXES = """
SELECT indexname, indexdef
FROM pg_indexes
WHERE schemaname = current_schema() AND tablename = ANY(%s)
AND NOT EXISTS (
    SELECT FROM pg_constraint
    WHERE conindid = CAST(quote_ident(schemaname) || '.' || quote_ident(indexname) AS regclass)
)
ORDER BY indexname
"""


class WholeServer:
    """A session on a migrated database that no process of ours serves. It is used by one thread at a time."""

    def __init__(self, server: DatabaseServer, session: "psycopg.Connection[Any]") -> None:
        self._server = server
        self._session = session
        self._cursor = psycopg.RawCursor(session)
        self._is_durable = "on"

    def __str__(self) -> str:
        return str(self._server)

    @classmethod
    @contextmanager
    def open(cls, server: DatabaseServer) -> "Iterator[WholeServer]":
        """Open a session, and keep servers from this database. Raises FatalError, whatever fails while it is open."""
        try:
            session = connect(server, "copy")
        except DatabaseFailed as error:
            raise unusable(server, error) from error
        with closing(session):
            try:
                session.execute("SET idle_in_transaction_session_timeout = 0")  # while the other side works
                session.execute("SET maintenance_work_mem = '256MB'")
                if not locks.take(session, locks.SERVE):
                    raise FatalError(f"{in_use(server, session)} Stop every process that serves it first.")
                if not locks.take(session, locks.MIGRATE):
                    raise FatalError(f"{server} is being copied or brought up to date: wait until that is done.")
                yield cls(server, session)
            except psycopg.Error as error:
                raise unusable(server, error) from error

    def hold(self) -> None:
        """Begin a transaction with one snapshot, in which nobody else writes."""
        # Before the transaction: its snapshot is taken with its first statement, and must have all that was written.
        self._session.execute("SELECT pg_advisory_lock(%s, %s)", (locks.SPACE, locks.WRITE))
        self._session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ WRITE")

    def prepare_to_load(self) -> None:
        """Have commits not wait for the disk: a crash loses the last ones, of which the copy then knows nothing."""
        self._is_durable = self._value("SELECT current_setting('synchronous_commit')")
        self._session.execute("SET synchronous_commit = off")

    def begin(self) -> None:
        """Begin a transaction."""
        self._session.execute("BEGIN")

    def commit(self, *, durably: bool = False) -> None:
        """Commit; with `durably`, all that was committed before is on the disk too, and on a standby that is asked."""
        if durably:
            self._session.execute("SELECT set_config('synchronous_commit', %s, false)", (self._is_durable,))
        self._session.execute("COMMIT")

    def execute(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """Run a statement, written as for SQLite."""
        statement = translate(sql)
        values = [(parameters or {})[name] for name in statement.names or ()]
        return self._cursor.execute(statement.text, values)

    def insert(self, table: CatalogTable, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows of a table, with values in the order of its columns."""
        names = compose.SQL(", ").join(map(compose.Identifier, table.columns))
        into = compose.SQL("COPY {} ({}) FROM STDIN").format(compose.Identifier(table.name), names)
        with self._session.cursor() as cursor, cursor.copy(into) as copy:
            for row in rows:
                copy.write_row(row)

    def clear(self, tables: Sequence[CatalogTable]) -> None:
        """Delete all rows."""
        names = compose.SQL(", ").join(compose.Identifier(table.name) for table in tables)
        self._session.execute(compose.SQL("TRUNCATE {}").format(names))

    def indexes(self, tables: Sequence[CatalogTable]) -> Mapping[str, str]:
        """Return the indexes that aren't part of a key, and the statements that make them."""
        names = [table.name for table in tables]
        return dict(self._session.execute(_INDEXES.encode(), (names,)).fetchall())

    def last_numbers(self, tables: Sequence[CatalogTable]) -> Mapping[str, int]:
        """Return the last `seq` that was given in each of these tables, if any ever was."""
        found = {}
        for table in tables:
            sequence = self._value("SELECT pg_get_serial_sequence(%s, 'seq')", table.name)
            last = self._value("SELECT pg_sequence_last_value(CAST(CAST(%s AS TEXT) AS regclass))", sequence)
            if last is not None:
                found[table.name] = int(last)
        return found

    def set_last_numbers(self, tables: Sequence[CatalogTable], numbers: Mapping[str, int]) -> None:
        """Have each table's `seq` go on after its number, or after its last row."""
        for table in tables:
            highest = self._value(f"SELECT MAX(seq) FROM {table.name}")  # noqa: S608 - a name of the schema
            last = max(numbers.get(table.name, 0), highest or 0)
            if last:
                self._value("SELECT setval(CAST(pg_get_serial_sequence(%s, 'seq') AS regclass), %s)", table.name, last)

    def finish_load(self) -> None:
        """Let the planner know the tables as they are now."""
        self._session.execute("ANALYZE")

    def _value(self, sql: str, *parameters: Any) -> Any:
        row = self._session.execute(sql.encode(), parameters).fetchone()
        return None if row is None else row[0]


def unusable(server: DatabaseServer, error: BaseException) -> FatalError:
    """Return a fault of a server as a sentence with what to do."""
    return FatalError(f"{server} can't be used: {explained(error.__cause__ or error)}")
