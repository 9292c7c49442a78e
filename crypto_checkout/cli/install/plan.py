"""The steps of an installation: each looks at the machine, and says and does what is lacking.

They come in an order in which stopping between any two, or within one, leaves something that running them again puts
right. The server is stopped before its program or its unit changes, and started at the end: a server that runs has the
program and the unit that are there.
"""

import os
import pwd
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crypto_checkout.cli.install import ownership, service, unit
from crypto_checkout.cli.install.places import (
    CONFIG,
    DATA,
    ENVIRONMENT,
    FOLDER,
    PROGRAM_RIGHTS,
    UNIT,
    USER,
    Program,
    is_hidden,
)
from crypto_checkout.cli.support.setup import fail

if TYPE_CHECKING:
    from crypto_checkout.config import Config

_SETTINGS_RIGHTS = 0o640
_UNIT_RIGHTS = 0o644
_FOLDER_RIGHTS = 0o1775
"""Sticky: the user's commands may write files there, and replace none of root's, such as the configuration."""
_DATA_RIGHTS = 0o700
_ENVIRONMENT = """\
# Variables of the server, one a line: NAME=value. For what doesn't belong into checkout.toml, such as the keys of RPC
# providers. systemd reads it when the server starts: sudo systemctl restart crypto-checkout
"""


@dataclass(frozen=True, slots=True)
class Step:
    """A step: what it does, in words that continue "will", the commands of the same effect, and the function."""

    words: str
    by_hand: str
    do: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Installation:
    """The installation as it should be: its program, its configuration, and the text of the file if there is none."""

    program: Program
    config: "Config"
    new_file: str | None

    @property
    def data(self) -> Path:
        """The folder of the database."""
        return self.config.database.path.parent

    @property
    def backups(self) -> Path | None:
        """The folder of the backups that the server makes; None where it makes none."""
        return self.config.backup_folder if self.config.backup.every_hours else None

    @property
    def unit(self) -> str:
        """The text of the unit."""
        return unit.text(self.program, self.data, self.backups)


def steps(installation: Installation) -> list[Step]:
    """Return the steps that are lacking, in order: none where all is as it should be."""
    now = service.state()
    made = [*_user(), *_folders(installation), *_settings(installation), *_environment(), *_strangers(installation)]
    changes = [*_program(installation.program, now), *_unit(installation, now)]
    return [*made, *changes, *_start(now, restarts=bool(changes))]


def _user() -> Iterator[Step]:
    if _uid() is None:
        command = ["useradd", "--system", "--home-dir", str(FOLDER), "--no-create-home"]
        command += ["--shell", "/usr/sbin/nologin", USER]
        yield Step(f"create the user {USER}, which can't log in", " ".join(command), lambda: service.run(*command))


def _folders(installation: Installation) -> Iterator[Step]:
    if not _has(FOLDER, owner=0, rights=_FOLDER_RIGHTS):
        yield Step(
            f"{_verb(FOLDER)} the folder {FOLDER}, in which the server's user can't replace files of root",
            f"install -d -o root -g {USER} -m {_FOLDER_RIGHTS:o} {FOLDER}",
            lambda: ownership.make_folder(FOLDER, FOLDER, 0, _known_gid(), _FOLDER_RIGHTS),
        )
    for folder, key in ((installation.data, "[database] path"), (installation.backups, "[backup] folder")):
        if folder is None:
            continue
        if not folder.is_relative_to(DATA):
            _require_outer(folder, key)
        elif not _has(folder, owner=_uid(), rights=_DATA_RIGHTS):
            yield _private_folder(folder)


def _verb(path: Path) -> str:
    return "set the owner and permissions of" if path.exists() else "create"


def _private_folder(folder: Path) -> Step:
    return Step(
        f"{_verb(folder)} the folder {folder}, closed to all other users",
        f"install -d -o {USER} -g {USER} -m {_DATA_RIGHTS:o} {folder}",
        lambda: ownership.make_folder(folder, FOLDER, _known_uid(), _known_gid(), _DATA_RIGHTS),
    )


def _require_outer(folder: Path, key: str) -> None:
    """Leave a folder that the owner has chosen to the owner, and fail where the server couldn't use it."""
    if FOLDER.is_relative_to(folder):
        fail(f"{key} leads to {folder} itself: name a folder of its own for it, such as checkout-data/.")
    if is_hidden(folder.resolve()):
        fail(f"{key} leads to {folder}, which the unit hides from the server: choose a folder outside of homes.")
    if not folder.is_dir() or folder.stat().st_uid != _uid():
        fail(
            f"{key} leads to {folder}, and that folder isn't there or isn't {USER}'s. Make it: "
            f"sudo install -d -o {USER} -g {USER} -m {_DATA_RIGHTS:o} {folder}"
        )


def _settings(installation: Installation) -> Iterator[Step]:
    new = installation.new_file
    if new is not None:
        yield Step(
            f"write {CONFIG}, which the server can read and not change",
            f"crypto-checkout --config {CONFIG} init",
            lambda: _write(CONFIG, new, _SETTINGS_RIGHTS, _known_gid()),
        )
    elif not _has(CONFIG, owner=0, rights=_SETTINGS_RIGHTS):
        yield _restrict(CONFIG)


def _environment() -> Iterator[Step]:
    if not ENVIRONMENT.exists():
        yield Step(
            f"write {ENVIRONMENT}, for variables of the server such as access keys of RPC providers",
            f"install -o root -g {USER} -m {_SETTINGS_RIGHTS:o} /dev/null {ENVIRONMENT}",
            lambda: _write(ENVIRONMENT, _ENVIRONMENT, _SETTINGS_RIGHTS, _known_gid()),
        )
    elif not _has(ENVIRONMENT, owner=0, rights=_SETTINGS_RIGHTS):
        yield _restrict(ENVIRONMENT)


def _restrict(file: Path) -> Step:
    return Step(
        f"let {USER} read {file} and not change it",
        f"chown root:{USER} {file} && chmod {_SETTINGS_RIGHTS:o} {file}",
        lambda: ownership.restrict(file, 0, _known_gid(), _SETTINGS_RIGHTS),
    )


def _strangers(installation: Installation) -> Iterator[Step]:
    """Hand over what other users left in the data folder: a command run as root, or a copy from another machine."""
    strangers = [*_belonging_to_others(installation.data)]
    if strangers:
        below = FOLDER if installation.data.is_relative_to(FOLDER) else installation.data
        count = "a file" if len(strangers) == 1 else f"{len(strangers)} files"
        yield Step(
            f"give {USER} {count} of other users in {installation.data}, such as {strangers[0].name}",
            f"chown -R {USER}: {installation.data}",
            lambda: ownership.hand_over(installation.data, below, _known_uid(), _known_gid()),
        )


def _belonging_to_others(folder: Path) -> Iterator[Path]:
    """Find files that aren't the server's. One with a second name isn't given away: that may be anywhere."""
    if folder.is_symlink() or not folder.is_dir():
        return
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            status = Path(place, name).lstat()
            is_plain = stat.S_ISDIR(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_nlink == 1)
            if is_plain and status.st_uid != _uid():
                yield Path(place, name)


def _program(program: Program, now: service.ServiceState) -> Iterator[Step]:
    source = program.source
    if source is None or program.is_in_place:
        return
    stops = "stop the server, and " if now.is_active else ""
    by_hand = "systemctl stop crypto-checkout && " if now.is_active else ""
    if program.path.exists():
        words = f"{stops}replace {program.path} by this program; the old one stays beside it as {program.previous.name}"
        by_hand += f"cp {program.path} {program.previous} && "
    else:
        words = f"{stops}copy this program to {program.path}"
    by_hand += f"install -m 755 {source} {program.path}"
    yield Step(words, by_hand, lambda: _put_program(program, source))


def _put_program(program: Program, source: Path) -> None:
    """Replace the program whole or not at all. A full disk shows before the server is stopped."""
    from crypto_checkout.store import files

    program.path.parent.mkdir(parents=True, exist_ok=True)
    files.remove_parts(program.path)
    with files.part_of(program.path) as part:
        shutil.copyfile(source, part)
        part.chmod(PROGRAM_RIGHTS)
        _sync(part)
        if service.state().is_active:
            service.stop()
        if program.path.exists():
            with files.part_of(program.previous) as old:
                old.unlink()
                old.hardlink_to(program.path)
                old.replace(program.previous)
        part.replace(program.path)
    files.sync_folder(program.path.parent)


def _unit(installation: Installation, now: service.ServiceState) -> Iterator[Step]:
    if UNIT.is_file() and UNIT.read_text("utf-8") == installation.unit and UNIT.stat().st_mode & 0o777 == _UNIT_RIGHTS:
        return
    verb = "replace" if UNIT.exists() else "write"

    def do() -> None:
        if service.state().is_active:
            service.stop()
        _write(UNIT, installation.unit, _UNIT_RIGHTS, 0)

    stops = "stop the server, and " if now.is_active else ""
    yield Step(
        f"{stops}{verb} {UNIT}, by which the server can write to its data only",
        f"crypto-checkout install --show-unit > {UNIT}",
        do,
    )


def _start(now: service.ServiceState, *, restarts: bool) -> Iterator[Step]:
    if now.is_running and not restarts:
        return
    yield Step(
        "start the server, now and whenever the machine starts",
        f"systemctl daemon-reload && systemctl enable --now {USER}",
        service.start,
    )


# --- users, rights and files -----------------------------------------------------------------------------------------


def _uid() -> int | None:
    try:
        return pwd.getpwnam(USER).pw_uid
    except KeyError:
        return None


def _known_uid() -> int:
    return pwd.getpwnam(USER).pw_uid


def _known_gid() -> int:
    return pwd.getpwnam(USER).pw_gid


def _has(path: Path, *, owner: int | None, rights: int) -> bool:
    """Tell whether a path is there, is no link, and has this owner, the server's group and these rights."""
    uid = _uid()
    if uid is None or path.is_symlink() or not path.exists():
        return False
    status = path.stat()
    return (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (owner, _known_gid(), rights)


def _write(path: Path, text: str, rights: int, group: int) -> None:
    """Write a file whole or not at all."""
    from crypto_checkout.store import files

    files.remove_parts(path)
    with files.part_of(path) as part:
        part.write_text(text, "utf-8")
        os.chown(part, 0, group)
        part.chmod(rights)
        _sync(part)
        part.replace(path)
    files.sync_folder(path.parent)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
