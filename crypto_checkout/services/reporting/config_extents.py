"""The lines of a configuration file: headers, keys, and how far the value of a key goes."""

import re
import tomllib
from collections.abc import Sequence

_HEADER = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_.\"' -]+?)\s*(\]\]?)\s*(#.*)?")
_KEY = re.compile(r"""\s*("[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(\s*\.\s*[A-Za-z0-9_"'-]+)*\s*=""")
_MOST_LINES = 500


def header_of(line: str) -> str | None:
    """Return the header in a line, as in `[wallet]`; None if it is none."""
    found = _HEADER.fullmatch(line)
    return None if found is None else f"{found[1]}{found[2]}{found[3]}"


def key_of(line: str) -> str | None:
    """Return the key that a line begins with, without its quotes; None if it begins with none."""
    found = _KEY.match(line)
    return None if found is None else found[1].strip("\"'")


def after(lines: Sequence[str], start: int) -> int:
    """Return the place after the value that begins at `start`, which may go over several lines."""
    for end in range(start + 1, min(len(lines), start + _MOST_LINES) + 1):
        try:
            tomllib.loads("\n".join(lines[start:end]))
        except tomllib.TOMLDecodeError:
            continue
        return end
    return start + 1
