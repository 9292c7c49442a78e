"""The backups in a folder, and the record beside them: `backups.json`, of what each held when it was checked.

Only names of ours count (`core.backups`); other files are left alone. A backup gets its name once it is complete, and
its record before that: so a file without a record was brought here by somebody.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from crypto_checkout.core import backups
from crypto_checkout.core.errors import FatalError
from crypto_checkout.store import files

LATEST = "latest"
"""The name that stands for the newest backup."""

_RECORD = "backups.json"
_NOT_OURS = (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
"""What reading a record raises that others wrote: the folder may be on a disk of theirs."""


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a backup, as they were checked: its sessions, and the schema of its tables."""

    size_bytes: int
    sessions: int
    schema: int


@dataclass(frozen=True, slots=True)
class BackupFile:
    """A backup in the folder; `contents` is None for a file that isn't the one that was checked."""

    path: Path
    made_at: datetime
    size_bytes: int
    contents: Contents | None

    @property
    def name(self) -> str:
        """The name of the file, by which `restore` takes it."""
        return self.path.name

    @property
    def is_encrypted(self) -> bool:
        """True for a file of age."""
        return self.name.endswith(backups.ENCRYPTED)

    @property
    def is_verified(self) -> bool:
        """True if it was checked whole when it was made, and has the same size still."""
        return self.contents is not None


def listing(folder: Path) -> list[BackupFile]:
    """Return the backups of a folder, the newest first; none if there is no such folder. Raises OSError."""
    try:
        names = sorted(each.name for each in folder.iterdir() if backups.made_at(each.name) is not None)
    except FileNotFoundError:
        return []
    recorded = _Record.read(folder).backups
    found = [each for name in names if (each := _file(folder / name, recorded.get(name))) is not None]
    return sorted(found, key=lambda each: backups.order_of(each.name), reverse=True)


def find(folder: Path, name: str, now: datetime) -> BackupFile | None:
    """Return a backup by its name, or the newest one that was checked for "latest". Raises OSError.

    One whose time is still to come is older than its name: its clock was wrong. It is the latest only without another.
    Any other text is no name of ours, so no path leads out of the folder.
    """
    there = listing(folder)
    if name == LATEST:
        checked = [each for each in there if each.is_verified]
        return next((each for each in checked if each.made_at <= now), checked[0] if checked else None)
    return next((each for each in there if each.name == name), None)


def claim(folder: Path, database: Path) -> None:
    """Refuse a folder in which another database has its backups: each would delete those of the other.

    Raises FatalError, and OSError.
    """
    named = _Record.read(folder).database
    # Relative to the folder, so that both may be moved or copied together.
    owner = None if named is None else (folder / named).resolve()
    if owner is None or owner == database.resolve() or not owner.exists():
        return
    raise FatalError(
        f"{folder} has the backups of another database, {owner}. Give each server its own [backup] folder."
    )


def record(folder: Path, database: Path, name: str, contents: Contents) -> None:
    """Record the contents of a backup that is about to get its name, and forget those that are gone. Raises OSError."""
    kept = {each: found for each, found in _Record.read(folder).backups.items() if (folder / each).exists()}
    _Record(os.path.relpath(database.resolve(), folder.resolve()), {**kept, name: contents}).write(folder)


def delete(folder: Path, names: Iterable[str]) -> None:
    """Delete backups. Raises OSError."""
    for name in names:
        (folder / name).unlink(missing_ok=True)
    files.sync_folder(folder)


def _file(path: Path, recorded: Contents | None) -> BackupFile | None:
    made_at = backups.made_at(path.name)
    try:
        size = path.stat().st_size if path.is_file() else None
    except FileNotFoundError:
        return None
    if made_at is None or size is None:
        return None
    is_same = recorded is not None and recorded.size_bytes == size
    return BackupFile(path, made_at, size, recorded if is_same else None)


@dataclass(frozen=True, slots=True)
class _Record:
    """The record: the path of the database whose backups these are, and the contents of each by its name."""

    database: str | None
    backups: Mapping[str, Contents]

    @classmethod
    def read(cls, folder: Path) -> "_Record":
        """Read the record; one that is missing or isn't ours is empty."""
        try:
            found: Any = json.loads((folder / _RECORD).read_text("utf-8"))
            database = str(found["database"])
            if "\0" in database:
                return cls(None, {})
            return cls(database, {name: _contents(each) for name, each in found["backups"].items()})
        except _NOT_OURS:
            return cls(None, {})

    def write(self, folder: Path) -> None:
        """Write the record whole."""
        each = {
            name: {
                "sizeBytes": found.size_bytes,
                "sessions": found.sessions,
                "schema": found.schema,
            }
            for name, found in sorted(self.backups.items())
        }
        files.write(folder / _RECORD, json.dumps({"database": self.database, "backups": each}, indent=1) + "\n")


def _contents(found: Any) -> Contents:
    return Contents(
        size_bytes=int(found["sizeBytes"]),
        sessions=int(found["sessions"]),
        schema=int(found["schema"]),
    )
