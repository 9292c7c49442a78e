"""Faults of the storage: a full, read-only or failing disk, and a damaged database file.

This module tells them apart from bugs, phrases them for the operator, and logs them at most once a minute, however many
units of work fail.
"""

import contextlib
import errno
import grp
import os
import pwd
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable
from pathlib import Path

from crypto_checkout import descriptors
from crypto_checkout.core.errors import DatabaseDamaged, DatabaseFailed
from crypto_checkout.log import get_logger

log = get_logger("database")

_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_NO_DESCRIPTOR = frozenset({errno.EMFILE, errno.ENFILE})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_CODES = _DAMAGE | {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOMEM,
}
_OPENING = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR})
_LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_LOG_EVERY_SECONDS = 60.0
_LATELY_SECONDS = 5.0
_LITTLE_ROOM_BYTES = 1024 * 1024


class Faults:
    """The faults that one process has met: they are logged, and damage is remembered until the process ends."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self.damage: str | None = None
        self._timer = timer
        self._listeners: list[Callable[[], None]] = []
        self._failed = 0
        self._failed_at: float | None = None
        self._logged_at: float | None = None
        self._refused_at: float | None = None

    def on_damage(self, listener: Callable[[], None]) -> None:
        """Register a function to call when damage is first found."""
        self._listeners.append(listener)

    def note_failure(self, error: DatabaseFailed) -> None:
        """Note a failed unit of work. Damage is noted at once; failures are logged once a minute."""
        if isinstance(error, DatabaseDamaged):
            self.note_damage(str(error))
        now = self._timer()
        self._failed += 1
        self._failed_at = now
        if _code(_cause(error)) not in _LOCKED:
            self._refused_at = now
        if self._logged_at is None or now - self._logged_at >= _LOG_EVERY_SECONDS:
            log.error("the database fails", error=str(error), failed=self._failed)
            self._failed, self._logged_at = 0, now

    def note_success(self) -> None:
        """Note a stored unit of work. The database counts as working again a minute after the last failure."""
        if self._failed_at is not None and self._timer() - self._failed_at >= _LOG_EVERY_SECONDS:
            log.info("the database works again", failed=self._failed)
            self._failed, self._failed_at, self._logged_at = 0, None, None

    @property
    def refused_lately(self) -> bool:
        """True if the storage refused something in the last seconds: on a full disk, small writes still succeed."""
        return self._refused_at is not None and self._timer() - self._refused_at < _LATELY_SECONDS

    def note_damage(self, what: str) -> None:
        """Remember damage to the file, and call the listeners the first time."""
        if self.damage is not None:
            return
        self.damage = what
        log.critical("the database is damaged", error=what)
        for listener in self._listeners:
            listener()


def as_failure(error: BaseException) -> BaseException:
    """Return a fault of the storage as a DatabaseFailed, and any other error as it is."""
    if isinstance(error, OSError):
        return _failure(DatabaseFailed, error)
    if isinstance(error, sqlite3.Error) and _code(error) in _CODES:
        return _failure(DatabaseDamaged if _code(error) in _DAMAGE else DatabaseFailed, error)
    return error


def is_damage(error: BaseException) -> bool:
    """Tell whether SQLite found that a file is damaged, or no database at all."""
    return _code(error) in _DAMAGE


def advice(error: BaseException, path: Path) -> str:
    """Return advice about a fault at a path, as a sentence."""
    error = _cause(error)
    if isinstance(error, OSError) and error.errno in _FULL:
        return _MAKE_ROOM
    code = _code(error)
    if getattr(error, "errno", None) in _NO_DESCRIPTOR or (code in _OPENING and descriptors.are_scarce()):
        return f"Too many files and connections are open. {descriptors.advice()}"
    is_forbidden = getattr(error, "errno", None) in _FORBIDDEN or code in _FORBIDDEN_CODES
    if is_forbidden and (way := way_of_the_owner(path)):
        return way
    if isinstance(error, OSError):
        return _ADVICE_BY_ERRNO.get(error.errno or 0, _CHECK)
    if code in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN} and has_no_room(path):
        return _MAKE_ROOM
    return _ADVICE_BY_CODE.get(code or 0, _CHECK)


_MAKE_ROOM = "The disk is full: make room on it, then try again."
_RIGHTS = f"Give user {os.getuid()} the right to read and write there, or name another [database] path."
_READ_ONLY = "The disk is mounted read-only: mount it for writing (after `dmesg` if it was not you), then try again."
_PROTECTED = (
    f"It may not be changed: take the write protection away (`lsattr` shows an i; `chattr -i` removes it), give user "
    f"{os.getuid()} the right to write there, or name another [database] path."
)
_CHECK = (
    "Check that it is a database of crypto-checkout, that this user may read and write it and its folder, and that the "
    "disk has room (`df`) and is sound (`dmesg`); then start again."
)
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM})
_FORBIDDEN_CODES = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY})
_NO_FOLDER = "A file is where a folder should be: name another path, or move the file away."
_ADVICE_BY_ERRNO = {
    errno.EEXIST: _NO_FOLDER,
    errno.ENOTDIR: _NO_FOLDER,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _PROTECTED,
    errno.EROFS: _READ_ONLY,
    errno.EIO: "The disk fails: `dmesg` tells more. Move to another disk, and put the last backup back there.",
}
_RESTORE = "Stop the server, and put the newest backup back: crypto-checkout restore latest."
_ADVICE_BY_CODE = {
    sqlite3.SQLITE_FULL: _MAKE_ROOM,
    sqlite3.SQLITE_READONLY: _PROTECTED,
    sqlite3.SQLITE_CANTOPEN: _RIGHTS,
    sqlite3.SQLITE_PERM: _RIGHTS,
    sqlite3.SQLITE_CORRUPT: _RESTORE,
    sqlite3.SQLITE_NOTADB: _RESTORE,
    sqlite3.SQLITE_BUSY: "Another program holds it: try again when that is done.",
    sqlite3.SQLITE_LOCKED: "Another program holds it: try again when that is done.",
}


def way_of_the_owner(path: Path) -> str | None:
    """Return how to use a path that belongs to another user, as a sentence; None if it doesn't.

    What is in a closed folder belongs to whom that belongs to. Nobody is told to become root, and root's own trouble
    is another.
    """
    owner = _other_owner(path)
    return owner and f"It belongs to user {owner}: run this as that user (sudo -u {owner} …)."


def _other_owner(path: Path) -> str | None:
    for each in (path, *path.parents):
        try:
            status = each.stat()
            uid = status.st_uid
            if uid in {0, os.geteuid()} or os.geteuid() == 0:
                return _user_of_group(status) if uid == 0 != os.geteuid() else None
            return pwd.getpwuid(uid).pw_name
        except OSError:
            continue
        except KeyError:  # a user without a name, as in containers
            return f"#{uid}"
    return None


def _user_of_group(status: os.stat_result) -> str | None:
    """Return the user whose own group may read what is root's, as the configuration of an installed server."""
    with contextlib.suppress(KeyError):
        user = pwd.getpwnam(grp.getgrgid(status.st_gid).gr_name)
        if status.st_gid == user.pw_gid != 0 and status.st_mode & stat.S_IRGRP and user.pw_uid != os.geteuid():
            return user.pw_name
    return None


def _failure(kind: type[DatabaseFailed], error: BaseException) -> DatabaseFailed:
    failure = kind(f"the database failed: {error}")
    failure.__cause__ = error
    return failure


def _cause(error: BaseException) -> BaseException:
    """Return the error that a DatabaseFailed is about."""
    while isinstance(error, DatabaseFailed) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _code(error: BaseException) -> int | None:
    """Return SQLite's primary result code."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def has_no_room(path: Path) -> bool:
    """Tell whether the disk of a path is full, which SQLite reports in part as I/O errors."""
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        return shutil.disk_usage(path).free < _LITTLE_ROOM_BYTES
    except OSError:
        return False
