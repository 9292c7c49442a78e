"""The token by which the running server knows `doctor`, in a small file for their own user."""

import contextlib
import secrets
from pathlib import Path

from crypto_checkout.store import files

_NAME = "doctor-token"
_BYTES = 24


def renew(folder: Path) -> str:
    """Return a new token, at the start of a server. A disk that takes no writes only keeps it from `doctor`."""
    token = secrets.token_urlsafe(_BYTES)
    with contextlib.suppress(OSError):
        files.write(folder / _NAME, f"{token}\n")
    return token


def read(folder: Path) -> str | None:
    """Return the token of a folder's server; None if there is none."""
    try:
        return (folder / _NAME).read_text("utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
