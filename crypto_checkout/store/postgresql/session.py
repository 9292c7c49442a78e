"""Open sessions on a PostgreSQL server, set as units of work need them."""

import os
import time
from contextlib import closing, suppress
from functools import partial
from typing import Any

import psycopg

from crypto_checkout.core.errors import DatabaseFailed, FatalError
from crypto_checkout.store.place import DatabaseServer
from crypto_checkout.store.postgresql import locks, primary
from crypto_checkout.store.postgresql.connection import PostgresqlConnection
from crypto_checkout.store.postgresql.faults import as_failure

OLDEST_VERSION = 150_000

_CONNECT_SECONDS = 5
_CONFIRM_SECONDS = 10.0
_OUTCOME_SECONDS = 10.0
_ASK_AGAIN_SECONDS = 0.1
_SETTINGS = {
    "lock_timeout": "5s",  # as SQLite waits for a file's lock
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "60s",  # a process that hangs doesn't keep others from writing
    "jit": "off",
    "timezone": "UTC",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
}


def connect(server: DatabaseServer, name: str) -> "psycopg.Connection[Any]":
    """Open a session that commits what is in no transaction; its name is in the server's `pg_stat_activity`.

    Raises:
        DatabaseFailed: The server can't be reached, or refuses.
        FatalError: It is too old, or its database has another encoding than UTF-8.

    """
    try:
        session: psycopg.Connection[Any] = psycopg.connect(
            server.url,
            autocommit=True,
            connect_timeout=_CONNECT_SECONDS,
            application_name=f"crypto-checkout {name} {os.getpid()}",
            client_encoding="UTF8",
            tcp_user_timeout=30_000,
            keepalives_idle=15,
            keepalives_interval=5,
            keepalives_count=3,
            **primary.options(server),
        )
    except psycopg.Error as error:
        raise as_failure(error, writes=True) from error
    try:
        _check(server, session)
        primary.refuse_earlier(server, session)
        for setting, value in _SETTINGS.items():
            session.execute("SELECT set_config(%s, %s, false)", (setting, value))
        # A lost commit would give an address out twice; what waits for standbys too is left as it is.
        session.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
    except psycopg.Error as error:
        session.close()
        raise as_failure(error, writes=True) from error
    except (DatabaseFailed, FatalError):
        session.close()
        raise
    return session


def open_connection(server: DatabaseServer, name: str, *, writes: bool) -> PostgresqlConnection:
    """Open a session for units of work. Raises as `connect` does."""
    return _connection(server, connect(server, name), writes=writes)


def _connection(server: DatabaseServer, session: "psycopg.Connection[Any]", *, writes: bool) -> PostgresqlConnection:
    try:
        life = primary.life(session)
    except psycopg.Error as error:
        session.close()
        raise as_failure(error, writes=True) from error
    connection = PostgresqlConnection(session, writes=writes, was_committed=partial(was_committed, server, life))
    connection.confirm(_CONFIRM_SECONDS)
    return connection


def was_committed(server: DatabaseServer, life: str, transaction: str) -> bool:
    """Tell whether a transaction was committed, whose session is lost; False if that can't be told within some seconds.

    So a write isn't called failed that is there, as far as the server can be asked. It can't once it has begun another
    life: the number may be that of another transaction by then.
    """
    until = time.monotonic() + _OUTCOME_SECONDS
    while time.monotonic() < until:
        with suppress(DatabaseFailed, psycopg.Error), closing(connect(server, "outcome")) as session:
            if primary.life(session) != life:
                return False
            row = session.execute("SELECT pg_xact_status(CAST(%s AS xid8))", (transaction,)).fetchone()
            if row is not None and row[0] == "committed":
                PostgresqlConnection(session, writes=True).confirm(max(1.0, until - time.monotonic()))
                return True
            if row is not None and row[0] != "in progress":
                return False
        time.sleep(_ASK_AGAIN_SECONDS)
    return False


class ServingSession:
    """The identity of a session that serves: its lock lives as long as it does, so a stale one can write nothing."""

    def __init__(self, server: DatabaseServer) -> None:
        self._server = server
        self._earlier: tuple[int, str] | None = None

    def open(self) -> PostgresqlConnection:
        """Open the writing session, alone among all processes.

        Raises FatalError if another process serves this database, and as `connect` does.
        """
        session = connect(self._server, "writer")
        try:
            self._alone(session)
        except psycopg.Error as error:
            session.close()
            raise as_failure(error, writes=True) from error
        except FatalError:
            session.close()
            raise
        return _connection(self._server, session, writes=True)

    def _alone(self, session: "psycopg.Connection[Any]") -> None:
        if not self._take(session):
            raise FatalError(in_use(self._server, session))
        self._earlier = session.execute(
            "SELECT pid, CAST(backend_start AS TEXT) FROM pg_stat_activity WHERE pid = pg_backend_pid()"
        ).fetchone()

    def _take(self, session: "psycopg.Connection[Any]") -> bool:
        """Take the lock; of an earlier session of this process, cut off but not noticed by the server, it is taken."""
        if try_lock(session, locks.SERVE):
            return True
        if self._earlier is None:
            return False
        session.execute(
            "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity "
            "WHERE pid = %s AND CAST(backend_start AS TEXT) = %s"
            # One whose commit waits for a standby would end it, and show what the standby doesn't have.
            " AND wait_event IS DISTINCT FROM 'SyncRep'",
            self._earlier,
        )
        return try_lock(session, locks.SERVE)


def try_lock(session: "psycopg.Connection[Any]", lock: int) -> bool:
    """Take a lock for as long as the session lives; return False if another session has it."""
    row = session.execute("SELECT pg_try_advisory_lock(%s, %s)", (locks.SPACE, lock)).fetchone()
    assert row is not None
    return bool(row[0])


def in_use(server: DatabaseServer, session: "psycopg.Connection[Any]") -> str:
    """Name the process that serves a database, as far as the server shows it."""
    row = session.execute(
        "SELECT application_name, COALESCE(host(client_addr), 'the machine of the database')"
        " FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE locktype = 'advisory' AND classid = %s AND objid = %s AND granted",
        (locks.SPACE, locks.SERVE),
    ).fetchone()
    process = f"process {row[0].split()[-1]} on {row[1]}" if row and row[0] else "another process"
    return (
        f"{server} is already served by {process}. Stop it first, or give this server its own [database] url and "
        "[server] port."
    )


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
