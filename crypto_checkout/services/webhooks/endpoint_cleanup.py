"""Clean up after endpoints that were disabled or deleted, in small parts.

The remaining work is read from the database, so after a kill it continues at the next start.
"""

from functools import partial

from crypto_checkout.log import get_logger
from crypto_checkout.services.loops import every
from crypto_checkout.store.database import Database
from crypto_checkout.store.webhooks import endpoint_cleanup

log = get_logger("leftovers")

_EVERY_SECONDS = 5.0


class EndpointCleanup:
    """The clean-up loop, for both modes. Other units of work get the writer between two parts."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def run(self) -> None:
        """Clean up now and every few seconds, until cancelled."""
        failure = "what endpoints left behind could not be cleared"
        await every(_EVERY_SECONDS, self.turn, log=log, failure=failure)

    async def turn(self) -> None:
        """Clean up after every endpoint that needs it."""
        for endpoint_id in await self._db.read(endpoint_cleanup.unfinished):
            while await self._db.write(partial(endpoint_cleanup.clear, endpoint_id=endpoint_id)):
                pass
