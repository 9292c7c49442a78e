"""Keep the simulated chain small, by deleting transactions that are no longer read.

Payments stay in the ledger. The chain is read for blocks that a reorg could still replace, and for the balances of
watched addresses; both end some hours after a payment.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.chain.sandbox.chain import CHAIN_ID, SandboxChain
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.sandbox import SandboxTransaction
from crypto_checkout.log import get_logger
from crypto_checkout.services.ledger.watched_addresses import WATCHED_AFTER_GRACE
from crypto_checkout.services.loops import every
from crypto_checkout.services.upkeep.retention import IDEMPOTENCY, in_parts
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.ledger import cursors
from crypto_checkout.store.sandbox import chain as sandbox
from crypto_checkout.store.sandbox import requests, tasks

log = get_logger("sandbox")

_EVERY_SECONDS = 3600.0
_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class _Bounds:
    """The limits of what is still read: blocks `above` a number, and addresses watched `since` a moment."""

    above: int
    since: datetime


def needed(unit: ReadUnit) -> list[SandboxTransaction]:
    """Return the transactions that can still be read; their number doesn't grow with the chain's age."""
    bounds = _bounds(unit)
    return sandbox.transactions(unit, bounds.above, bounds.since) if bounds else []


def remembered_since(unit: ReadUnit) -> datetime | None:
    """Return the moment that a session's grace period must outlast for all of its transactions to be kept."""
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
        await every(_EVERY_SECONDS, self.turn, log=log, failure="clean-up of the simulated chain failed")

    async def turn(self) -> None:
        """Delete old requests and transactions, in small parts, so that no other write waits long."""
        before = self._clock() - IDEMPOTENCY
        await in_parts(self._db, lambda unit: requests.delete_before(unit, before, _AT_ONCE))
        await in_parts(self._db, lambda unit: tasks.delete_before(unit, before, _AT_ONCE))
        while forgotten := await self._db.write(_forget):
            self._chain.forget(forgotten)


def _forget(unit: WriteUnit) -> Iterable[SandboxTransaction]:
    bounds = _bounds(unit)
    return sandbox.forget(unit, bounds.above, bounds.since, _AT_ONCE) if bounds else []


def _bounds(unit: ReadUnit) -> _Bounds | None:
    """Return the bounds as of the oldest block that a reorg can lead back to; None before the first."""
    oldest = cursors.oldest(unit, CHAIN_ID)
    return None if oldest is None else _Bounds(oldest.number, oldest.time - WATCHED_AFTER_GRACE)
