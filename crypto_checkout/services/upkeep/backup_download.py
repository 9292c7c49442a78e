"""Copies of the whole database for download: consistent, checked, and on disk no longer than needed."""

import asyncio
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from crypto_checkout.core.errors import DatabaseFailed, FatalError
from crypto_checkout.core.owner.audit import Action, Actor
from crypto_checkout.log import get_logger
from crypto_checkout.services.owner.audit import record
from crypto_checkout.store.backups import file as backup_file
from crypto_checkout.store.database import Database

log = get_logger("backup")

_PREFIX = ".download-"


class BackupDownloads:
    """Makes copies, one at a time, in a folder beside the database that only its owner can read."""

    def __init__(self, db: Database, path: Path) -> None:
        self._db = db
        self._path = path
        self._turn = asyncio.Lock()

    async def make(self, actor: Actor) -> BinaryIO:
        """Return a copy as of now, opened for reading; closing it frees its disk space.

        The audit trail records the download. Raises DatabaseFailed when no copy can be made, as on a full disk.
        """
        async with self._turn:
            try:
                copy = await asyncio.to_thread(_copy, self._path)
            except (FatalError, OSError) as error:
                log.warning("no copy of the database can be made for a download", error=str(error))
                raise DatabaseFailed(str(error)) from error
        with ExitStack() as stack:
            stack.enter_context(copy)
            await self._db.write(lambda unit: record(unit, actor, Action.BACKUP_DOWNLOADED))
            stack.pop_all()
        return copy


def remove_downloads(folder: Path) -> None:
    """Remove the copies of killed processes; no other process makes any, because only one serves this folder."""
    for left in folder.glob(f"{_PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)


def _copy(path: Path) -> BinaryIO:
    remove_downloads(path.parent)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=path.parent) as folder:
        file = Path(folder, "copy.db")
        backup_file.back_up(path, file, overwrite=False)
        # The name goes with the folder; the open file can be read until it is closed, however the download ends.
        return file.open("rb")
