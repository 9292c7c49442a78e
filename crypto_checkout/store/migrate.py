"""Migrate a database file to the current schema.

Each migration is a numbered file. All that are pending apply together, in one transaction: where one fails, the
database stays as it was, and the version of the program that wrote it still works with it.
"""

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from crypto_checkout.core.errors import DatabaseTooNew, FatalError
from crypto_checkout.core.sizes import size
from crypto_checkout.encryption import Cipher
from crypto_checkout.store.faults import advice
from crypto_checkout.store.migrations import STEPS, Migration, migrations, statements
from crypto_checkout.store.place import DatabaseServer
from crypto_checkout.store.secret_key import open_cipher
from crypto_checkout.store.sqlite import checkpoints

__all__ = [
    "STEPS",
    "Migration",
    "bytes_needed",
    "copy_before",
    "log_of_emptied",
    "migrate",
    "migrations",
    "pending",
    "refuse_emptied",
    "schema",
]

_BUSY_TIMEOUT_SECONDS = 30
_COPIES = 2


def migrate(place: Path | DatabaseServer) -> list[Migration]:
    """Create the file or the server's tables if they are missing, apply pending migrations, and return them.

    An existing file is copied first, to `NAME.before-0002` beside it. Repeating is safe, also from two processes.

    Raises:
        DatabaseTooNew: A newer version of the program wrote this database.
        DatabaseFailed: The server can't be reached.
        FatalError: The engine refused, or the disk has too little room; nothing was changed.
        OSError: The file, its folder or the copy can't be made.

    """
    if isinstance(place, DatabaseServer):
        from crypto_checkout.store.postgresql import schema as tables

        return tables.migrate(place)
    path = place
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _alone_in(path.parent):
        refuse_emptied(path)
        for part in path.parent.glob(f"{path.name}.before-*.part*"):  # of a killed process: none other is here
            part.unlink(missing_ok=True)
        if not path.exists():
            path.touch(mode=0o600)  # SQLite's default lets others read it; -wal and -shm inherit the mode
        try:
            return _bring_up_to_date(path)
        except sqlite3.Error as error:
            raise FatalError(
                f"{path} can't be brought up to date: {error}. Nothing in it was changed, so the version of "
                f"crypto-checkout that wrote it still works with it. {advice(error, path)}"
            ) from error


def bytes_needed(path: Path) -> int:
    """Return about how much free disk a run of migrations takes: a copy, and the log of what it changes.

    Beside an existing file only; a new one takes nothing worth mentioning.
    """
    log = path.with_name(f"{path.name}-wal")
    return _COPIES * sum(file.stat().st_size for file in (path, log) if file.exists())


def pending(place: Path | DatabaseServer) -> list[Migration]:
    """Return the pending migrations of a database without changing it: all of them if there is none.

    Raises:
        DatabaseTooNew: A newer version of the program wrote this file.
        DatabaseFailed: The server can't be reached.
        FatalError: The file can't be read.

    """
    if isinstance(place, DatabaseServer):
        from crypto_checkout.store.postgresql import schema as tables

        return tables.pending(place)
    path = place
    refuse_emptied(path)
    if not path.exists():
        return migrations()
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return _missing(connection, path)
    except sqlite3.Error as error:
        raise FatalError(f"{path} can't be read: {error}. {advice(error, path)}") from error


def log_of_emptied(path: Path) -> Path | None:
    """Return the write-ahead log of a database whose own file is missing or empty; None where there is no such log.

    SQLite deletes the log when it opens the file, and with it what may be all that is left.
    """
    log = path.with_name(f"{path.name}-wal")
    try:
        is_left = log.stat().st_size > 0
        return log if is_left and (not path.exists() or path.stat().st_size == 0) else None
    except FileNotFoundError:
        return None


def refuse_emptied(path: Path) -> None:
    """Raise FatalError if the database's file is missing or empty while its write-ahead log is there."""
    log = log_of_emptied(path)
    if log is not None:
        state = "is empty" if path.exists() else "is missing"
        raise FatalError(
            f"{path} {state}, but {log.name} beside it holds {log.stat().st_size:,} bytes of what was written last: "
            "the database was lost, and the log alone can't be read. Nothing was touched. Put the file back if you "
            "have it, or put the newest backup back, which keeps the log beside it: crypto-checkout restore latest. To "
            f"begin anew, move {log.name} elsewhere and start again."
        )


def copy_before(path: Path, first: Migration) -> Path:
    """Return the path of the copy made before a run of migrations; `first` is the first of the run."""
    return path.with_name(f"{path.name}.before-{first.number:04}")


def schema(connection: sqlite3.Connection) -> str:
    """Return the current tables and indexes as SQL, as kept for readers in `store/schema.sql`."""
    rows = connection.execute(
        "SELECT sql"
        " FROM sqlite_schema"
        " WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
        " ORDER BY tbl_name, type DESC, name"
    )
    head = "-- Today's tables, for reading. Made from migrations/ by scripts/schema; a change is a new migration.\n\n"
    return head + "\n\n".join(f"{sql};" for (sql,) in rows) + "\n"


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Let only one process migrate at a time.

    SQLite's own lock is not enough: of two processes that switch a new file to WAL, one fails at once with "database is
    locked" (reproduced), and a second copy could be made after the first migration.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _bring_up_to_date(path: Path) -> list[Migration]:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=_BUSY_TIMEOUT_SECONDS)) as connection:
        missing = _missing(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        checkpoints.make_none(connection)  # Litestream may run
        # What a step replaces must not stay in free pages, nor in the write-ahead log.
        connection.execute("PRAGMA secure_delete = ON")
        cipher = open_cipher(path.parent)
        if missing:
            _apply(connection, missing, cipher, path)
        if not STEPS.keys().isdisjoint(migration.number for migration in missing):
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return missing


def _missing(connection: sqlite3.Connection, path: Path) -> list[Migration]:
    known = migrations()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > known[-1].number:
        raise DatabaseTooNew(
            f"{path} was written by a newer version of crypto-checkout (schema {version}; this one knows "
            f"{known[-1].number}). Install that version again, or restore a copy that was made before the upgrade."
        )
    return [migration for migration in known if migration.number > version]


def _apply(connection: sqlite3.Connection, missing: Sequence[Migration], cipher: Cipher, path: Path) -> None:
    """Apply migrations, after a copy of an existing database; no other process can write between the two.

    They run statement by statement, because `executescript` would commit the transaction that makes them atomic.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        if missing[0].number > 1:
            _refuse_without_room(path)
            _copy(path, copy_before(path, missing[0]))
        for migration in missing:
            for statement in statements(migration.sql):
                connection.execute(statement)
            if migration.number in STEPS:
                STEPS[migration.number](connection, cipher)
        connection.execute(f"PRAGMA user_version = {missing[-1].number}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _refuse_without_room(path: Path) -> None:
    needed, free = bytes_needed(path), shutil.disk_usage(path.parent).free
    if free < needed:
        raise FatalError(
            f"Bringing {path} up to date takes about {size(needed)} of free space, for a copy and for what it changes; "
            f"there are {size(free)}. Nothing was changed, so the version of crypto-checkout that "
            "wrote it still works with it. Free up space, then start again."
        )


def _copy(path: Path, to: Path) -> None:
    """Copy the whole database, under a temporary name so that a torn copy never looks like a good one.

    The copy uses its own connection: a backup would wait for ever for a transaction of the connection it reads from.
    """
    part = to.with_name(to.name + ".part")
    part.unlink(missing_ok=True)
    try:
        part.touch(mode=0o600)
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(part)) as target:
            source.backup(target)
        part.replace(to)
    finally:
        part.unlink(missing_ok=True)
