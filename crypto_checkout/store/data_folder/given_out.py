"""The number of addresses that each wallet has given out, in a small file beside the database.

A database restored from an older copy lacks addresses that payers already have. This file stays when only the database
is replaced, and the next index is the larger of the two. It also names the database's life
(`store.data_folder.life`): a file of another life says nothing about the database beside it.

Of several processes on a server's database each has such files, and keeps up with what the others give out. There a
file also has the next index that was seen stored: a database whose own is lower was restored to an earlier state.
"""

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crypto_checkout.store import files

_PREFIX = "given-out-"


@dataclass(frozen=True, slots=True)
class GivenOutNote:
    """The content of a file: the first index that was never given out, and the life of the database that gave it out.

    `life` is None in a file by an earlier version. `stored_index` is the next index that was seen in the database, 0 in
    the files beside one of SQLite.
    """

    next_index: int
    life: str | None
    stored_index: int = 0


class GivenOut:
    """The files `given-out-WALLET` of a data folder, each one line: the wallet's next index and the database's life."""

    def __init__(self, folder: Path, life: str | None) -> None:
        self._folder = folder
        self._life = life
        self._descriptors: dict[str, int] = {}
        self._lock = threading.Lock()
        self._next: dict[str, int] = {}
        self._unwritten: set[str] = set()
        self._stored: dict[str, int] = {}

    def is_stored(self, wallet_id: str, index: int) -> bool:
        """Tell whether an index is below the next one that was seen stored: some process gave it out."""
        return index < self._stored.get(wallet_id, 0)

    def stored(self, wallet_id: str) -> int:
        """Return the next index of a wallet as it was seen stored, 0 if it wasn't."""
        return self._stored.get(wallet_id, 0)

    def take_as_stored(self) -> Sequence[str]:
        """Count every noted index as stored, as it may be in a database that was replaced; return the wallets."""
        for wallet_id, next_index in list(self._next.items()):
            self.see(wallet_id, next_index)
        return [*self._next]

    def lacking(self, next_indexes: Mapping[str, int]) -> Mapping[str, int]:
        """Return the wallets whose next index in the database is lower than was seen there, each with that one.

        A database that lacks a wallet has 0.
        """
        return {wallet_id: seen for wallet_id, seen in [*self._stored.items()] if next_indexes.get(wallet_id, 0) < seen}

    def see(self, wallet_id: str, next_index: int) -> None:
        """Note the next index as it is stored, whichever process moved it. It isn't synced to disk, as in `note`."""
        with self._lock:  # also called on the writer's thread, by `take_as_stored`
            if next_index <= self._stored.get(wallet_id, 0):
                return
            self._stored[wallet_id] = next_index
        self._write(wallet_id, next_index)

    def note(self, wallet_id: str, index: int) -> None:
        """Note that an index is being given out; `write` stores the note before the unit is committed."""
        with self._lock:  # called on the event loop and on the writer's thread
            self._next[wallet_id] = max(index + 1, self._next.get(wallet_id, 0))
            self._unwritten.add(wallet_id)

    def write(self) -> None:
        """Store what was noted. One write of fixed width for a file, so that a kill leaves the old text or the new.

        It isn't synced to disk: after a power cut the database, which is, has the later index.
        """
        while self._unwritten:
            self._write(self._unwritten.pop(), 0)

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
        """Write the line, with the highest index so far; return its length."""
        with self._lock:  # `write` is called on the writer's thread, `see` on the event loop
            next_index = self._next[wallet_id] = max(next_index, self._next.get(wallet_id, 0))
            return self._write_line(wallet_id, next_index)

    def _write_line(self, wallet_id: str, next_index: int) -> int:
        if wallet_id not in self._descriptors:
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
            self._descriptors[wallet_id] = os.open(self._folder / f"{_PREFIX}{wallet_id}", flags, 0o600)
        words = [f"{next_index:012}", *([] if self._life is None else [self._life])]
        if wallet_id in self._stored:
            words.append(f"{self._stored[wallet_id]:012}")
        line = f"{' '.join(words)}\n"
        return os.pwrite(self._descriptors[wallet_id], line.encode("ascii"), 0)


def notes(folder: Path) -> Mapping[str, GivenOutNote]:
    """Return the content of each file of a folder by its wallet; unreadable ones are left out.

    An earlier version overwrites only the index: then the life is on a line of its own.
    """
    found = {}
    for path in folder.glob(f"{_PREFIX}*"):
        try:
            index, life, stored = [*path.read_text("ascii").split(), None, None][:3]
            assert index is not None, "a file has a line"
            found[path.name.removeprefix(_PREFIX)] = GivenOutNote(int(index), life, int(stored or 0))
        except (OSError, ValueError):
            continue
    return found


def bring(folder: Path, to: Path) -> None:
    """Copy the files to another data folder, to which the database moves; a later one of the same life stays there."""
    there = notes(to)
    for wallet_id, note in notes(folder).items():
        own = there.get(wallet_id)
        if own is None or own.life != note.life or own.next_index < note.next_index:
            records = GivenOut(to, note.life)
            records.begin(wallet_id, note.next_index)
            records.close()
