"""Check a chain on request, by taking turns of its own watcher while the caller waits."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crypto_checkout.core.errors import RecoverableError
from crypto_checkout.core.ledger.chain_status import ChainStatus
from crypto_checkout.services.ledger.ancestor import TooDeepReorg
from crypto_checkout.services.ledger.watcher import Watcher

_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class ChainCheck:
    """The status of a chain's watcher after a check; `problem` is the reason if the chain couldn't be read."""

    status: ChainStatus
    problem: str | None = None


class CheckNow:
    """Checks the chains of both modes on request."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._watchers: Mapping[int, Watcher] = {watcher.status.chain_id: watcher for watcher in watchers}

    async def check(self, chain_id: int) -> ChainCheck | None:
        """Process the chain's new blocks, for some seconds at most. Return None for a chain that isn't configured."""
        watcher = self._watchers.get(chain_id)
        if watcher is None:
            return None
        try:
            until = time.monotonic() + _SECONDS
            while await watcher.turn() and time.monotonic() < until:
                pass
        except (RecoverableError, TooDeepReorg) as error:
            return ChainCheck(watcher.status, str(error))
        return ChainCheck(watcher.status)
