"""Check a chain on request, by taking turns of its own watcher while the caller waits.

Of several processes only the leader follows chains: it is asked to look, and its answer is waited for.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crypto_checkout.core.errors import RecoverableError
from crypto_checkout.core.ledger.chain_status import ChainStatus
from crypto_checkout.services.ledger.ancestor import TooDeepReorg
from crypto_checkout.services.ledger.watcher import Watcher
from crypto_checkout.store.database import Database
from crypto_checkout.store.signals import Signal

_SECONDS = 8.0
_LOOK_SECONDS = 0.1
_NOT_SEEN = "the process that follows the chains hasn't looked yet"


@dataclass(frozen=True, slots=True)
class ChainCheck:
    """The status of a chain's watcher after a check; `problem` is the reason if the chain couldn't be read."""

    status: ChainStatus
    problem: str | None = None


class CheckNow:
    """Checks the chains of both modes on request; where the database `is_shared`, another process may follow them."""

    def __init__(self, db: Database, watchers: Sequence[Watcher], *, is_shared: bool) -> None:
        self._db = db
        self._watchers: Mapping[int, Watcher] = {watcher.status.chain_id: watcher for watcher in watchers}
        self._look = db.signals.make("look at a chain", self._wake) if is_shared else None

    async def check(self, chain_id: int) -> ChainCheck | None:
        """Process the chain's new blocks, for some seconds at most. Return None for a chain that isn't configured."""
        watcher = self._watchers.get(chain_id)
        if watcher is None:
            return None
        if self._look is not None:
            return await self._ask_leader(watcher, self._look)
        try:
            until = time.monotonic() + _SECONDS
            while await watcher.turn() and time.monotonic() < until:
                pass
        except (RecoverableError, TooDeepReorg) as error:
            return ChainCheck(watcher.status, str(error))
        return ChainCheck(watcher.status)

    def _wake(self, chain_id: int) -> None:
        watcher = self._watchers.get(chain_id)
        if watcher is not None:
            watcher.wake()

    async def _ask_leader(self, watcher: Watcher, look: Signal) -> ChainCheck:
        """Have the leader look, and wait until it has, for some seconds at most."""
        seen_at, until = watcher.status.seen_at, time.monotonic() + _SECONDS
        await self._db.write(lambda unit: unit.after_commit(look, watcher.status.chain_id))
        while watcher.status.seen_at == seen_at and time.monotonic() < until:  # noqa: ASYNC110 - its report comes by itself
            await asyncio.sleep(_LOOK_SECONDS)
        is_seen = watcher.status.seen_at != seen_at
        return ChainCheck(watcher.status, None if is_seen else watcher.status.error or _NOT_SEEN)
