"""When the database was last backed up, and where to: a small file beside it, for whoever asks how old that is."""

from datetime import datetime
from pathlib import Path

from crypto_checkout.core import moments

_NAME = "last-backup"


def note(folder: Path, at: datetime, file: Path) -> None:
    """Note that a backup was made."""
    (folder / _NAME).write_text(f"{moments.to_text(at)} {file.absolute()}\n", "utf-8")


def read(folder: Path) -> tuple[datetime, str] | None:
    """Return when the last known backup was made, and where to; None where none is known."""
    try:
        at, _, file = (folder / _NAME).read_text("utf-8").strip().partition(" ")
        return moments.from_text(at), file
    except (OSError, ValueError):
        return None
