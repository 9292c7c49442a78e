"""The one-time link for setting the first password. Only its digest is stored, for any process of the database."""

import secrets
from datetime import timedelta

from crypto_checkout.services.owner.sign_in import digest
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.owner import set_up_links as store

GOOD_FOR = timedelta(minutes=30)


class SetUpLink:
    """The tokens of the processes' starts; each is good until one of them was used, or its time is over."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def make(self) -> str:
        """Return a new token. It ends earlier ones, but those that other processes show."""
        token = secrets.token_urlsafe(32)
        is_alone = self._db.processes() == 1

        def work(unit: WriteUnit) -> None:
            if is_alone:
                store.delete_all(unit)
            store.add(unit, digest(token), unit.now + GOOD_FOR)

        await self._db.write(work)
        return token

    async def is_good(self, token: str) -> bool:
        """Tell whether this is a token within its time."""
        return await self._db.read(lambda unit: store.is_good(unit, digest(token)))

    async def use_up(self) -> None:
        """Invalidate all tokens."""
        await self._db.write(store.delete_all)
