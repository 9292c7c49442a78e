"""The addresses of stylesheet, script and icon. A file's hash is part of its address, so it may be cached for good."""

import hashlib
from collections.abc import Callable
from pathlib import Path

FOLDER = Path(__file__).parent / "static"


def addresses(folder: Path = FOLDER) -> Callable[[str], str]:
    """Return a function from a file's name to its URL; each file is read once."""
    known: dict[str, str] = {}

    def address(name: str) -> str:
        if name not in known:
            version = hashlib.sha256((folder / name).read_bytes()).hexdigest()[:12]
            known[name] = f"/static/{name}?v={version}"
        return known[name]

    return address
