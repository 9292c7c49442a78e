"""The number of addresses that each wallet has given out, in a small file beside the database.

A database restored from an older copy lacks addresses that payers already have. This file stays when only the database
is replaced, and the next index is the larger of the two. It also names the database's life
(`store.data_folder.life`): a file of another life says nothing about the database beside it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crypto_checkout.store import files

_PREFIX = "given-out-"


@dataclass(frozen=True, slots=True)
class GivenOutNote:
    """The content of a file: the first index that was never given out, and the life of the database that gave it out.

    `life` is None in a file by an earlier version.
    """

    next_index: int
    life: str | None


class GivenOut:
    """The files `given-out-WALLET` of a data folder, each one line: the wallet's next index and the database's life."""

    def __init__(self, folder: Path, life: str | None) -> None:
        self._folder = folder
        self._life = life
        self._descriptors: dict[str, int] = {}

    def note(self, wallet_id: str, index: int) -> None:
        """Note that an index was given out. One write of fixed width, so that a kill leaves the old text or the new.

        It isn't synced to disk: after a power cut the database, which is, has the later index.
        """
        self._write(wallet_id, index + 1)

    def begin(self, wallet_id: str, next_index: int) -> None:
        """Write a file and sync it to disk, so that no power cut loses it while the database stays."""
        length = self._write(wallet_id, next_index)
        os.ftruncate(self._descriptors[wallet_id], length)
        os.fsync(self._descriptors[wallet_id])
        files.sync_folder(self._folder)

    def close(self) -> None:
        """Close the files."""
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()

    def _write(self, wallet_id: str, next_index: int) -> int:
        """Write the line; return its length."""
        if wallet_id not in self._descriptors:
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
            self._descriptors[wallet_id] = os.open(self._folder / f"{_PREFIX}{wallet_id}", flags, 0o600)
        line = f"{next_index:012}\n" if self._life is None else f"{next_index:012} {self._life}\n"
        return os.pwrite(self._descriptors[wallet_id], line.encode("ascii"), 0)


def notes(folder: Path) -> Mapping[str, GivenOutNote]:
    """Return the content of each file of a folder by its wallet; unreadable ones are left out.

    An earlier version overwrites only the index: then the life is on a line of its own.
    """
    found = {}
    for path in folder.glob(f"{_PREFIX}*"):
        try:
            index, *life = path.read_text("ascii").split()
            found[path.name.removeprefix(_PREFIX)] = GivenOutNote(int(index), life[0] if life else None)
        except (OSError, ValueError):
            continue
    return found
