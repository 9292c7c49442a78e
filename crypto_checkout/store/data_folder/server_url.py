"""The URL of the running server, in a small file of its data folder, for the commands that run beside it.

A killed server leaves its file behind; the next one overwrites it.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

_NAME = "url"


@contextlib.contextmanager
def published(folder: Path, url: str) -> Iterator[None]:
    """Publish the URL while the context lasts. The caller must hold the folder's lock."""
    path = folder / _NAME
    path.write_text(f"{url}\n", "utf-8")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def read(folder: Path) -> str | None:
    """Return the URL of a folder's server; None if none is published."""
    try:
        return (folder / _NAME).read_text("utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
