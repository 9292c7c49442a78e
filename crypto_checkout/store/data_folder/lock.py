"""The lock on the data folder: one server per folder. Command-line tools don't take it.

A file that SQLite has open carries a lock of SQLite's, by which every program that uses it is noticed.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from crypto_checkout.core.errors import FolderInUse

_SHARED_FIRST = 0x40000002  # SQLite's file format, "The Lock-Byte Page"; in WAL mode it is held as long as it is open
_SHARED_SIZE = 510


class FolderLock:
    """An exclusive lock that the operating system drops when the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "lock"
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Acquire the lock.

        Raises:
            FolderInUse: Another process holds it; the message names that process.

        """
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with ExitStack() as undo:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            undo.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise FolderInUse(_in_use(self.path.parent, os.read(descriptor, 20))) from error
            try:
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()}\n".encode())
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(self.path)) from error
            undo.pop_all()
        self._descriptor = descriptor

    def release(self) -> None:
        """Release the lock. The file stays: removing it could remove a lock just acquired by another process."""
        if self._descriptor is not None:
            with suppress(OSError):  # a disk that became read-only keeps the number of a process that is gone
                os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


@contextmanager
def open_to_nobody(database: Path) -> Iterator[None]:
    """Keep a database from being opened; raise FolderInUse if another process has it open.

    If it were replaced, that process would go on with the old one, and what it writes would be lost; Litestream would
    copy pages of both. The caller must not open it meanwhile: closing it would drop the lock.
    """
    with ExitStack() as held:
        with suppress(FileNotFoundError):
            _lock_alone(held.enter_context(database.open("rb+")), database)
        yield


def _lock_alone(file: BinaryIO, database: Path) -> None:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST)
    except (BlockingIOError, PermissionError) as error:  # POSIX leaves the choice of the two
        raise FolderInUse(
            f"Another program has {database} open, such as Litestream or `crypto-checkout listen`. Stop it first; "
            "nothing was changed."
        ) from error


def _in_use(folder: Path, content: bytes) -> str:
    """Name the process that holds the lock; the file is still empty if it was acquired this very moment."""
    way_out = "or give this server its own [database] path and [server] port."
    if not content.strip().isdigit():
        return f"{folder} is already served by another process. Stop it first, {way_out}"
    pid = int(content)
    return f"{folder} is already served by process {pid}. Stop it first (kill {pid}), {way_out}"
