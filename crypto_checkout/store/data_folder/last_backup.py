"""The time and path of the last backup, in a small file beside the database, for the check of its age."""

from datetime import datetime
from pathlib import Path

from crypto_checkout.core import moments
from crypto_checkout.store import files

_NAME = "last-backup"


def note(folder: Path, at: datetime, file: Path) -> None:
    """Record that a backup was made."""
    files.write(folder / _NAME, f"{moments.to_text(at)} {file.absolute()}\n")


def read(folder: Path) -> tuple[datetime, str] | None:
    """Return the time and path of the last backup; None if none is recorded."""
    try:
        at, _, file = (folder / _NAME).read_text("utf-8").strip().partition(" ")
        return moments.from_text(at), file
    except (OSError, ValueError):
        return None
