"""The URL of the running server, in a small file of its data folder, for the commands that run beside it.

A killed server leaves its file behind; the next one overwrites it.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from crypto_checkout.store import files

_NAME = "url"


@contextlib.contextmanager
def published(folder: Path, url: str) -> Iterator[None]:
    """Publish the URL while the context lasts. The caller must hold the folder's lock."""
    path = folder / _NAME
    files.write(path, f"{url}\n")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # a disk that became read-only meanwhile keeps it; the next start writes it
            path.unlink(missing_ok=True)


def read(folder: Path) -> str | None:
    """Return the URL of a folder's server; None if none is published."""
    try:
        return (folder / _NAME).read_text("utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
