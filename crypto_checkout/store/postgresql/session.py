"""Open sessions on a PostgreSQL server, set as units of work need them."""

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from crypto_checkout.core.errors import DatabaseFailed, FatalError
from crypto_checkout.store.place import DatabaseServer
from crypto_checkout.store.postgresql import locks, primary
from crypto_checkout.store.postgresql.connection import PostgresqlConnection
from crypto_checkout.store.postgresql.faults import as_failure

OLDEST_VERSION = 150_000

_CONNECT_SECONDS = 5
_SET_UP_SECONDS = 10.0
_CONFIRM_SECONDS = 10.0
_OUTCOME_SECONDS = 10.0
_ASK_AGAIN_SECONDS = 0.1
_MOST_OF_A_NAME = 31  # of the 63 letters that a session's name may have
PROCESS = f"{f'{os.getpid()}@{socket.gethostname()}'[:_MOST_OF_A_NAME]}#{secrets.token_hex(3)}"
"""This process as others see it in the names of its sessions: 4242@shop-1#3fa9c1.

The last part is random: in containers, numbers and names of hosts may be the same.
"""

_STATE = """
SELECT (SELECT number FROM schema_version), (SELECT place FROM database_moves WHERE state = 'moved')
"""

_SETTINGS = {
    "lock_timeout": "5s",  # as SQLite waits for a file's lock
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "10s",  # a process that hangs doesn't keep others from writing
    "client_connection_check_interval": "5s",
    "tcp_keepalives_idle": "5",  # nor does one whose network was cut; without effect on a socket of this machine
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10s",
    "jit": "off",
    "timezone": "UTC",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
}
_SET = f"""
SELECT
    {", ".join(f"set_config('{name}', '{value}', false)" for name, value in _SETTINGS.items())},
    CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', false) END
"""
"""A lost commit would give an address out twice; a setting that waits for standbys too is left as it is."""


def connect(server: DatabaseServer, name: str) -> "psycopg.Connection[Any]":
    """Open a session that commits what is in no transaction; its name is in the server's `pg_stat_activity`.

    Raises:
        DatabaseFailed: The server can't be reached, or refuses.
        FatalError: It is too old, or its database has another encoding than UTF-8.

    """
    url = _current_url(server)
    try:
        session: psycopg.Connection[Any] = psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=_CONNECT_SECONDS,
            application_name=f"crypto-checkout {name} {PROCESS}",
            client_encoding="UTF8",
            tcp_user_timeout=30_000,
            keepalives_idle=15,
            keepalives_interval=5,
            keepalives_count=3,
            **primary.options(url),
        )
    except psycopg.Error as error:
        raise as_failure(error, writes=True) from error
    with _setting_up(session):
        _check(server, session)
        primary.refuse_earlier(server, session)
        session.execute(_SET.encode())
    return session


@contextmanager
def _setting_up(session: "psycopg.Connection[Any]") -> Iterator[None]:
    """Close a new session if what is done with it fails or takes too long. Raises DatabaseFailed then."""
    try:
        with cut_off_after(_SET_UP_SECONDS, session):
            yield
    except psycopg.Error as error:
        session.close()
        raise as_failure(error, writes=True) from error
    except (DatabaseFailed, FatalError):
        session.close()
        raise


def _current_url(server: DatabaseServer) -> str:
    """Return the URL as its file has it now, so that a new password needs no restart.

    One that names another database is not for a process that runs: it counts from the next start on.
    """
    if server.url_file is not None:
        with suppress(OSError, UnicodeDecodeError, psycopg.Error):
            now = server.url_file.read_text("utf-8").strip()
            if _database_of(now) == _database_of(server.url):
                return now
    return server.url


def _database_of(url: str) -> list[object]:
    named = conninfo_to_dict(url)
    return [named.get(key) for key in ("service", "host", "hostaddr", "port", "dbname")]


@contextmanager
def cut_off_after(seconds: float, session: "psycopg.Connection[Any]") -> Iterator[None]:
    """End the session if what is done with it takes longer: psycopg waits for a server that hangs without an end.

    Raises DatabaseFailed where the process has no descriptor left.
    """
    try:
        same = socket.socket(fileno=os.dup(session.fileno()))
    except OSError as error:
        raise DatabaseFailed(f"the database failed: {error}") from error
    timer = threading.Timer(seconds, _shut_down, (same,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        same.close()


def _shut_down(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def open_connection(server: DatabaseServer, name: str, *, writes: bool) -> PostgresqlConnection:
    """Open a session for units of work. Raises as `connect` does."""
    return _connection(server, connect(server, name), writes=writes)


def _connection(server: DatabaseServer, session: "psycopg.Connection[Any]", *, writes: bool) -> PostgresqlConnection:
    with _setting_up(session):
        incarnation = primary.incarnation(session)
    asking = partial(was_committed, server, incarnation)
    connection = PostgresqlConnection(session, writes=writes, was_committed=asking)
    connection.confirm(_CONFIRM_SECONDS)
    return connection


def was_committed(server: DatabaseServer, incarnation: str, transaction: str, event_id: str | None) -> bool | None:
    """Tell whether a transaction was committed, whose session is lost; None if that can't be known within some seconds.

    In the same incarnation of the server the transaction's number tells. In a later one, after a recovery or a
    failover, the number may have been given out again: then an event that the transaction recorded, by its random id,
    tells for both.
    """
    until = time.monotonic() + _OUTCOME_SECONDS
    while time.monotonic() < until:
        with suppress(DatabaseFailed, psycopg.Error), closing(connect(server, "outcome")) as session:
            is_same = primary.incarnation(session) == incarnation
            status = _status(session, transaction)
            if not is_same and status == "committed":
                status = _status_by_event(session, event_id)
            if status is None:
                return None
            if status == "committed":
                PostgresqlConnection(session, writes=True).confirm(max(1.0, until - time.monotonic()))
                return True
            if status != "in progress" or not is_same:
                return False
        time.sleep(_ASK_AGAIN_SECONDS)
    return None


def _status(session: "psycopg.Connection[Any]", transaction: str) -> str | None:
    """Return the status of the transaction that has this number now; of one that nobody had yet it is "aborted"."""
    try:
        row = session.execute("SELECT pg_xact_status(CAST(%s AS xid8))", (transaction,)).fetchone()
    except psycopg.errors.InvalidParameterValue:  # "is in the future"
        return "aborted"
    return None if row is None else row[0]


def _status_by_event(session: "psycopg.Connection[Any]", event_id: str | None) -> str | None:
    """Return the status of the transaction that recorded an event."""
    if event_id is None:
        return None
    row = session.execute("SELECT 1 FROM events WHERE id = %s", (event_id,)).fetchone()
    return "aborted" if row is None else "committed"


BeforeWriting = Callable[[PostgresqlConnection, bool], None]
"""Writes in a transaction, and is told whether other data are there than before: after a failover, or a restore."""


class ServingSession:
    """Opens the writing session of a process that serves, again whenever it was lost."""

    def __init__(self, server: DatabaseServer) -> None:
        self._server = server
        self.before_writing: BeforeWriting | None = None
        """Runs before anything is written in another incarnation of the server, or to other data."""
        self.data_id = ""
        """The id of the data that the newest session is on (`primary.data_id`)."""
        self._earlier: tuple[int, str] | None = None
        self._schema: int | None = None
        self._incarnation: str | None = None

    def open(self) -> PostgresqlConnection:
        """Open it, under a lock that keeps others from changing the tables.

        Raises FatalError if they are being changed, or were while it was lost, and as `connect` does.
        """
        session = connect(self._server, "writer")
        with _setting_up(session):
            self._end_earlier(session)
            try:
                session.execute("SELECT pg_advisory_lock_shared(%s, %s)", (locks.SPACE, locks.SERVE))
            except psycopg.errors.LockNotAvailable as error:
                raise FatalError(
                    f"The tables of {self._server} are being changed. Start again when that is done."
                ) from error
            self._refuse_changed(session)
            incarnation, data_id = primary.incarnation(session), primary.data_id(session)
        connection = _connection(self._server, session, writes=True)
        is_known = (incarnation, data_id) == (self._incarnation, self.data_id)
        if self.before_writing is not None and not is_known:
            try:
                connection.execute("BEGIN IMMEDIATE")
                self.before_writing(connection, data_id != self.data_id)
                connection.execute("COMMIT")
            except BaseException:  # passed on  # a loop's boundary
                connection.close()
                raise
        self._incarnation, self.data_id = incarnation, data_id
        return connection

    def _refuse_changed(self, session: "psycopg.Connection[Any]") -> None:
        """Raise FatalError if the tables were changed, or the database moved, while nothing kept others from it."""
        row = session.execute(_STATE.encode()).fetchone()
        assert row is not None
        schema, moved_to = row
        if self._schema is None:
            self._schema = schema
        elif schema != self._schema:
            raise FatalError(
                f"The tables of {self._server} were brought up to date by another version: install that one here too, "
                "and start this process again."
            )
        elif moved_to is not None:
            raise FatalError(f"{self._server} was moved to {moved_to} while it couldn't be reached: stop this process.")

    def _end_earlier(self, session: "psycopg.Connection[Any]") -> None:
        """End the earlier session, if it was cut off and the server hasn't noticed: others may wait for it."""
        if self._earlier is not None:
            session.execute(
                "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity "
                "WHERE pid = %s AND CAST(backend_start AS TEXT) = %s"
                # One whose commit waits for a standby would end it, and show what the standby doesn't have.
                " AND wait_event IS DISTINCT FROM 'SyncRep'",
                self._earlier,
            )
        self._earlier = session.execute(
            "SELECT pid, CAST(backend_start AS TEXT) FROM pg_stat_activity WHERE pid = pg_backend_pid()"
        ).fetchone()


def in_use(server: DatabaseServer, session: "psycopg.Connection[Any]") -> str:
    """Name the processes that serve a database, as far as the server shows them."""
    found = session.execute(locks.holders(locks.SERVE).encode()).fetchall()
    names = ", ".join(sorted({row[0] for row in found} - {""})) or "another process"
    return f"{server} is served by {names}."


def _check(server: DatabaseServer, session: "psycopg.Connection[Any]") -> None:
    """Raise FatalError if the server is too old, or its database has another encoding."""
    version = session.info.server_version
    if version < OLDEST_VERSION:
        raise FatalError(
            f"{server} is PostgreSQL {version // 10_000}; crypto-checkout needs {OLDEST_VERSION // 10_000} or newer."
        )
    encoding = session.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise FatalError(f"{server} is encoded as {encoding}: make a database with the encoding UTF8, and name that.")
