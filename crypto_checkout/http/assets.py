"""The URLs of stylesheets, scripts and icons. Each has its file's hash, so that it may be cached forever."""

import hashlib
from collections.abc import Callable
from pathlib import Path

FOLDER = Path(__file__).parent / "static"


def urls(folder: Path = FOLDER) -> Callable[[str], str]:
    """Return a function that maps a file's name to its URL; each file is read once."""
    known: dict[str, str] = {}

    def url(name: str) -> str:
        if name not in known:
            version = hashlib.sha256((folder / name).read_bytes()).hexdigest()[:12]
            known[name] = f"/static/{name}?v={version}"
        return known[name]

    return url
