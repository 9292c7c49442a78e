"""Copies of the whole database for a download: consistent, checked, and on the disk no longer than needed."""

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
from crypto_checkout.store.data_folder import backup
from crypto_checkout.store.database import Database

log = get_logger("backup")

_PREFIX = ".download-"


class BackupDownloads:
    """Makes them, one at a time, in a folder beside the database that its owner alone can read."""

    def __init__(self, db: Database, path: Path) -> None:
        self._db = db
        self._path = path
        self._one = asyncio.Lock()

    async def make(self, actor: Actor) -> BinaryIO:
        """Return a copy as of now, opened for reading; its space is free again once it is closed.

        Who took it is noted in the audit trail. Raises DatabaseFailed where none can be made: the disk is full, say.
        """
        async with self._one:
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


def _copy(path: Path) -> BinaryIO:
    # What a process left that was killed in the middle: no other is at work, as only one serves this folder.
    for left in path.parent.glob(f"{_PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=path.parent) as folder:
        file = Path(folder, "copy.db")
        backup.back_up(path, file, overwrite=False)
        # The name goes with the folder; what was opened can be read until it is closed, however the download ends.
        return file.open("rb")
