"""Make one backup: a file that is complete or absent, readable by its owner only, and checked before it gets its name.

It includes every address given out so far, recorded in the database or in the files beside it
(`store.data_folder.given_out`).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crypto_checkout.core.errors import FatalError
from crypto_checkout.store import age_files, files, migrate
from crypto_checkout.store.age_files import UNENCRYPTED, Encryption
from crypto_checkout.store.data_folder import given_out, snapshot
from crypto_checkout.store.data_folder.snapshot import Note, Snapshot, in_a_sentence, unnoted


def back_up(
    database: Path, to: Path, *, overwrite: bool, encryption: Encryption = UNENCRYPTED, note: Note = unnoted
) -> Snapshot:
    """Copy a database, which a server may be using, into a file that is complete or absent; return what it is of.

    Raises:
        FatalError: The database can't be read, or the copy is damaged; an existing file at `to` is unchanged.
        FileExistsError: There is a file already, and `overwrite` is False.
        OSError: The file can't be created.

    """
    if to.exists() and to.samefile(database):
        raise FatalError(f"{to} is the database itself; choose another file for the copy.")
    if not overwrite and os.path.lexists(to):
        raise FileExistsError(to)
    with prepared(database, to, encryption, note) as (part, taken):
        put(part, to, overwrite=overwrite)
    return taken


@contextmanager
def prepared(database: Path, to: Path, encryption: Encryption, note: Note = unnoted) -> Iterator[tuple[Path, Snapshot]]:
    """Yield a complete backup that still lacks its name `to`, and the state that it is of; what isn't `put` goes.

    It was checked whole before it was encrypted. Raises as `back_up`.
    """
    migrate.refuse_emptied(database)
    # What isn't encrypted yet stays beside the database, which isn't either: the folder may be on another's disk.
    plain = database.resolve().with_name(to.name) if encryption else to
    files.remove_parts(to)
    files.remove_parts(plain)
    with files.part_of(plain) as part, in_a_sentence(database, copy=plain):
        taken = snapshot.copy(database, part, note)
        snapshot.check(part, taken, note)
        snapshot.refuse_foreign(part, database)
        # Read after copying, so that the files know at least as much as the copy.
        snapshot.move_wallets(
            part, {wallet_id: each.next_index for wallet_id, each in given_out.notes(database.parent).items()}
        )
        if not encryption:
            yield part, taken
            return
        with files.part_of(to.with_name(f"{to.name}.sealed")) as sealed:  # apart, where both folders are one
            _encrypt(part, sealed, encryption, note)
            yield sealed, taken


def _encrypt(part: Path, sealed: Path, encryption: Encryption, note: Note) -> None:
    breather, size = snapshot.Breather(), part.stat().st_size

    def after_piece(written: int) -> None:
        note("encrypting", min(1, written / size))
        breather.rest()

    note("encrypting", 0)
    age_files.encrypt(part, sealed, encryption, after_piece)
    part.unlink()


def put(part: Path, to: Path, *, overwrite: bool) -> None:
    """Give a complete backup its name, on the disk too. Raises FileExistsError unless it may `overwrite`."""
    if overwrite:
        part.replace(to)
    else:
        files.link(part, to)
    files.sync_folder(to.parent)
