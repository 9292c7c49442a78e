"""The variables of an installed server, in the file that systemd reads for it, for the commands that run beside it."""

import re
from collections.abc import Mapping
from pathlib import Path

from crypto_checkout.cli.install.places import CONFIG, ENVIRONMENT

_QUOTED = r"""'[^']*'|"(?:[^"\\]|\\.)*\""""
_LINE = re.compile(rf"^[ \t]*([A-Za-z_]\w*)[ \t]*=[ \t]*((?:(?:{_QUOTED})[ \t]*)*)((?:[^\\\n]|\\.)*)", re.M | re.S)
_PIECE = re.compile(_QUOTED, re.S)


def parse(text: str) -> dict[str, str]:
    """Return the variables of a file as systemd reads it: see `EnvironmentFile` in systemd.exec(5)."""
    return {
        name: "".join(map(_unquote, _PIECE.findall(quoted))) + re.sub(r"\\(.)", _escaped, plain.rstrip(), flags=re.S)
        for name, quoted, plain in _LINE.findall(text)
    }


def for_commands(config_path: Path | None, environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return a command's variables: with those of the server's file, where it works on the installed server.

    Without them a command would read another configuration than the server does, and write a backup in plain text
    beside its encrypted ones. What the command was given itself comes first.
    """
    file = Path(config_path or environ.get("CHECKOUT_CONFIG") or CONFIG.name)
    if file.absolute() != CONFIG:
        return environ
    try:
        return {**parse(ENVIRONMENT.read_text("utf-8")), **environ}
    except (OSError, ValueError):
        return environ  # not installed, or closed to this user, as the configuration is then


def _unquote(piece: str) -> str:
    return piece[1:-1] if piece[0] == "'" else re.sub(r'\\([\\"`$\n])', _escaped, piece[1:-1])


def _escaped(found: re.Match[str]) -> str:
    return "" if found[1] == "\n" else found[1]
