"""The places of an installed server: its user, its folder and files, and the program that its unit runs."""

import filecmp
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from crypto_checkout.cli.support.setup import fail
from crypto_checkout.program import is_one_file, own_command

USER = "crypto-checkout"
FOLDER = Path("/var/lib/crypto-checkout")
CONFIG = FOLDER / "checkout.toml"
DATA = FOLDER / "checkout-data"
ENVIRONMENT = FOLDER / "environment"
UNIT = Path("/etc/systemd/system/crypto-checkout.service")

_PROGRAM_FOLDERS = (Path("/usr/local/bin"), Path("/opt/bin"))
"""The second is for systems whose /usr can't be written."""
_HIDDEN = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))  # noqa: S108 - what the unit hides
_NOBODY = 65534
PROGRAM_RIGHTS = 0o755
_ELF = b"\x7fELF"


@dataclass(frozen=True, slots=True)
class Program:
    """The program that the unit runs.

    `source` is the one file to copy to `path`; None where it stays where it is: in a Python environment.
    """

    path: Path
    source: Path | None = None

    @property
    def previous(self) -> Path:
        """The place for the program of before an upgrade."""
        return self.path.with_name(f"{self.path.name}.previous")

    @property
    def is_in_place(self) -> bool:
        """True if nothing has to be copied."""
        if self.source is None:
            return True
        return (
            self.path.is_file()
            and self.path.stat().st_mode & 0o777 == PROGRAM_RIGHTS
            and (self.path.samefile(self.source) or filecmp.cmp(self.source, self.path, shallow=False))
        )


def find_program() -> Program:
    """Return the program for the unit; fail with a sentence where no place suits it."""
    if is_one_file():
        source = Path(sys.executable).resolve()
        path = _program_folder(source) / USER
        _refuse_another(path)
        return Program(path, source)
    path = Path(sys.prefix) / "bin" / USER
    if not path.is_file():
        fail(f"There is no {path}: install the package into that environment, or use the one file of scripts/build.")
    for place in {path.absolute(), Path(sys.executable).resolve(), Path(__file__).resolve()}:
        _refuse_hidden(place)
    _require_for_all()
    return Program(path.absolute())


def installed_program(path: Path | None) -> Program | None:
    """Return the program that `install` copied to a path; None for one in a Python environment, which stays."""
    return Program(path) if path is not None and path.parent in _PROGRAM_FOLDERS else None


def is_hidden(path: Path) -> bool:
    """Tell whether the unit hides a path from the server, as it does with people's homes."""
    return any(path.is_relative_to(each) for each in _HIDDEN)


def _program_folder(source: Path) -> Path:
    """Return the first folder in which programs can be put, beginning with that of the one that runs."""
    folders = sorted(_PROGRAM_FOLDERS, key=lambda each: each != source.parent)
    for folder in folders:
        if not _is_read_only(folder):
            return folder
    raise click.ClickException(
        f"{folders[0]} is on a disk that is mounted read-only, and so is {folders[1]}: the program can't be copied to "
        "where the server's user can run it."
    )


def _is_read_only(folder: Path) -> bool:
    """Tell whether a folder, or the one in which it would be made, can't be written by anybody."""
    place = next(each for each in (folder, *folder.parents) if each.exists())
    return bool(os.statvfs(place).f_flag & os.ST_RDONLY)


def _refuse_another(path: Path) -> None:
    """Refuse to replace what is no one file, such as the script that pip puts there."""
    if path.is_symlink() or path.exists():
        with path.open("rb") as file:
            if path.is_symlink() or file.read(len(_ELF)) != _ELF:
                fail(f"{path} is another program, put there by pip for example. Remove it first, and run this again.")


def _refuse_hidden(place: Path) -> None:
    if is_hidden(place):
        fail(
            f"The program is at {place}, which the unit hides from the server, as it does with all homes and temporary "
            "files. Move it to /opt, for example, or use the one file: scripts/build makes it."
        )


def _require_for_all() -> None:
    """Start the program as a user without any rights, if root asks: whatever is closed to that one is to the server."""
    if os.geteuid() != 0:
        return
    command = [*own_command(), "--version"]
    try:
        tried = subprocess.run(  # noqa: S603 - this program itself
            command, cwd="/", user=_NOBODY, group=_NOBODY, extra_groups=[], capture_output=True, text=True, check=False
        )
        if tried.returncode == 0:
            return
        reason = (tried.stderr.strip().splitlines() or ["it ended at once"])[-1]
    except OSError as error:
        reason = str(error.strerror)
    fail(
        f"Other users can't run {command[0]} ({reason}), so the server's user couldn't. Let all read its folders "
        "(chmod a+rX), or use the one file: scripts/build makes it."
    )
