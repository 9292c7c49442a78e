"""The advisory locks of a database on a server, which no table shows: see `pg_locks`."""

from typing import Any

import psycopg

SPACE = 0x43434B54
"""The first of a lock's two numbers, so that ours are apart from those of other programs."""

WRITE = 1
"""Held by a transaction that writes, from its begin to its end."""

SERVE = 2
"""Shared by the sessions that servers of ours write through, so that nobody changes the tables under them."""

MIGRATE = 3
"""Held by the session that changes the tables."""

LEADER = 4
"""Held by the leader, through a session of its own: `election`."""


def take(session: "psycopg.Connection[Any]", lock: int) -> bool:
    """Take a lock for as long as a session lives; return False if another one has it, after waiting for `lock_timeout`.

    A process that has just ended still has its sessions for a moment.
    """
    try:
        session.execute("SELECT pg_advisory_lock(%s, %s)", (SPACE, lock))
    except psycopg.errors.LockNotAvailable:
        return False
    return True


def holders(lock: int) -> str:
    """Return the query for the sessions that hold a lock.

    `process` is the one that a session belongs to, empty where the server doesn't show it; `silent_seconds` is how long
    the server has not heard of it.
    """
    return f"""
    SELECT
        COALESCE(split_part(application_name, ' ', 3), '') AS process,
        EXTRACT(EPOCH FROM clock_timestamp() - state_change) AS silent_seconds
    FROM pg_locks
    JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND classid = {SPACE} AND objid = {lock} AND granted
        AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    """  # noqa: S608 - numbers of ours
