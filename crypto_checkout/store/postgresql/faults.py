"""Faults of a PostgreSQL server: what it can't do now, told from bugs and phrased for the operator."""

import psycopg

from crypto_checkout.core.errors import DatabaseDamaged, DatabaseFailed

_DAMAGE = frozenset({"XX001", "XX002"})
_CLASSES = frozenset({"08", "40", "53", "57", "58"})  # connection, conflict, resources, the operator, the system
_BUSY = "55P03"
READ_ONLY = "25006"

_ADVICE = {
    "53100": "Its disk is full: make room there.",
    "53300": "It has too many connections: raise its max_connections, or end some.",
    READ_ONLY: "It takes no writes: it is a standby, or set to read only. Name the primary in [database] url.",
    _BUSY: "Another program holds it: try again when that is done.",
    "28P01": "It refuses the password: correct it in [database] url.",
    "28000": "It refuses this user: see its pg_hba.conf, and the user in [database] url.",
    "3D000": "There is no such database: make it (createdb), or name another in [database] url.",
    "42501": "This user may not do that: make it the owner of the database.",
    "57P03": "It is starting or stopping: try again in a moment.",
}
_CHECK = "Check that it runs, and that [database] url names it: psql with the same URL must reach it."


def as_failure(error: psycopg.Error, *, writes: bool) -> BaseException:
    """Return a fault of the server as a DatabaseFailed, and any other error, a bug, as it is.

    A read that tries to write is a bug; a write on a server that takes none is a fault.
    """
    state = error.sqlstate
    if state in _DAMAGE:
        return _failure(DatabaseDamaged, error)
    is_fault = state is None or state[:2] in _CLASSES or state == _BUSY or (writes and state == READ_ONLY)
    return _failure(DatabaseFailed, error) if is_fault else error


def advice(error: BaseException) -> str:
    """Return advice about a fault of the server, as a sentence."""
    while not isinstance(error, psycopg.Error) and error.__cause__ is not None:
        error = error.__cause__
    if "session is read-only" in str(error):  # libpq's words, without a code
        return _ADVICE[READ_ONLY]
    return _ADVICE.get(getattr(error, "sqlstate", None) or "", _CHECK)


def words(error: BaseException) -> str:
    """Return a server's message on one line; where several servers were tried, theirs, and not the last one's twice."""
    return " ".join(str(error).rpartition("All failures were:")[2].split())


def _failure(kind: type[DatabaseFailed], error: psycopg.Error) -> DatabaseFailed:
    failure = kind(f"the database failed: {words(error)}")
    failure.__cause__ = error
    return failure
