"""Commands beside an installed server: its configuration, and the variables that systemd reads for it from a file."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from crypto_checkout.cli.install.places import CONFIG, DATA, ENVIRONMENT

_WITHOUT_SERVER = frozenset({"demo", "init", "install", "openapi", "serve", "uninstall", "verify-receipt", "version"})
_QUOTED = r"""'[^']*'|"(?:[^"\\]|\\.)*\""""
_LINE = re.compile(
    rf"^[ \t]*([A-Za-z_]\w*)[ \t]*=[ \t]*((?:(?:{_QUOTED})[ \t]*)*)((?:[^\\\n]|\\.)*)", re.MULTILINE | re.DOTALL
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_PIECE = re.compile(_QUOTED, re.DOTALL)


def parse(text: str) -> dict[str, str]:
    """Return the variables of a file as systemd reads it: see `EnvironmentFile` in systemd.exec(5)."""
    return {
        name: "".join(map(_unquote, _PIECE.findall(quoted))) + _ESCAPED.sub(_escaped, plain.rstrip())
        for name, quoted, plain in _LINE.findall(text)
    }


def find_config(named: Path | None, environ: Mapping[str, str], command: str | None) -> Path | None:
    """Return the configuration for a command: as named, else that of the installed server where nothing else is.

    A command in another folder would otherwise find no server, and say that all is well.
    """
    if named or environ.get("CHECKOUT_CONFIG") or command in _WITHOUT_SERVER or not CONFIG.exists():
        return named
    # Path.exists() raises in a folder that is closed to this user.
    is_here = os.path.exists(CONFIG.name) or os.path.exists(DATA.name)  # noqa: PTH110
    return None if is_here else CONFIG


def variables(config_path: Path | None, environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return a command's variables: with those of the server's file, where it works on the installed server.

    Without them a command would read another configuration than the server does, and write a backup in plain text
    beside its encrypted ones. What the command was given itself comes first.
    """
    file = config_path or Path(environ.get("CHECKOUT_CONFIG") or CONFIG.name)
    try:
        if file.absolute() == CONFIG:
            return {**parse(ENVIRONMENT.read_text("utf-8")), **environ}
    except (OSError, ValueError):
        pass  # not installed, or closed to this user, as the configuration is then
    return environ


def _unquote(piece: str) -> str:
    return piece[1:-1] if piece[0] == "'" else re.sub(r'\\([\\"`$\n])', _escaped, piece[1:-1])


def _escaped(found: re.Match[str]) -> str:
    return "" if found[1] == "\n" else found[1]
