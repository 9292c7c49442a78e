"""Checkpoints, which write a file's log back into it: of all that have it open, only one makes them.

- SQLite before 3.51.3, as many systems have it, can damage a file where two make checkpoints while a third commits
  (https://sqlite.org/wal.html#walresetbug). So commands leave them to the server.
- Litestream copies the log. Where somebody else wrote that back while Litestream was away, and so let it start over,
  Litestream 0.5.17 goes on with the new log, and misses the end of the old one: the replica is damaged and nobody says
  so. Where it starts over while Litestream first reads it, the same. So the server leaves them to Litestream, whether
  that runs or not; only a log that would fill the disk is emptied, and not started over: that is noticed.
"""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

_PAGES_BETWEEN = 1_000
_KEPT_BYTES = 16 * 1024 * 1024
_MOST_BYTES_WITHOUT = 64 * 1024 * 1024


def litestream_folder(path: Path) -> Path:
    """Return the folder in which Litestream remembers what it has copied of a file. It exists where that ever ran."""
    return path.with_name(f".{path.name}-litestream")


def is_left_to_litestream(path: Path) -> bool:
    """Tell whether Litestream copies a file, or did."""
    return litestream_folder(path).is_dir()


class Checkpoints:
    """The checkpoints of the connection that writes, on whichever thread it is used."""

    def __init__(self, path: Path, *, serves: bool) -> None:
        self._serves = serves
        self._folder = str(litestream_folder(path))
        self._log = f"{path}-wal"
        self._are_made: bool | None = None

    def prepare(self, connection: sqlite3.Connection) -> None:
        """Look before a commit, which may make one, whether it is to; Litestream may have come or gone."""
        are_made = self._serves and not os.path.isdir(self._folder)  # noqa: PTH112 - at each commit: half the time
        if are_made == self._are_made:
            return
        with suppress(sqlite3.Error):  # of a connection that can't commit either, which says why
            # The log is reused from its start; without this it would stay as large as one large write has made it.
            connection.execute(f"PRAGMA journal_size_limit = {_KEPT_BYTES}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_PAGES_BETWEEN if are_made else 0}")
            self._are_made = are_made

    def bound(self, connection: sqlite3.Connection) -> None:
        """Empty a log that Litestream leaves to grow, after a commit. Others wait meanwhile, for a second perhaps."""
        if self._are_made or not self._serves:
            return
        # The commit stands, whatever happens here; the next one tries again.
        with suppress(OSError, sqlite3.Error):
            if os.stat(self._log).st_size < _MOST_BYTES_WITHOUT:  # noqa: PTH116 - as above
                return
            # If a reader is in the way, all may be written back and the next commit start the log over: then that cuts
            # it off, so that Litestream notices.
            connection.execute("PRAGMA journal_size_limit = 0")
            (is_busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if not is_busy:
                connection.execute(f"PRAGMA journal_size_limit = {_KEPT_BYTES}")


def write_back(path: Path) -> None:
    """Make a checkpoint beside a server that goes on writing, unless Litestream makes them. Raises sqlite3.Error."""
    if is_left_to_litestream(path):
        return
    place = path.absolute().as_uri()
    with (
        closing(sqlite3.connect(f"{place}?mode=ro", uri=True, isolation_level=None)) as guard,
        closing(sqlite3.connect(f"{place}?mode=rw", uri=True, isolation_level=None)) as connection,
    ):
        # While a snapshot is open, no commit starts the log over (see above). BEGIN alone opens none.
        guard.execute("BEGIN")
        guard.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
