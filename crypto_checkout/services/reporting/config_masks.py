"""Masks for the secrets of a configuration file: what is shown of it in the dashboard holds none."""

import re
from collections.abc import Iterator, Sequence

from crypto_checkout.services.reporting.config_extents import after, header_of, key_of

HIDDEN = "…"

_SECRET = re.compile(r"password|passphrase|secret|token$|key|headers|providers|authorization|xpub", re.IGNORECASE)
_PUBLIC = frozenset({"support_url", "terms_url", "public_url", "explorer_url", "wallet_rpc_url"})
"""Keys whose URLs every payer sees."""
_URL = re.compile(r"([a-z][a-z0-9+.-]*://)([^\s\"'<>,\]]*)", re.IGNORECASE)
_INSIDE = re.compile(
    r"""(?:[\w-]*(?:password|secret|key|headers|providers|authorization|xpub)[\w-]*|[\w-]*token)["']?\s*(?:\.[^={,]*)?=""",
    re.IGNORECASE,
)
"""The key of a secret in a table that is written in one line."""
_COMMENT = re.compile(r"\s*#+\s?")


def masked(lines: Sequence[str]) -> list[str]:
    """Return the lines of a file as they may be shown: without passwords, keys, and what of a URL may be one."""
    shown: list[str] = []
    is_of_headers = False
    while len(shown) < len(lines):
        place = len(shown)
        line = lines[place]
        if (header := header_of(_bare(line))) is not None:
            # A header in a comment ends no section.
            is_of_headers = "headers" in header or (is_of_headers and header_of(line) is None)
        key = key_of(_bare(line))
        if key is not None and (is_of_headers or _is_secret(_bare(line))):
            shown += _hidden(lines, place)
        else:
            shown.append(line if key in _PUBLIC else _without_inner(_URL.sub(_host, line)))
    return shown


def _is_secret(line: str) -> bool:
    """Tell whether any part of the key that a line begins with, as `smtp_password` of `[mail]`, names a secret."""
    parts = line.partition("=")[0].split(".")
    return any(_SECRET.search(part.strip().strip("\"'")) for part in parts)


def _without_inner(line: str) -> str:
    """Return a line without the rest from the value of a secret in it, as in `mail = { smtp_password = "…`."""
    found = _INSIDE.search(line)
    return line if found is None else f'{line[: found.end()]} "{HIDDEN}"'


def _hidden(lines: Sequence[str], place: int) -> Iterator[str]:
    """Yield the lines of a secret's value, of which only the key is shown; an empty value is no secret."""
    end = place + 1 if lines[place].lstrip().startswith("#") else after(lines, place)
    name, _, value = lines[place].partition("=")
    is_empty = value.partition("#")[0].strip() in {'""', "''", "[]", "{}"}
    yield lines[place] if is_empty else f'{name.rstrip()} = "{HIDDEN}"'
    yield from (HIDDEN for _ in range(place + 1, end))


def _bare(line: str) -> str:
    """Return a line without the sign of a comment, since a setting may be commented out."""
    return _COMMENT.sub("", line, count=1) if line.lstrip().startswith("#") else line


def _host(found: re.Match[str]) -> str:
    authority, slash, rest = found[2].partition("/")
    host = authority.rpartition("@")[2].partition("?")[0]
    hides = bool(rest) or "@" in authority or "?" in authority
    return f"{found[1]}{host}{'/' + HIDDEN if hides else slash}"
