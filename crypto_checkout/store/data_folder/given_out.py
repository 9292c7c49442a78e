"""Given-out addresses: each wallet's next index, in a small file beside the database.

A database restored from an older copy lacks addresses that payers already have. This file stays when only the database
is replaced, and the larger of both indexes applies.
"""

import os
from pathlib import Path

_PREFIX = "given-out-"


class GivenOut:
    """The files `given-out-WALLET` of a data folder; each holds the wallet's next index as text."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptors: dict[str, int] = {}

    def next_index(self, wallet_id: str) -> int:
        """Return the first index not given out according to the file, 0 without a file."""
        try:
            return int(self._path(wallet_id).read_text("ascii"))
        except (FileNotFoundError, ValueError):
            return 0

    def next_indexes(self) -> dict[str, int]:
        """Return the next index of each wallet that has a file."""
        wallets = [path.name.removeprefix(_PREFIX) for path in self._folder.glob(f"{_PREFIX}*")]
        return {wallet_id: self.next_index(wallet_id) for wallet_id in wallets}

    def note(self, wallet_id: str, index: int) -> None:
        """Record that an index was given out, in one write of fixed width: a kill leaves the old text or the new.

        It isn't synced to disk: after a power cut the database, which is, has the later index.
        """
        if wallet_id not in self._descriptors:
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
            self._descriptors[wallet_id] = os.open(self._path(wallet_id), flags, 0o600)
        os.pwrite(self._descriptors[wallet_id], f"{index + 1:012}\n".encode("ascii"), 0)

    def close(self) -> None:
        """Close the files."""
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()

    def _path(self, wallet_id: str) -> Path:
        return self._folder / f"{_PREFIX}{wallet_id}"
