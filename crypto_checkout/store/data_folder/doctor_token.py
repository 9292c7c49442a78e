"""The token by which the running server knows `doctor`, in a small file for their own user."""

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

from crypto_checkout.store import files

_NAME = "doctor-token"
_BYTES = 24


@contextlib.contextmanager
def published(folder: Path) -> Iterator[str]:
    """Yield a new token, published while the context lasts; a disk that takes no writes keeps it from `doctor`."""
    path, token = folder / _NAME, secrets.token_urlsafe(_BYTES)
    with contextlib.suppress(OSError):
        files.write(path, f"{token}\n")
    try:
        yield token
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def read(folder: Path) -> str | None:
    """Return the token of a folder's server; None if there is none."""
    try:
        return (folder / _NAME).read_text("utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
