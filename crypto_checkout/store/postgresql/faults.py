"""Faults of a PostgreSQL server: what it can't do now, told from bugs and phrased for the operator."""

import re

import psycopg

from crypto_checkout.core.errors import DatabaseDamaged, DatabaseFailed

_DAMAGE = frozenset({"XX001", "XX002"})
_CLASSES = frozenset({"08", "40", "53", "57", "58"})  # connection, conflict, resources, the operator, the system
_BUSY = "55P03"
_FULL, _CROWDED = "53100", "53300"
_PASSWORD, _USER, _NO_DATABASE, _NOT_READY = "28P01", "28000", "3D000", "57P03"
READ_ONLY = "25006"

_ADVICE = {
    _FULL: "Its disk is full: make room there, and start it again if it has ended.",
    _CROWDED: "It has too many connections: raise its max_connections, or end some.",
    READ_ONLY: "It takes no writes: it is a standby, is being restored, or is set to read only. Name the primary in "
    "[database] url, or wait until it is restored.",
    _BUSY: "Another program holds it: try again when that is done.",
    _PASSWORD: "It refuses the password: correct it in [database] url, or in the file that url_file names.",
    _USER: "It refuses this user: see its pg_hba.conf, and the user in [database] url.",
    _NO_DATABASE: "There is no such database: make it (createdb), or name another in [database] url.",
    "42501": "This user may not do that: make it the owner of the database.",
    _NOT_READY: "It is starting or stopping: try again in a moment.",
}
_WORDS = {
    "No space left on device": _FULL,
    "too many clients": _CROWDED,
    "too many connections": _CROWDED,
    "connection slots are reserved": _CROWDED,
    "password authentication failed": _PASSWORD,
    "no password supplied": _PASSWORD,
    "no pg_hba.conf entry": _USER,
    "is not permitted to log in": _USER,
    '" does not exist': _NO_DATABASE,
    "the database system is ": _NOT_READY,
    "session is read-only": READ_ONLY,
}
"""The words by which a refused connection is told, for which libpq gives no code. A server may say them in another
language: then the advice is the general one."""
_QUESTION = re.compile(r"\n\tIs the server running .*\?")
_BEFORE_IT = re.compile(r"(?:^|\n)(- host: .*?: )?connection (?:failed|is bad): (?=connection to )")
"""What libpq and psycopg say around the words that name the server and the cause: advice of ours follows those."""
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
    code = getattr(error, "sqlstate", None) or next((code for said, code in _WORDS.items() if said in str(error)), "")
    return _ADVICE.get(code, _CHECK)


def explained(error: BaseException) -> str:
    """Return a server's message, and advice about it, as sentences."""
    return f"{words(error).rstrip('.?')}. {advice(error)}"


def words(error: BaseException) -> str:
    """Return a server's message on one line; where several servers were tried, theirs, and not the last one's twice."""
    failures = _QUESTION.sub("", str(error).rpartition("All failures were:")[2])
    return " ".join(_BEFORE_IT.sub(lambda found: "; " if found[1] else "", failures).split()).removeprefix("; ")


def _failure(kind: type[DatabaseFailed], error: psycopg.Error) -> DatabaseFailed:
    failure = kind(f"the database failed: {explained(error)}")
    failure.__cause__ = error
    return failure
