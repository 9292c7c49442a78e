"""The server that takes writes: with a standby there are two, and after a failover the earlier one may come back.

A session is opened with the one that takes writes, whichever the URL names first. One on a server that an earlier
failover has replaced is refused: what it stores is lost to the others. PostgreSQL counts failovers in the *timeline*.
"""

import hashlib
import socket
import struct
import threading
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from crypto_checkout.core.errors import DatabaseFailed
from crypto_checkout.store.place import DatabaseServer

_QUESTION_SECONDS = 5.0
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)  # "SSLRequest" of PostgreSQL's protocol
CONFIRM = """
SELECT
    CASE
        WHEN current_setting('synchronous_standby_names') <> '' THEN pg_logical_emit_message(true, 'checkout', '')
    END
"""
"""Writes to the log alone, so that its commit waits for the standby: then the standby has all that can be read now.

A server that restarted shows commits which it never confirmed, and which its standby may lack.
"""

_TIMELINE = """
SELECT
    CAST(system_identifier AS TEXT),
    CASE WHEN pg_is_in_recovery() THEN NULL ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END
FROM pg_control_system()
"""
_DATABASE_AND_TABLE = """
SELECT CAST(oid AS TEXT) || ' ' || COALESCE(CAST(CAST(to_regclass('database_life') AS OID) AS TEXT), '')
FROM pg_database
WHERE datname = current_database()
"""
_INCARNATION = """
SELECT CAST(pg_postmaster_start_time() AS TEXT) || ' ' || COALESCE(CAST(stats_reset AS TEXT), '')
FROM pg_stat_wal
"""
_newest: dict[str, int] = {}
"""The newest timeline of each server's data, by the number that a standby shares with its primary."""
_newest_alone = threading.Lock()


def options(url: str) -> dict[str, Any]:
    """Return the connection's options by which it is with the server that takes writes, unless the URL has its own."""
    chosen = conninfo_to_dict(url).get("target_session_attrs")
    return {} if chosen else {"target_session_attrs": "read-write"}


def timeline(session: "psycopg.Connection[Any]") -> tuple[str, int]:
    """Return the number that a primary's data shares with its standby's, and how often they have failed over."""
    row = session.execute(_TIMELINE).fetchone()
    assert row is not None
    return row[0], int(row[1] or "0", 16)


def data_id(session: "psycopg.Connection[Any]") -> str:
    """Return 16 hex digits that change when the database fails over, or is restored in a usual way.

    Going back to an earlier moment begins another timeline, a dump makes other tables, and a copy is another database.
    The ways without a trace are an earlier state of the server's disk, and rows that take the place of others.
    """
    row = session.execute(_DATABASE_AND_TABLE).fetchone()
    assert row is not None
    return hashlib.sha256(repr((timeline(session), row[0])).encode()).hexdigest()[:16]


def refuse_earlier(server: DatabaseServer, session: "psycopg.Connection[Any]") -> None:
    """Raise DatabaseFailed if this process has already been with a later primary of the same data.

    It remembers that as long as it runs.
    """
    system, present = timeline(session)
    with _newest_alone:
        newest = _newest[system] = max(present, _newest.get(system, 0))
    if present < newest:
        raise DatabaseFailed(
            f"the database failed: {session.info.host}:{session.info.port} of {server} was the primary before a "
            "failover, and takes writes again. Stop it: what is stored there is lost to the others."
        )


def incarnation(session: "psycopg.Connection[Any]") -> str:
    """Return what differs after each start of the server, each recovery from a crash and each failover.

    Numbers of transactions count within one incarnation: one that was never on the disk is given out again in the next.
    (A recovery resets the server's statistics, also where its first process lived on.)
    """
    row = session.execute(_INCARNATION).fetchone()
    assert row is not None
    return str(row[0])


def is_there(session: "psycopg.Connection[Any]") -> bool:
    """Tell whether the server of a session takes connections; this waits for some seconds at most.

    It is asked whether it would encrypt, which it answers to anybody, however many connections it has.
    """
    info = session.info
    is_local = info.host.startswith("/")
    place: Any = f"{info.host}/.s.PGSQL.{info.port}" if is_local else (info.hostaddr or info.host, info.port)
    try:
        if is_local:
            asking = socket.socket(socket.AF_UNIX)
            asking.settimeout(_QUESTION_SECONDS)
            asking.connect(place)
        else:
            asking = socket.create_connection(place, _QUESTION_SECONDS)
        with asking:
            asking.sendall(_SSL_REQUEST)
            return bool(asking.recv(1))
    except OSError:
        return False
