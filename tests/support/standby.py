"""A primary and its standby: two PostgreSQL servers, of which the second repeats what the first does.

    with two_servers(programs) as (primary, standby):
        url = reached_by(primary_network, standby_network, database)
        primary.stop(kill=True)
        standby.promote()

An acknowledged commit is on both, as `synchronous_standby_names` of the guide *Past one machine* asks for.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.support.postgresql import DURABLE, USER, PostgresqlServer
from tests.support.waiting import wait_until

NAME = "standby"


class Standby(PostgresqlServer):
    """A server that begins as a copy of another one, and follows it until it is promoted."""

    def __init__(self, programs: Path, primary: PostgresqlServer, **settings: str) -> None:
        super().__init__(programs, **settings)
        self._primary = primary

    def promote(self) -> None:
        """Have it take writes, as the primary from now on."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as session:
            assert session.execute("SELECT pg_promote(true, 60)").fetchone() == (True,)

    def initialize(self, *options: str) -> None:
        self.prepare_folder()
        origin = f"host={self._primary.folder} user={USER} application_name={NAME}"
        self._run_to_end(
            "pg_basebackup", "-D", "data", "-d", origin, "-R", "-X", "stream", "-c", "fast", "--no-sync", *options
        )


@contextmanager
def two_servers(programs: Path, **settings: str) -> Iterator[tuple[PostgresqlServer, Standby]]:
    """Start a primary, and a standby without which the primary confirms nothing."""
    with (
        PostgresqlServer(programs, **DURABLE, **settings) as primary,
        Standby(programs, primary, **DURABLE, **settings) as standby,
    ):
        primary.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{NAME}'")
        primary.execute("SELECT pg_reload_conf()")
        wait_until(lambda: is_synchronous(primary), "have a synchronous standby")
        yield primary, standby


def is_synchronous(primary: PostgresqlServer) -> bool:
    """Tell whether a standby confirms what the primary commits."""
    with psycopg.connect(primary.url("postgres"), autocommit=True) as session:
        rows = session.execute("SELECT sync_state FROM pg_stat_replication").fetchall()
    return ("sync",) in rows


def url(ports: list[int], database: str, options: str = "") -> str:
    """Return the URL of a database that is at one of some ports of this machine."""
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    return f"postgresql://{USER}@{hosts}/{database}{options}"
