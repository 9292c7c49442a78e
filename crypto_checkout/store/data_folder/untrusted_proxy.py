"""The address of a proxy that the running server met and doesn't trust, in a small file for `doctor`."""

import contextlib
from pathlib import Path

_NAME = "untrusted-proxy"


def note(folder: Path, address: str) -> None:
    """Record the address. A disk that takes no writes is no reason to refuse the request that showed it."""
    with contextlib.suppress(OSError):
        (folder / _NAME).write_text(f"{address}\n", "utf-8")


def read(folder: Path) -> str | None:
    """Return the address; None if none was met since the server's last start."""
    try:
        return (folder / _NAME).read_text("utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def forget(folder: Path) -> None:
    """Remove the record, at the start of a server, whose configuration may trust that proxy now."""
    with contextlib.suppress(OSError):
        (folder / _NAME).unlink(missing_ok=True)
