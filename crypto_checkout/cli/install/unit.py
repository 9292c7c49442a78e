"""The unit for systemd: the package's own, with the program and the folders of this machine in it."""

from importlib.resources import files
from pathlib import Path

from crypto_checkout.cli.install.places import DATA, Program

_PROGRAM = "ExecStart=/usr/local/bin/crypto-checkout "
_FOLDERS = f"ReadWritePaths={DATA}"
MARK = "# Written by `crypto-checkout install`"
"""The beginning of a unit that may be replaced."""


def text(program: Program, data: Path = DATA, backups: Path | None = None) -> str:
    """Return the unit for a program that may write to these folders.

    A folder of backups elsewhere may be missing, as when its disk isn't mounted: the server runs without.
    """
    made = files("crypto_checkout").joinpath("crypto-checkout.service").read_text("utf-8")
    made = made.replace(_PROGRAM, f"ExecStart={_quoted(str(program.path))} ")
    folders = [str(data)]
    if backups is not None and not backups.is_relative_to(data):
        folders.append(f"-{backups}")
    return made.replace(_FOLDERS, "ReadWritePaths=" + " ".join(map(_quoted, folders)))


def program_of(unit: str) -> Path | None:
    """Return the program that a unit runs; None for a line that `text` didn't write."""
    for line in unit.splitlines():
        if line.startswith("ExecStart="):
            first = line.removeprefix("ExecStart=")
            path = first[1:].partition('"')[0] if first.startswith('"') else first.partition(" ")[0]
            return Path(path.replace("%%", "%").replace("$$", "$"))
    return None


def _quoted(path: str) -> str:
    """Return a path in systemd's spelling, in which % begins a specifier, $ a variable, and a space ends a word."""
    spelt = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{spelt}"' if spelt != path or " " in spelt else spelt
