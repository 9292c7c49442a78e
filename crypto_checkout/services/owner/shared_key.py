"""All processes of one database on a server encrypt with the same key: what one writes, the others have to read.

Each has it in the file `secret.key` of its data folder.
"""

from pathlib import Path

from crypto_checkout.core.errors import FatalError
from crypto_checkout.log import get_logger
from crypto_checkout.store import secret_key
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.owner import shared_key

log = get_logger("keys")


async def check(db: Database, *, accept_another: bool = False) -> None:
    """Note this process's key as that of the database, if it is the first one that serves it.

    Raises FatalError if the database has another key, or has one and this folder has none; `accept_another` takes this
    folder's instead, and makes it if it is missing.
    """
    folder = db.path.parent
    if accept_another and db.processes() > 1:
        raise FatalError("Other processes serve this database with its present secret.key: stop them first.")
    known = await db.read(shared_key.name)
    if known is not None and not accept_another and secret_key.is_missing(folder):
        raise FatalError(f"{secret_key.path(folder)} is missing. {_advice(secret_key.path(folder))}")
    own = db.cipher.key_id

    def note(unit: WriteUnit) -> str:
        known = shared_key.name(unit)
        if known is None or accept_another:
            shared_key.set_name(unit, own)
            return own
        return known

    if await db.write(note) != own:
        file = secret_key.path(folder)
        raise FatalError(
            f"{file} is another key than the one that this database's secrets are encrypted with. {_advice(file)}"
        )
    if accept_another and known not in {None, own}:
        log.warning("this folder's secret.key is that of the database from now on")


def _advice(file: Path) -> str:
    return (
        f"Copy secret.key from the data folder of a process that serves this database to {file}, for the server's user "
        "only (chmod 600), and start again. If it is lost everywhere, stop every process and start one with "
        "`crypto-checkout serve --new-secret-key`: it tells which secrets have to be made anew."
    )
