"""A PostgreSQL server of the benchmark's own, set as a shop's would be: what it confirms is on the disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.benchmarks._figures import cpu_seconds
from tests.support.postgresql import PostgresqlServer, find

_SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "autovacuum": "on",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
}


@contextmanager
def running_server() -> Iterator[PostgresqlServer]:
    """Run a server in a folder of its own."""
    programs = find()
    if programs is None:
        raise SystemExit("there is no PostgreSQL server: apt-get install postgresql")
    server = PostgresqlServer(programs, **_SETTINGS)
    try:
        server.start()
        yield server
    finally:
        server.remove()


def server_cpu_seconds(server: PostgresqlServer) -> float:
    """Return the processor time of a server's processes; those that have ended are left out."""
    total = 0.0
    for pid in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text("ascii").split():
        try:
            total += cpu_seconds(int(pid))
        except OSError:  # it has just ended
            continue
    return total
