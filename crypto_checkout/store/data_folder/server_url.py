"""Where the server of a data folder listens, in a small file, for the commands that run beside it.

A server that was killed leaves its file behind; the next one writes it anew.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

_NAME = "url"


@contextlib.contextmanager
def published(folder: Path, url: str) -> Iterator[None]:
    """Note the URL for as long as the context lasts; only for who holds the folder's lock."""
    path = folder / _NAME
    path.write_text(f"{url}\n", "utf-8")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def read(folder: Path) -> str | None:
    """Return where the server of a folder listens, as far as is known."""
    try:
        return (folder / _NAME).read_text("utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
