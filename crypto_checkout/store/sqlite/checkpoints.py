"""Checkpoints, which write a file's log back into it and let it start over: who makes them while it is served.

- Where Litestream never ran, the server. Commands leave them to it, and so does a backup, but at the end of its own
  long read (`long_read`): SQLite before 3.51.3, as many systems have it, can damage a file where somebody commits
  during a checkpoint that follows another one (https://sqlite.org/wal.html#walresetbug).
- Where it ever ran, Litestream, whether it runs now or not. It copies the log. Where that started over while Litestream
  was away, or first read it, and what Litestream knows of the old one is still in the file, 0.5.17 misses the rest: the
  replica is damaged, and nobody notices. So whoever commits beside it cuts off a log that starts over, and the server
  makes a checkpoint only where the log would grow without end.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

_PAGES_BETWEEN = 1_000
_MOST_BYTES = 16 * 1024 * 1024


def litestream_folder(path: Path) -> Path:
    """Return the folder in which Litestream remembers what it has copied of a file: beside the file, or its link."""
    beside_link, beside_file = _folders(path)
    return beside_file if beside_file.is_dir() else beside_link


def is_left_to_litestream(path: Path) -> bool:
    """Tell whether Litestream copies a file, or did."""
    return litestream_folder(path).is_dir()


def _folders(path: Path) -> tuple[Path, Path]:
    link, file = path.absolute(), path.resolve()
    return link.with_name(f".{link.name}-litestream"), file.with_name(f".{file.name}-litestream")


def make_none(connection: sqlite3.Connection) -> None:
    """Have a connection make no checkpoints, and cut the log off where one of its commits starts it over."""
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("PRAGMA journal_size_limit = 0")


class Checkpoints:
    """The checkpoints of the connection that writes, on whichever thread it is used."""

    def __init__(self, path: Path, *, serves: bool) -> None:
        self._serves = serves
        self._folders = sorted({str(each) for each in _folders(path)})
        self._log = f"{path.resolve()}-wal"
        self._are_made: bool | None = None
        self._most_bytes = _MOST_BYTES

    def prepare(self, connection: sqlite3.Connection) -> None:
        """Look before a commit, which may make one, whether it is to; Litestream may have come or gone."""
        are_made = self._serves and not any(map(os.path.isdir, self._folders))
        if are_made == self._are_made:
            return
        with suppress(sqlite3.Error):  # of a connection that can't commit either, which says why
            make_none(connection)
            if are_made:
                connection.execute(f"PRAGMA wal_autocheckpoint = {_PAGES_BETWEEN}")
            if are_made and self._are_made is None:
                # Faster; where Litestream was, the log is still cut off: it may come back, with the replica it had.
                connection.execute(f"PRAGMA journal_size_limit = {_MOST_BYTES}")
            self._are_made = are_made

    def bound(self, connection: sqlite3.Connection) -> None:
        """Empty a log that Litestream leaves to grow, after a commit, whose callers wait until that is done."""
        if self._are_made or not self._serves:
            return
        with suppress(OSError, sqlite3.Error):  # the commit stands, whatever happens here
            length = os.stat(self._log).st_size  # noqa: PTH116 - at each commit: half the time
            if length < self._most_bytes:
                return
            (is_busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            # A reader was in the way, such as Litestream itself: not again at the next commit.
            self._most_bytes = length + _MOST_BYTES if is_busy else _MOST_BYTES


@contextmanager
def long_read(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a snapshot; at its end write back what was committed meanwhile, or the server's next commit would, and wait.

    Raises sqlite3.Error.
    """
    place = path.absolute().as_uri()
    with (
        closing(sqlite3.connect(f"{place}?mode=rw", uri=True, timeout=30)) as connection,
        closing(sqlite3.connect(f"{place}?mode=ro", uri=True, timeout=30)) as guard,
    ):
        _open_snapshot(connection)
        before = _version(guard)
        yield connection
        # A snapshot keeps the log from starting over if some of it isn't written back yet when the snapshot is opened.
        # What was committed since the first snapshot can't be, until that ends.
        _open_snapshot(guard)
        has_grown = _version(guard) != before
        connection.execute("ROLLBACK")
        if has_grown and not is_left_to_litestream(path):
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")


def _open_snapshot(connection: sqlite3.Connection) -> None:
    # BEGIN alone opens none: the first read does.
    connection.execute("BEGIN")
    connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA data_version").fetchone()
    return int(version)
