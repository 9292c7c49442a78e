"""Leader election: of all processes that serve one database, the leader follows chains, sends, and tidies up.

The leader holds an advisory lock, for as long as a session of its own lives. Once it has the lock it begins a *term*,
one more than the one before. All that a leader writes carries its term, and an earlier one is refused
(`store.group_commit.TERM`): so a leader that doesn't know yet that it was replaced, because it hung or its network was
cut, does no harm. This is called fencing.

The leader confirms its term each second. One that the server hasn't heard for `SILENT_SECONDS` is replaced: its
sessions are ended. By then it has stepped down by its own clock, unless it hangs.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime

import psycopg

from crypto_checkout.core import moments
from crypto_checkout.core.errors import DatabaseFailed
from crypto_checkout.core.upkeep.leader import NO_LEADER, ElectionState, Leader
from crypto_checkout.log import get_logger
from crypto_checkout.store.group_commit import leader_of
from crypto_checkout.store.place import DatabaseServer
from crypto_checkout.store.postgresql import locks
from crypto_checkout.store.postgresql.connection import PostgresqlConnection
from crypto_checkout.store.postgresql.session import PROCESS, connect

log = get_logger("leader")

SILENT_SECONDS = 6.0
"""The time without a word of the leader after which another process replaces it, by the database server's clock."""

_ANSWER_SECONDS = 4.0  # with the second between two confirmations: less than the others wait
_TAKE = f"SELECT pg_try_advisory_lock({locks.SPACE}, {locks.LEADER}) AS is_ours"
_LEADERS = locks.holders(locks.LEADER)
_END_ALL = """
SELECT COUNT(pg_terminate_backend(pid, 1000)) AS ended
FROM pg_stat_activity
WHERE datname = current_database()
    AND pid <> pg_backend_pid()
    AND split_part(application_name, ' ', 1) = 'crypto-checkout'
    AND split_part(application_name, ' ', 3) = :process
    AND wait_event IS DISTINCT FROM 'SyncRep'  -- to end it would show what the standby doesn't have
"""
_BEGIN_TERM = """
UPDATE leader
SET term = term + 1, process = :process, since = :since, asked_to_end = NULL
RETURNING term, process, since
"""
_ROW = "SELECT term, process, since, asked_to_end, seen FROM leader"


class PostgresqlElection:
    """A process's part in the election: each `turn` tries to lead, or confirms that it still does.

    It is used by one thread at a time, and blocks it for some seconds at most.
    """

    def __init__(self, server: DatabaseServer, clock: Callable[[], datetime]) -> None:
        self._server = server
        self._clock = clock
        self._connection: PostgresqlConnection | None = None
        self._own: Leader | None = None
        """This process as the leader, in its term; None where it doesn't lead."""

    def turn(self) -> ElectionState:
        """Lead if nobody does, or confirm it.

        Raises DatabaseFailed, and the process doesn't lead then.
        """
        try:
            if self._own is not None and self._connection is not None and not self._connection.is_alive():
                self.step_down()  # others may lead by now, and a new session may take long
                return NO_LEADER
            connection = self._open()
            if self._own is None:
                self._campaign(connection)
            return self._state(connection)
        except BaseException as error:  # passed on  # a loop's boundary
            self.step_down()
            if isinstance(error, psycopg.Error):
                raise DatabaseFailed(f"the database failed: {error}") from error
            raise

    def step_down(self) -> None:
        """Give up the lock, with the session that holds it. Repeating is safe."""
        self._own = None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> PostgresqlConnection:
        if self._connection is None or not self._connection.is_alive():
            session = connect(self._server, "leader")
            self._connection = PostgresqlConnection(session, writes=True, answer_seconds=_ANSWER_SECONDS)
        return self._connection

    def _campaign(self, connection: PostgresqlConnection) -> None:
        """Take the lock, even from a leader that hangs, and begin a term; or leave it to the leader there is."""
        if not connection.execute(_TAKE).fetchone()["is_ours"]:
            holder = connection.execute(_LEADERS).fetchone()
            if holder is None or holder["silent_seconds"] is None or holder["silent_seconds"] < SILENT_SECONDS:
                return
            process = holder["process"]
            log.warning("the leader is silent and will be replaced", process=process)
            connection.execute(_END_ALL, {"process": process})
            if not connection.execute(_TAKE).fetchone()["is_ours"]:
                return
        since = moments.to_text(self._clock())
        connection.execute("BEGIN IMMEDIATE")
        row = connection.execute(_BEGIN_TERM, {"process": PROCESS, "since": since}).fetchone()
        connection.execute("COMMIT")
        self._own = leader_of(row)

    def _state(self, connection: PostgresqlConnection) -> ElectionState:
        row = connection.execute(_ROW).fetchone()
        leader = leader_of(row)
        if self._own is not None and self._own != leader:
            self.step_down()  # another one began without the lock: the database was restored, say
            return NO_LEADER
        if self._own is None and connection.execute(_LEADERS).fetchone() is None:
            leader = None
        is_asked = row["asked_to_end"] == row["term"]
        return ElectionState(self._own is not None, leader, row["seen"], is_asked_to_step_down=is_asked)


def processes(server: DatabaseServer) -> tuple[Leader | None, Sequence[str]]:
    """Return who leads a server's database now, None while nobody does, and all processes that serve it, sorted.

    Raises DatabaseFailed.
    """
    with closing(PostgresqlConnection(connect(server, "question"), writes=False)) as connection:
        found = connection.execute(locks.holders(locks.SERVE)).fetchall()
        serving = sorted({row["process"] for row in found} - {""})
        row = connection.execute(_ROW).fetchone()
        is_led = connection.execute(_LEADERS).fetchone() is not None
        return leader_of(row) if is_led else None, serving
