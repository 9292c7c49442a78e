"""Keep the simulated chain small: what nobody can ask it for any more is thrown away.

What was paid stays in the ledger. The chain itself is asked for the blocks that a reorg could still replace, and for
the balances of addresses that are compared; both end some hours after a payment.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.chain.sandbox.chain import CHAIN_ID, SandboxChain
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.sandbox import SandboxTransaction
from crypto_checkout.log import get_logger
from crypto_checkout.services.ledger.watched_addresses import WATCHED_AFTER_GRACE
from crypto_checkout.services.upkeep.retention import IDEMPOTENCY
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.ledger import cursors
from crypto_checkout.store.sandbox import chain as sandbox
from crypto_checkout.store.sandbox import requests

log = get_logger("sandbox")

_EVERY_SECONDS = 3600.0
_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What is still needed: blocks `above` a number, and addresses watched `since` a moment."""

    above: int
    since: datetime


def needed(unit: ReadUnit) -> list[SandboxTransaction]:
    """Return the transactions that the simulated chain can still be asked for; their number doesn't grow with age."""
    bounds = _bounds(unit)
    return sandbox.transactions(unit, bounds.above, bounds.since) if bounds else []


def remembered_since(unit: ReadUnit) -> datetime | None:
    """Return the moment after which a session's time, grace included, must end for all it got to be remembered."""
    bounds = _bounds(unit)
    return bounds.since if bounds else None


class Pruner:
    """The hourly clean-up of the simulated chain."""

    def __init__(self, db: Database, chain: SandboxChain, clock: Clock) -> None:
        self._db = db
        self._chain = chain
        self._clock = clock

    async def run(self) -> None:
        """Clean up now and every hour, until cancelled."""
        while True:
            try:
                await self.turn()
            except Exception as error:  # a loop's boundary: the next hour is another chance
                log.exception("clean-up of the simulated chain failed", error=str(error))
            await asyncio.sleep(_EVERY_SECONDS)

    async def turn(self) -> None:
        """Forget what is too old, in small parts, so that nobody waits long for the writer."""
        before = self._clock() - IDEMPOTENCY
        await self._db.write(lambda unit: requests.delete_before(unit, before))
        while forgotten := await self._db.write(_forget):
            self._chain.forget(forgotten)


def _forget(unit: WriteUnit) -> Iterable[SandboxTransaction]:
    bounds = _bounds(unit)
    return sandbox.forget(unit, bounds.above, bounds.since, _AT_ONCE) if bounds else []


def _bounds(unit: ReadUnit) -> _Bounds | None:
    """Return the bounds as of the oldest block that a reorg can lead back to; None before the first."""
    oldest = cursors.oldest(unit, CHAIN_ID)
    return None if oldest is None else _Bounds(oldest.number, oldest.time - WATCHED_AFTER_GRACE)
