"""Copy a database while a server writes to it, and hold the copy against the very state it was taken from.

The copy is of one moment: its read transaction lasts as long as the copying, so no write of others makes SQLite begin
again. Meanwhile the write-ahead log can't be reused, so the copying isn't slowed down without bound: it rests after
each piece, and no longer once the log has grown. Each piece is forced to the disk and then dropped from the memory, or
the server's next commit would wait for gigabytes to be written, and its tables make room for the copy.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from crypto_checkout.core.errors import FatalError
from crypto_checkout.store import migrate
from crypto_checkout.store.faults import advice, is_damage
from crypto_checkout.store.files import force
from crypto_checkout.store.sqlite.checkpoints import long_read

_STEP_BYTES = 1024 * 1024
_PIECE_BYTES = 8 * 1024 * 1024
_LONG_LOG_BYTES = 256 * 1024 * 1024
_REST_PER_WORK = 1.0
_LONGEST_REST_SECONDS = 1.0
_STEPS_BETWEEN_RESTS = 100_000
_CHECK_CACHE_KIB = 16 * 1024

Note = Callable[[str, float], None]
"""Takes the progress of a backup: the step (copying, checking, encrypting), and the share of it that is done."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state that a copy was taken from: the schema's version, the definitions in it, and each table's rows."""

    version: int
    definitions: frozenset[str]
    rows: tuple[tuple[str, int], ...]

    @property
    def sessions(self) -> int:
        """The number of sessions in it."""
        return dict(self.rows).get("checkout_sessions", 0)


def unnoted(_: str, __: float) -> None:
    """Note no progress."""


def copy(path: Path, to: Path, note: Note = unnoted) -> Snapshot:
    """Copy a database into an empty file without a write-ahead log, and return the state that the copy is of.

    Raises sqlite3.Error and OSError.
    """
    with (
        long_read(path) as source,
        _written_in_pieces(to) as end_piece,
        closing(sqlite3.connect(to, isolation_level=None)) as target,
    ):
        # The file is worth nothing until it is complete: what would undo a change of it is of no use.
        target.execute("PRAGMA journal_mode = OFF")
        target.execute("PRAGMA synchronous = OFF")
        (page_bytes,) = source.execute("PRAGMA page_size").fetchone()
        breather = Breather(lambda: _is_long(Path(f"{path.resolve()}-wal")))

        def after_step(_: int, remaining: int, total: int) -> None:
            end_piece((total - remaining) * page_bytes)
            note("copying", (total - remaining) / max(1, total))
            breather.rest()

        source.backup(target, pages=max(1, _STEP_BYTES // page_bytes), progress=after_step)
        snapshot = _state(source)
        target.execute("PRAGMA journal_mode = DELETE")
    return snapshot


def check(copied: Path, snapshot: Snapshot, note: Note = unnoted) -> None:
    """Read a whole copy and compare it with the state that it was taken from.

    Raises FatalError with what is wrong, sqlite3.Error and OSError.
    """
    breather = Breather()
    note("checking", 0)

    def after_steps() -> int:
        breather.rest()
        return 0

    with closing(connect(copied, "ro")) as connection:
        connection.execute(f"PRAGMA cache_size = -{_CHECK_CACHE_KIB}")
        connection.set_progress_handler(after_steps, _STEPS_BETWEEN_RESTS)
        found = [text for (text,) in connection.execute("PRAGMA integrity_check(1)")]
        if found != ["ok"]:
            raise FatalError(
                f"The copy is damaged ({found[0]}), and was removed. `crypto-checkout doctor` checks the database "
                "itself; if that is sound, check the disk of the copy."
            )
        there = _state(connection)
    if there.version != snapshot.version or there.definitions != snapshot.definitions:
        raise FatalError("The copy doesn't have the tables that were copied.")
    if there.rows != snapshot.rows:
        differs = ", ".join(sorted(name for name, _ in {*there.rows} ^ {*snapshot.rows}))
        raise FatalError(f"The copy doesn't have the rows that were copied: {differs}.")


def refuse_foreign(part: Path, path: Path) -> None:
    """Refuse `part`, a copy of `path`, if it is from a newer version, or not a database of this program."""
    with closing(connect(part, "ro")) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    newest = migrate.migrations()[-1].number
    if version > newest:
        raise FatalError(
            f"{path} was written by a newer version of crypto-checkout (schema {version}; this one knows {newest}). "
            "Nothing was changed; install that version first."
        )
    if not version or not {"wallets", "checkout_sessions", "events"} <= tables:
        raise FatalError(f"{path} is no database of crypto-checkout. Nothing was changed.")


def move_wallets(path: Path, wallets: Mapping[str, int]) -> None:
    """Make each wallet continue at an index or later."""
    with closing(connect(path, "rw")) as connection, connection:
        for wallet_id, index in wallets.items():
            connection.execute(
                """
                INSERT INTO wallets (wallet_id, next_index)
                VALUES (:wallet_id, :next_index)
                ON CONFLICT (wallet_id) DO UPDATE SET next_index = :next_index
                WHERE wallets.next_index < :next_index
                """,
                {"wallet_id": wallet_id, "next_index": index},
            )


@contextmanager
def in_a_sentence(path: Path, *, if_damaged: str | None = None, copy: Path | None = None) -> Iterator[None]:
    """Turn SQLite's errors into FatalError; `if_damaged` is the advice for a file that is no intact database.

    Where a `copy` of it is written, it is the disk of that which is full.
    """
    try:
        yield
    except sqlite3.Error as error:
        if copy is not None and getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise FatalError(f"{copy.parent} has no room for a copy of {path}. {advice(error, copy)}") from error
        way_out = if_damaged if if_damaged and is_damage(error) else advice(error, path)
        raise FatalError(f"{path} can't be used as a database: {error}. {way_out}") from error


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open a file that must exist; `mode` is "ro" or "rw"."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=30)


class Breather:
    """Rests after each piece of a long work, for as long as the piece took, to leave the machine to others.

    It doesn't while `is_pressing`.
    """

    def __init__(self, is_pressing: Callable[[], bool] = lambda: False) -> None:
        self._is_pressing = is_pressing
        self._since = time.monotonic()

    def rest(self) -> None:
        """Rest for as long as the work took since the last rest."""
        worked = time.monotonic() - self._since
        if not self._is_pressing():
            time.sleep(min(_LONGEST_REST_SECONDS, _REST_PER_WORK * worked))
        self._since = time.monotonic()


def _state(connection: sqlite3.Connection) -> Snapshot:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    schema = connection.execute("SELECT type, name, sql FROM sqlite_schema").fetchall()
    tables = sorted(name for kind, name, _ in schema if kind == "table" and not name.startswith("sqlite_"))
    rows = [(name, connection.execute(f'SELECT COUNT(*) FROM "{name}"').fetchone()[0]) for name in tables]  # noqa: S608
    return Snapshot(version, frozenset(f"{kind} {name} {sql}" for kind, name, sql in schema), tuple(rows))


def _is_long(log: Path) -> bool:
    try:
        return log.stat().st_size > _LONG_LOG_BYTES
    except FileNotFoundError:
        return False


@contextmanager
def _written_in_pieces(to: Path) -> Iterator[Callable[[int], None]]:
    """Yield what to call with the bytes written so far: it forces each piece to the disk; at the end the rest of it."""
    descriptor = os.open(to, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    forced = 0

    def end_piece(written: int) -> None:
        nonlocal forced
        if written - forced >= _PIECE_BYTES:
            force(descriptor)
            forced = written

    try:
        yield end_piece
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
