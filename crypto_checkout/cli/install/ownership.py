"""Set owners and rights in folders that the server's user can write, without following a link that is put there.

Root does this while a server that somebody took over may be exchanging a folder for a link to `/etc`. So each name is
opened below the one before, following no link, and what was opened is changed.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from crypto_checkout.cli.support.setup import fail

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MADE_ON_THE_WAY = 0o755


def make_folder(path: Path, below: Path, owner: int, group: int, rights: int) -> None:
    """Make a folder, or give the one that is there its owner and rights; `below` is where links begin to be refused.

    Raises OSError.
    """
    with _folder(path, below, makes=True) as descriptor:
        os.fchown(descriptor, owner, group)
        os.fchmod(descriptor, rights)


def restrict(file: Path, owner: int, group: int, rights: int) -> None:
    """Give a file its owner and rights. Raises OSError."""
    with (
        _folder(file.parent, file.parent, makes=False) as place,
        _refused_link(file),
        _opened(file.name, place) as each,
    ):
        status = os.fstat(each)
        if not stat.S_ISREG(status.st_mode) or not _is_plain(status):
            fail(f"{file} isn't a plain file with one name, so it may be another's. Put a file of yours there.")
        os.fchown(each, owner, group)
        os.fchmod(each, rights)


def hand_over(folder: Path, below: Path, owner: int, group: int) -> None:
    """Give the files and folders in a folder to an owner, but no file with a second name: that may be anywhere.

    Raises OSError.
    """
    with _folder(folder, below, makes=False) as descriptor:
        for _, folders, names, place in os.fwalk(".", dir_fd=descriptor):
            for name in (*folders, *names):
                # What went or became a link meanwhile is nobody's to give.
                with suppress(FileNotFoundError), suppress(_Link), _opened(name, place) as each:
                    status = os.fstat(each)
                    if _is_plain(status) and status.st_uid != owner:
                        os.fchown(each, owner, group)


class _Link(OSError):
    """A name that is a link, or a folder's that isn't one."""


@contextmanager
def _folder(path: Path, below: Path, *, makes: bool) -> Iterator[int]:
    """Open a folder by its names below another's, and make those that are missing."""
    descriptor = os.open(below.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in path.relative_to(below.parent).parts:
            if makes:
                with suppress(FileExistsError):
                    os.mkdir(name, _MADE_ON_THE_WAY, dir_fd=descriptor)
            with _refused_link(path):
                inner = _open(name, descriptor, os.O_DIRECTORY)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _opened(name: str, folder: int) -> Iterator[int]:
    descriptor = _open(name, folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open(name: str, folder: int, flags: int = 0) -> int:
    try:
        return os.open(name, _OPEN | flags, dir_fd=folder)
    except OSError as error:
        # ENOTDIR is the answer where a folder was asked for; ENXIO that of a socket.
        if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.ENXIO}:
            raise _Link(error.errno, error.strerror, name) from error
        raise


@contextmanager
def _refused_link(path: Path) -> Iterator[None]:
    try:
        yield
    except _Link:
        fail(f"{path} is a link, or leads through one. Put the folder or file itself there.")


def _is_plain(status: os.stat_result) -> bool:
    return stat.S_ISDIR(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_nlink == 1)
