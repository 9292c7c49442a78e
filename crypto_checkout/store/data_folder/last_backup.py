"""The time and path of the last backup made by hand, to a file of the operator's choice; in a file beside the database.

The backups that the server makes are known by their folder (`store.backups.folder`).
"""

from datetime import datetime
from pathlib import Path

from crypto_checkout.core import moments
from crypto_checkout.store import files

_NAME = "last-backup"


def note(folder: Path, at: datetime, file: Path) -> None:
    """Record that a backup was made by hand."""
    files.write(folder / _NAME, f"{moments.to_text(at)} {file.absolute()}\n")


def read(folder: Path) -> tuple[datetime, str] | None:
    """Return the time and path of the last one; None if none is recorded."""
    try:
        at, _, file = (folder / _NAME).read_text("utf-8").strip().partition(" ")
        return moments.from_text(at), file
    except (OSError, ValueError):
        return None
