"""How far each wallet's addresses were given out, in a small file beside the database.

A database that is put back from an older copy has forgotten addresses that payers already hold. This file has not: it
stays when only the database is replaced, and the next index is the larger of the two.
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
        """Return the first index that was never given out, as far as the file knows; 0 where there is none."""
        try:
            return int(self._path(wallet_id).read_text("ascii"))
        except (FileNotFoundError, ValueError):
            return 0

    def next_indexes(self) -> dict[str, int]:
        """Return the next index of each wallet that there is a file of."""
        wallets = [path.name.removeprefix(_PREFIX) for path in self._folder.glob(f"{_PREFIX}*")]
        return {wallet_id: self.next_index(wallet_id) for wallet_id in wallets}

    def note(self, wallet_id: str, index: int) -> None:
        """Note that an index was given out. One write of fixed width, so that a kill leaves the old text or the new.

        It isn't forced to the disk: after a power cut the database, which is, knows better.
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
