"""The key beside the database that the secrets in it are encrypted with: `secret.key`, readable by its owner only.

It is made with the database, and is not in backups: a stolen one gives no secret away. A line holds a key of 32 bytes
in base64url. The first encrypts; more lines, such as one brought from another machine, only decrypt.
"""

import base64
import binascii
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from crypto_checkout.core.errors import FatalError
from crypto_checkout.encryption import KEY_BYTES, Cipher
from crypto_checkout.store import files

NAME = "secret.key"


def path(folder: Path) -> Path:
    """Return the path of the key in a data folder."""
    return folder / NAME


def is_missing(folder: Path) -> bool:
    """Tell whether a data folder has no key; opening its cipher would make one."""
    return not path(folder).exists()


def of_backup(backup: Path) -> Path:
    """Return the path of the key that belongs to a backup made with it."""
    return backup.with_name(f"{backup.name}.{NAME}")


def open_cipher(folder: Path) -> Cipher:
    """Return the cipher of a data folder; its key is made if it is missing.

    Raises FatalError for a file that holds no keys, and OSError.
    """
    with suppress(FileNotFoundError):
        return Cipher(read(path(folder)))
    with suppress(FileExistsError):  # another process was faster
        _write_new(path(folder), [secrets.token_bytes(KEY_BYTES)])
    return Cipher(read(path(folder)))


def read(file: Path) -> list[bytes]:
    """Return the keys of a file. Raises FileNotFoundError, and FatalError for a file that holds no keys."""
    try:
        keys = [base64.urlsafe_b64decode(line) for line in file.read_text("ascii").split()]
    except (UnicodeDecodeError, binascii.Error):
        keys = []
    if not keys or any(len(key) != KEY_BYTES for key in keys):
        raise FatalError(
            f"{file} is damaged: each of its lines is a key of {KEY_BYTES} bytes in base64. Put it back from where you "
            "keep it. If it is lost, move it away and start again: a new one is made, and you are told which secrets "
            "have to be made anew."
        )
    return keys


def copy_to_backup(folder: Path, backup: Path) -> Path:
    """Copy the key beside a backup, and return the path of the copy. An earlier one there is replaced."""
    to = of_backup(backup)
    files.write(to, _text(read(path(folder))))
    return to


def bring(backup: Path, folder: Path) -> bool:
    """Add the key beside a backup to a data folder, if there is one; return whether there is. Raises as `add`."""
    return add(of_backup(backup), folder)


def add(file: Path, folder: Path) -> bool:
    """Add the keys of a file to a data folder, if there is that file; return whether there is.

    A folder that has a key already goes on encrypting with that. Raises FatalError for a file that holds no keys.
    """
    try:
        brought = read(file)
    except FileNotFoundError:
        return False
    try:
        own = read(path(folder))
    except FileNotFoundError:
        own = []
    files.write(path(folder), _text([*own, *(key for key in brought if key not in own)]))
    files.sync_folder(folder)
    return True


def _write_new(file: Path, keys: Sequence[bytes]) -> None:
    """Write a file whole or not at all. Raises FileExistsError."""
    with files.part_of(file) as part:
        with part.open("w", encoding="ascii") as opened:
            opened.write(_text(keys))
            opened.flush()
            os.fsync(opened.fileno())
        files.link(part, file)
    files.sync_folder(file.parent)


def _text(keys: Sequence[bytes]) -> str:
    return "".join(f"{base64.urlsafe_b64encode(key).decode()}\n" for key in keys)
