"""Restore a backup without giving out any address twice; `store.backups` makes them.

A backup includes every address given out so far, recorded in the database or in the files beside it
(`store.data_folder.given_out`). For addresses given out since, see `RestoreResult.wallets`.
"""

import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from crypto_checkout import encryption
from crypto_checkout.core import moments
from crypto_checkout.core.errors import FatalError
from crypto_checkout.encryption import Cipher
from crypto_checkout.store import age_files, files, migrate, secret_key
from crypto_checkout.store.age_files import Key
from crypto_checkout.store.data_folder import carried_over, given_out, lock, restore_guard, snapshot
from crypto_checkout.store.data_folder.skipping import BUSIEST_HOUR, Skip
from crypto_checkout.store.data_folder.snapshot import connect, in_a_sentence

_SEQUENCE_GAP = 1_000_000


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """The result of a restore.

    `kept` is the replaced database, if there was one; `newest` the time of the backup's newest event. `is_carried`
    tells whether what was revoked or changed since was taken from the replaced database (`carried_over`). `active_keys`
    are the API keys that are good now, `lost_secrets` the secrets that need a key that isn't here.
    """

    kept: Path | None
    newest: datetime | None
    wallets: tuple["WalletMove", ...]
    is_carried: bool
    active_keys: tuple[str, ...]
    lost_secrets: "LostSecrets"


@dataclass(frozen=True, slots=True)
class LostSecrets:
    """The secrets that can't be read with the keys of the data folder: URLs of endpoints, and the second factor's."""

    endpoints: tuple[str, ...]
    second_factor: bool


@dataclass(frozen=True, slots=True)
class WalletMove:
    """A wallet's next index after a restore; `is_known`: addresses given out since the backup are on record."""

    wallet_id: str
    next_index: int
    is_known: bool


@dataclass(frozen=True, slots=True)
class _Contents:
    """The contents of a database that matter: each wallet's next index, each table's last `seq`, its range of events.

    `busiest` is the most sessions that it made within an hour. `is_later` tells whether it has the newest event of the
    backup, and so knows all that came after the backup too.
    """

    wallets: Mapping[str, int]
    sequences: Mapping[str, int]
    oldest: datetime | None
    newest: datetime | None
    newest_event: str | None
    busiest: int
    life: str | None
    is_later: bool
    is_damaged: bool = False


_NOTHING = _Contents({}, {}, None, None, None, 0, None, is_later=False)
_DAMAGED = replace(_NOTHING, is_damaged=True)


def restore(
    copy: Path, database: Path, wallet_ids: Collection[str], skip: Skip, life: str, key: Key | None = None
) -> RestoreResult:
    """Replace a database by a copy, and keep it beside the new one. The caller must hold the folder's lock.

    Each wallet continues after all addresses known to be given out: from the copy, the replaced database, and the files
    beside it. If those know less than the copy, as on a new machine, many addresses are skipped. What was revoked since
    the copy stays revoked, where the replaced database knows it.

    Args:
        copy: a backup, or any intact database of this program.
        database: the path to restore to.
        wallet_ids: wallets to include beside those of the copy.
        skip: how many addresses to skip in that case.
        life: the new name of the database (`store.data_folder.life`).
        key: decrypts the copy; None for one that isn't encrypted.

    Raises:
        FatalError: The copy is not an intact database of this program, or needs another key, or another process has
            the database open, or has written to it meanwhile; nothing has changed.
        OSError: A file can't be created.

    """
    noted, revoked = given_out.notes(database.parent), restore_guard.revoked_keys(database.parent)
    database = database.resolve()
    if database.exists() and copy.samefile(database):
        raise FatalError(f"{copy} is the database itself; name the copy that is to take its place.")
    with lock.open_to_nobody(database):
        files.remove_parts(database)
    with files.part_of(database) as part:
        with in_a_sentence(copy, if_damaged="Nothing was changed; use another copy."):
            if key is None:
                _copy(copy, part)
            else:
                _decrypt(copy, part, key)
            _check(part, copy)
            copied = _read_contents(part)
        before, state = _read_contents_if_possible(database, copied), _state_of_files(database)
        moved = tuple(_moved_wallets(copied, before, noted, wallet_ids, skip))
        snapshot.move_wallets(part, {each.wallet_id: each.next_index for each in moved})
        _raise_sequences(part, before.sequences)
        _end_logins(part)
        is_carried = before.is_later and carried_over.carry(database, part, skip.now)
        _revoke(part, revoked, skip.now)
        named = _begin_life(part, life)
        active_keys = _active_keys(part)
        secret_key.bring(copy, database.parent)
        lost_secrets = _lost_secrets(part, secret_key.open_cipher(database.parent))
        kept = _replace(part, database, state, skip.now)
    records = given_out.GivenOut(database.parent, life if named else None)
    for each in moved:
        records.begin(each.wallet_id, each.next_index)
    records.close()
    return RestoreResult(kept, copied.newest, moved, is_carried, active_keys, lost_secrets)


def _moved_wallets(
    copied: _Contents,
    before: _Contents,
    noted: Mapping[str, given_out.GivenOutNote],
    wallet_ids: Collection[str],
    skip: Skip,
) -> Iterator[WalletMove]:
    """Decide each wallet's next index; `noted` are the indexes in the files beside the database."""
    for wallet_id in sorted({*copied.wallets, *before.wallets, *noted, *wallet_ids}):
        index = copied.wallets.get(wallet_id, 0)
        note = noted.get(wallet_id, given_out.GivenOutNote(0, None))
        recorded = max(before.wallets.get(wallet_id, 0), note.next_index)
        # A record behind the copy belongs to another installation, such as a new machine.
        # A number given by the operator takes precedence over all records.
        is_known = before.is_later or (note.life == copied.life and note.next_index >= max(1, index))
        if skip.addresses is None and is_known and before.is_damaged:
            # Perhaps by a power cut, which takes the last seconds from a record that isn't forced to the disk.
            yield WalletMove(wallet_id, max(index, recorded) + skip.least, is_known=False)
        elif skip.addresses is None and is_known:
            yield WalletMove(wallet_id, max(index, recorded), is_known=True)
        else:
            begin = index if skip.addresses is not None else max(index, recorded)
            next_index = max(recorded, begin + skip.after(index, copied.oldest, copied.newest, copied.busiest))
            yield WalletMove(wallet_id, next_index, is_known=False)


def _replace(part: Path, database: Path, state: Sequence[int], now: datetime) -> Path | None:
    """Put the new file in place; return the path at which the replaced database is kept.

    The old database's write-ahead log must not stay: SQLite would apply it to the new one. Raises FatalError if another
    process has the database open, or has changed it since it was in this `state`.
    """
    kept = _free_name(database.with_name(f"{database.name}.before-restore-{now:%Y%m%d-%H%M%S}"))
    was_there = database.exists()
    with lock.open_to_nobody(database):
        if _state_of_files(database) != state:
            raise FatalError(f"Another command changed {database} meanwhile. It stays as it is now; restore again.")
        with _moved_logs(database, kept):
            if was_there:
                files.link(database, kept)  # a second name, so that there is a database at every moment
            part.replace(database)
    files.sync_folder(database.parent)
    return kept if was_there else None


def _state_of_files(database: Path) -> tuple[int, ...]:
    """Return what each write to a database changes: the time and size of its file, and the size of its log."""
    found: tuple[int, ...] = ()
    with suppress(FileNotFoundError):
        status = database.stat()
        found += (status.st_mtime_ns, status.st_size)
    log = database.with_name(f"{database.name}-wal")
    return (*found, log.stat().st_size if log.exists() else 0)


@contextmanager
def _moved_logs(database: Path, kept: Path) -> Iterator[None]:
    """Move the log files of a database to its new name, and back if it can't be replaced."""
    moved: list[tuple[Path, Path]] = []
    try:
        for ending in ("-wal", "-shm"):
            log, to = database.with_name(database.name + ending), kept.with_name(kept.name + ending)
            with suppress(FileNotFoundError):
                log.rename(to)
                moved.append((log, to))
        yield
    except OSError:
        kept.unlink(missing_ok=True)
        for log, to in moved:
            to.rename(log)
        raise


def _free_name(path: Path) -> Path:
    number = 1
    free = path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


def _raise_sequences(path: Path, before: Mapping[str, int]) -> None:
    """Make sure that no `seq` is reused: polling clients hold cursors from after the copy."""
    with closing(connect(path, "rw")) as connection, connection:
        for table, seq in connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall():
            raised = max(seq + _SEQUENCE_GAP, before.get(table, 0))
            connection.execute(
                "UPDATE sqlite_sequence SET seq = :seq WHERE name = :name", {"seq": raised, "name": table}
            )


def _end_logins(path: Path) -> None:
    """End all logins of the copy: some may have been ended since, perhaps because a browser was stolen."""
    with closing(connect(path, "rw")) as connection, connection:
        # A copy made by an older version has no such table.
        if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'logins'").fetchone():
            connection.execute("DELETE FROM logins")


def _begin_life(path: Path, life: str) -> bool:
    """Give the copy a name of its own; False for one by an older version, which gets its name when it is served."""
    with closing(connect(path, "rw")) as connection, connection:
        if not _has_life(connection):
            return False
        connection.execute("UPDATE database_life SET id = :life", {"life": life})
        return connection.execute("SELECT 1 FROM database_life").fetchone() is not None


def _revoke(path: Path, ids: Collection[str], now: datetime) -> None:
    """Revoke the keys that are on record as revoked (`restore_guard`), where the replaced database can't tell."""
    with closing(connect(path, "rw")) as connection, connection:
        connection.executemany(
            "UPDATE api_keys SET revoked_at = :now WHERE id = :id AND revoked_at IS NULL",
            [{"id": each, "now": moments.to_text(now)} for each in ids],
        )


def _active_keys(path: Path) -> tuple[str, ...]:
    """Return the prefixes and names of the API keys that aren't revoked, oldest first."""
    with closing(connect(path, "ro")) as connection:
        rows = connection.execute("SELECT prefix, name FROM api_keys WHERE revoked_at IS NULL ORDER BY seq").fetchall()
    return tuple(f"{prefix}… ({name})" for prefix, name in rows)


def _lost_secrets(path: Path, cipher: Cipher) -> LostSecrets:
    def is_lost(secret: str, place: str) -> bool:
        return encryption.is_encrypted(secret) and cipher.decrypt(secret, place) is None

    with closing(connect(path, "ro")) as connection:
        endpoints = connection.execute("SELECT id, url, secret FROM webhook_endpoints ORDER BY seq").fetchall()
        has_account = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'admin'").fetchone()
        account = connection.execute("SELECT totp_secret FROM admin").fetchone() if has_account else None
    return LostSecrets(
        tuple(url for endpoint_id, url, secret in endpoints if is_lost(secret, encryption.of_endpoint(endpoint_id))),
        bool(account and account[0] and is_lost(account[0], encryption.SECOND_FACTOR)),
    )


def _has_life(connection: sqlite3.Connection) -> bool:
    """Tell whether a database is of a version that gives it a name."""
    return connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'database_life'").fetchone() is not None


# --- reading databases -----------------------------------------------------------------------------------------------


def _copy(path: Path, to: Path) -> None:
    """Copy a snapshot of a database into a single file without a write-ahead log."""
    with closing(connect(path, "ro")) as source, closing(sqlite3.connect(to, isolation_level=None)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")
    with to.open("rb") as file:
        os.fsync(file.fileno())


def _decrypt(copy: Path, part: Path, key: Key) -> None:
    """Decrypt a backup into a single file without a write-ahead log."""
    age_files.decrypt(copy, part, key)
    with closing(connect(part, "rw")) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")


def _check(part: Path, path: Path) -> None:
    """Refuse `part`, a copy of `path`, if it is damaged, from a newer version, or not a database of this program.

    Raises FatalError or sqlite3.Error.
    """
    with closing(connect(part, "ro")) as connection:
        found = [text for (text,) in connection.execute("PRAGMA integrity_check(1)")]
    if found != ["ok"]:
        raise FatalError(f"{path} is damaged ({found[0]}). Nothing was changed; use a copy from before that.")
    snapshot.refuse_foreign(part, path)
    _refuse_triggers(part, path)


def _refuse_triggers(part: Path, path: Path) -> None:
    """Refuse a trigger, of which no version has any: it could put another's address into each session that is made."""
    with closing(connect(part, "ro")) as connection:
        found = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchone()
    if found is not None:
        raise FatalError(
            f"{path} has a trigger, {found[0]!r}. It changes what the server writes and isn't crypto-checkout's: "
            "somebody may have tampered with this file. Nothing was changed; use another copy. If the trigger is "
            "yours, drop it there first."
        )


def _read_contents(path: Path, event_of_copy: str | None = None) -> _Contents:
    # Opened for writing, so that SQLite checkpoints the log when this is the last connection.
    with closing(connect(path, "rw")) as connection:
        wallets = connection.execute("SELECT wallet_id, next_index FROM wallets").fetchall()
        sequences = connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall()
        (oldest,) = connection.execute("SELECT MIN(created_at) FROM events").fetchone()
        end = connection.execute("SELECT id, created_at FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        (busiest,) = connection.execute(BUSIEST_HOUR).fetchone()
        known = connection.execute("SELECT 1 FROM events WHERE id = :id", {"id": event_of_copy}).fetchone()
        life = connection.execute("SELECT id FROM database_life").fetchone() if _has_life(connection) else None
    event_id, newest = end or (None, None)
    return _Contents(
        wallets=dict(wallets),
        sequences=dict(sequences),
        oldest=moments.from_optional_text(oldest),
        newest=moments.from_optional_text(newest),
        newest_event=event_id,
        busiest=busiest or 0,
        life=None if life is None else life[0],
        is_later=known is not None,
    )


def _read_contents_if_possible(path: Path, copied: _Contents) -> _Contents:
    """Read a database that may be missing or damaged, which may be the reason for the restore."""
    if migrate.log_of_emptied(path) is not None:
        return _DAMAGED
    if not path.exists():
        return _NOTHING
    try:
        before = _read_contents(path, copied.newest_event)
    except (sqlite3.Error, ValueError):
        return _DAMAGED
    # Old events are deleted, so a later state of the same database may lack the copy's newest one.
    if before.life is None or before.life != copied.life or before.newest is None or copied.newest is None:
        return before
    return replace(before, is_later=before.is_later or before.newest >= copied.newest)
