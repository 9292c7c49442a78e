"""Copy the database while it is used, and put a copy back so that no address is given out twice.

A copy is one file, readable by its owner alone, that was checked before it got its name. It knows of every address that
was given out until then, whether the database or the files beside it (`store.data_folder.given_out`) knew. Which of
those that came later is known after a restore is `RestoreResult.wallets`.
"""

import math
import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from crypto_checkout.core import moments
from crypto_checkout.core.errors import FatalError
from crypto_checkout.store import migrate
from crypto_checkout.store.data_folder import files
from crypto_checkout.store.data_folder.given_out import GivenOut

LEAST_SKIPPED = 1_000
"""How many addresses are passed over at least where nothing tells how many were given out since the copy."""

_MOST_SKIPPED = 1_000_000
_SHORTEST_LIFE_SECONDS = 86_400
_SEQUENCE_GAP = 1_000_000


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """What a restore did.

    `kept` is the database that was there before, if there was one; `newest` the time of the copy's newest event.
    """

    kept: Path | None
    newest: datetime | None
    wallets: tuple["WalletMove", ...]


@dataclass(frozen=True, slots=True)
class WalletMove:
    """Where a wallet goes on. `is_known` tells whether what was given out since the copy is on record here."""

    wallet_id: str
    next_index: int
    is_known: bool


@dataclass(frozen=True, slots=True)
class _Memory:
    """What a database remembers: each wallet's next index, each table's last `seq`, its oldest and newest event.

    `went_on` tells whether it has the newest event of the copy: then it knows all that came after the copy, too.
    """

    wallets: Mapping[str, int]
    sequences: Mapping[str, int]
    oldest: datetime | None
    newest: datetime | None
    newest_event: str | None
    went_on: bool


_NOTHING = _Memory({}, {}, None, None, None, went_on=False)


# --- making a copy ---------------------------------------------------------------------------------------------------


def back_up(database: Path, to: Path, *, overwrite: bool) -> None:
    """Copy a database, which may be served meanwhile, into a file that is whole or not there.

    Raises:
        FatalError: It can't be read, or the copy is not sound; what was at `to` is still there.
        FileExistsError: There is a file already, and it may not be overwritten.
        OSError: The file can't be made.

    """
    if to.exists() and to.samefile(database):
        raise FatalError(f"{to} is the database itself; choose another file for the copy.")
    if not overwrite and os.path.lexists(to):
        raise FileExistsError(to)
    with _part_of(to) as part, _in_a_sentence(database):
        _copy(database, "rw", part)
        # Read after the copy was taken, so that it knows at least as much.
        _move(part, GivenOut(database.parent).next_indexes())
        _check(part, database)
        _put(part, to, overwrite=overwrite)


def _put(part: Path, to: Path, *, overwrite: bool) -> None:
    if overwrite:
        part.replace(to)
    else:
        files.link(part, to)
    files.sync_folder(to.parent)


# --- putting it back -------------------------------------------------------------------------------------------------


def restore(copy: Path, database: Path, wallet_ids: Collection[str], now: datetime, skip: int | None) -> RestoreResult:
    """Put a copy in the place of a database, which is kept beside it; for who holds the folder's lock only.

    Each wallet goes on behind all that is known to be given out: by the copy, by the database that was there, and by
    the files beside it. Where those know less than the copy, as on a new machine, many addresses are passed over.

    Args:
        copy: what `back_up` made, or any sound database of this program.
        database: where it goes.
        wallet_ids: wallets that go on, beside those of the copy.
        now: the time.
        skip: how many addresses to pass over in that case; None: by the pace at which they were given out.

    Raises:
        FatalError: The copy is not a sound database of this program; nothing has changed.
        OSError: A file can't be made.

    """
    given_out = GivenOut(database.parent)
    database = database.resolve()
    if database.exists() and copy.samefile(database):
        raise FatalError(f"{copy} is the database itself; name the copy that is to take its place.")
    with _part_of(database) as part:
        with _in_a_sentence(copy):
            _copy(copy, "ro", part)
            _check(part, copy)
            copied = _remember(part)
        before = _remember_if_possible(database, copied.newest_event)
        moved = tuple(_moved_wallets(copied, before, given_out.next_indexes(), wallet_ids, _Skip(now, skip)))
        _move(part, {each.wallet_id: each.next_index for each in moved})
        _raise_sequences(part, before.sequences)
        _end_logins(part)
        kept = _replace(part, database, now)
    for each in moved:
        if each.next_index:
            given_out.note(each.wallet_id, each.next_index - 1)
    given_out.close()
    return RestoreResult(kept, copied.newest, moved)


@dataclass(frozen=True, slots=True)
class _Skip:
    """How far to move where nothing is known: so many addresses, or by the pace until `now`."""

    now: datetime
    addresses: int | None

    def after(self, index: int, copied: _Memory) -> int:
        """Return how many addresses to pass over: twice what the pace until the copy gives for the time since."""
        if self.addresses is not None:
            return self.addresses
        if copied.oldest is None or copied.newest is None:
            return LEAST_SKIPPED
        life = max(_SHORTEST_LIFE_SECONDS, (copied.newest - copied.oldest).total_seconds())
        since = max(0.0, (self.now - copied.newest).total_seconds())
        return min(_MOST_SKIPPED, max(LEAST_SKIPPED, math.ceil(2 * index * since / life)))


def _moved_wallets(
    copied: _Memory, before: _Memory, noted: Mapping[str, int], wallet_ids: Collection[str], skip: _Skip
) -> Iterator[WalletMove]:
    """Decide where each wallet goes on; `noted` is what the files beside the database know."""
    for wallet_id in sorted({*copied.wallets, *before.wallets, *noted, *wallet_ids}):
        index = copied.wallets.get(wallet_id, 0)
        recorded = max(before.wallets.get(wallet_id, 0), noted.get(wallet_id, 0))
        # A record that knows less than the copy is of another life, like that of a new machine.
        # A number that the operator gives counts whatever the records say.
        if skip.addresses is None and (before.went_on or recorded >= max(1, index)):
            yield WalletMove(wallet_id, max(index, recorded), is_known=True)
        else:
            yield WalletMove(wallet_id, max(recorded, index + skip.after(index, copied)), is_known=False)


def _replace(part: Path, database: Path, now: datetime) -> Path | None:
    """Put the part in place; return the name under which the database that was there is kept.

    A log of the old database must not stay: SQLite would write it into the new one.
    """
    kept = None
    if database.exists():
        kept = _free_name(database.with_name(f"{database.name}.before-restore-{now:%Y%m%d-%H%M%S}"))
        for ending in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                database.with_name(database.name + ending).rename(kept.with_name(kept.name + ending))
        files.link(database, kept)  # a second name, so that at no moment is there no database
    part.replace(database)
    files.sync_folder(database.parent)
    return kept


def _free_name(path: Path) -> Path:
    number = 1
    free = path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


def _raise_sequences(path: Path, before: Mapping[str, int]) -> None:
    """See to it that no `seq` is used again: those who poll hold cursors from after the copy."""
    with closing(_connect(path, "rw")) as connection, connection:
        for table, seq in connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall():
            raised = max(seq + _SEQUENCE_GAP, before.get(table, 0))
            connection.execute(
                "UPDATE sqlite_sequence SET seq = :seq WHERE name = :name", {"seq": raised, "name": table}
            )


def _end_logins(path: Path) -> None:
    """End the logins that the copy holds: some of them were ended since, perhaps because a browser was stolen."""
    with closing(_connect(path, "rw")) as connection, connection:
        # A copy by an older version has no such table.
        if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'logins'").fetchone():
            connection.execute("DELETE FROM logins")


# --- both ------------------------------------------------------------------------------------------------------------


@contextmanager
def _part_of(path: Path) -> Iterator[Path]:
    """Give an empty file beside a path, for its owner alone, that is gone at the end."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600, exist_ok=False)
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _in_a_sentence(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise FatalError(
            f"{path} can't be used as a database: {error}. Check that it is one of crypto-checkout, that this user may "
            "read it, and that the disk has room."
        ) from error


def _copy(path: Path, mode: str, to: Path) -> None:
    """Copy a database as of one moment, as a single file without a log of its own."""
    with closing(_connect(path, mode)) as source, closing(sqlite3.connect(to, isolation_level=None)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")
    with to.open("rb") as file:
        os.fsync(file.fileno())


def _check(part: Path, path: Path) -> None:
    """Refuse what is damaged, of a newer program, or no database of this one: `part`, which was copied from `path`.

    Raises FatalError or sqlite3.Error.
    """
    with closing(_connect(part, "ro")) as connection:
        found = [text for (text,) in connection.execute("PRAGMA integrity_check(1)")]
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    newest = migrate.migrations()[-1].number
    if found != ["ok"]:
        raise FatalError(f"{path} is damaged ({found[0]}). Nothing was changed; use a copy from before that.")
    if version > newest:
        raise FatalError(
            f"{path} was written by a newer version of crypto-checkout (schema {version}; this one knows {newest}). "
            "Nothing was changed; install that version first."
        )
    if not version or not {"wallets", "checkout_sessions", "events"} <= tables:
        raise FatalError(f"{path} is no database of crypto-checkout. Nothing was changed.")


def _remember(path: Path, event_of_copy: str | None = None) -> _Memory:
    # For writing, so that SQLite brings the log into the file when this is the last connection.
    with closing(_connect(path, "rw")) as connection:
        wallets = connection.execute("SELECT wallet_id, next_index FROM wallets").fetchall()
        sequences = connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall()
        (oldest,) = connection.execute("SELECT MIN(created_at) FROM events").fetchone()
        end = connection.execute("SELECT id, created_at FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        known = connection.execute("SELECT 1 FROM events WHERE id = :id", {"id": event_of_copy}).fetchone()
    event_id, newest = end or (None, None)
    return _Memory(
        wallets=dict(wallets),
        sequences=dict(sequences),
        oldest=moments.from_optional_text(oldest),
        newest=moments.from_optional_text(newest),
        newest_event=event_id,
        went_on=known is not None,
    )


def _remember_if_possible(path: Path, event_of_copy: str | None) -> _Memory:
    """Ask a database that may be missing or damaged: perhaps that is why there is a restore."""
    if not path.exists():
        return _NOTHING
    try:
        return _remember(path, event_of_copy)
    except (sqlite3.Error, ValueError):
        return _NOTHING


def _move(path: Path, wallets: Mapping[str, int]) -> None:
    """Have each wallet go on at an index, or behind it."""
    with closing(_connect(path, "rw")) as connection, connection:
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


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=30)
