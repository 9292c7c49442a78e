"""The time and result of the last full check of the database, in a small file beside it that outlives a restart."""

from datetime import datetime
from pathlib import Path

from crypto_checkout.core import moments
from crypto_checkout.store import files

_NAME = "last-check"
_SOUND = "sound"


def note(folder: Path, at: datetime, damage: str | None) -> None:
    """Record a check, and the damage that it found if any. Raises OSError, and leaves the old record then."""
    result = _SOUND if damage is None else f"damaged: {' '.join(damage.split())}"
    files.write(folder / _NAME, f"{moments.to_text(at)} {result}\n")


def read(folder: Path) -> tuple[datetime, bool] | None:
    """Return the time of the last check, and whether the database was sound; None if none is recorded."""
    try:
        at, _, result = (folder / _NAME).read_text("utf-8").strip().partition(" ")
        return moments.from_text(at), result == _SOUND
    except (OSError, ValueError):
        return None
