"""The data folder of a file to which a database moves: it needs what is beside the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crypto_checkout.store import secret_key
from crypto_checkout.store.data_folder import given_out, restore_guard
from crypto_checkout.store.data_folder.lock import FolderLock


@contextmanager
def brought(folder: Path, to: Path) -> Iterator[None]:
    """Bring the key, and the records of given-out addresses and revoked keys, to another data folder.

    Nobody serves that one meanwhile.

    Raises FolderInUse.
    """
    if folder.resolve() == to.resolve():
        yield
        restore_guard.accept_other_data(to)
        return
    with FolderLock(to):
        secret_key.add(secret_key.path(folder), to)
        given_out.bring(folder, to)
        restore_guard.bring(folder, to)
        yield
