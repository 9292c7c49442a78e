"""Make a backup in the folder, and delete those that it supersedes; one at a time, whichever process asks.

A kill at any moment leaves the earlier backups as they were; what it left unfinished goes with the next one.
"""

import fcntl
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path

from crypto_checkout.core.backups import Rotation, name_of, order_of, superseded
from crypto_checkout.core.errors import FatalError
from crypto_checkout.core.sizes import size
from crypto_checkout.core.upkeep.space import LEAST_FREE_BYTES
from crypto_checkout.store import files
from crypto_checkout.store.age_files import Encryption
from crypto_checkout.store.backups import folder as backup_folder
from crypto_checkout.store.backups.file import prepared, put
from crypto_checkout.store.backups.folder import BackupFile, Contents
from crypto_checkout.store.data_folder.snapshot import Note, unnoted

_LOCK = "lock"


class BackupRunning(FatalError):
    """Another process is making a backup in this folder."""


@dataclass(frozen=True, slots=True)
class Job:
    """A backup to make: of which database, into which folder, to whom it is encrypted, and what is kept."""

    database: Path
    folder: Path
    encryption: Encryption
    rotation: Rotation


def make(job: Job, at: datetime, note: Note = unnoted) -> BackupFile:
    """Make a backup as of `at`, which is in its name, and return it.

    Raises:
        BackupRunning: Another one is being made.
        FatalError: The database can't be copied, the copy isn't sound, the disk has no room for it, or the folder is
            another database's; nothing has changed.
        OSError: The folder can't be written.

    """
    job.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _turn(job.folder):
        backup_folder.claim(job.folder, job.database)
        files.remove_parts(job.folder / _LOCK)
        require_room(job)
        path = _free_path(job, at)
        with prepared(job.database, path, job.encryption, note) as (part, taken):
            contents = Contents(part.stat().st_size, taken.sessions, taken.version)
            backup_folder.record(job.folder, job.database, path.name, contents)
            put(part, path, overwrite=False)
        rotate(job, at)
        return BackupFile(path, at.replace(microsecond=0), contents.size_bytes, contents)


def rotate(job: Job, now: datetime) -> None:
    """Delete the backups that newer ones supersede; those that weren't checked here are left alone. Raises OSError."""
    ours = {each.name for each in backup_folder.listing(job.folder) if each.is_verified}
    backup_folder.delete(job.folder, superseded(ours, now, job.rotation))


def require_room(job: Job) -> None:
    """Refuse a backup that would fill a disk: the server needs some of that of its database.

    Raises FatalError, and OSError.
    """
    taken = files.size_of(job.database) + files.size_of(job.database.with_name(f"{job.database.name}-wal"))
    needed = Counter({job.folder: taken})
    beside = job.database.resolve().parent
    is_same_disk = job.folder.stat().st_dev == beside.stat().st_dev
    if job.encryption:
        needed[job.folder if is_same_disk else beside] += taken  # the copy, until it is checked and encrypted
    for place, bytes_needed in needed.items():
        kept = LEAST_FREE_BYTES if is_same_disk or place == beside else 0
        free = shutil.disk_usage(place).free
        if free < bytes_needed + kept:
            more = f" besides {size(kept)} for the server" if kept else ""
            raise FatalError(
                f"The disk would fill: a backup takes about {size(bytes_needed)}{more}, and {size(free)} "
                f"are free in {place}. Free up space, or name another [backup] folder."
            )


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Keep others from making a backup here; the operating system ends it with the process."""
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BackupRunning(f"A backup is being made in {folder} already. Wait until it is complete.") from error
        yield
    finally:
        os.close(descriptor)


def _free_path(job: Job, at: datetime) -> Path:
    """Return a path after all those of the same second: the newest one is kept."""
    second = at.replace(microsecond=0)
    there = [order_of(each.name) for each in backup_folder.listing(job.folder) if each.made_at == second]
    for number in count(1 + max((number for _, number in there), default=0)):
        path = job.folder / name_of(at, number=number, encrypted=bool(job.encryption))
        if not os.path.lexists(path):
            return path
    raise AssertionError("count never ends")
