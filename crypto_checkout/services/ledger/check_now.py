"""Have a chain looked at now, for somebody who waits for the answer: it goes on where the watcher stands."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crypto_checkout.core.errors import RecoverableError
from crypto_checkout.services.ledger.watcher import ChainStatus, TooDeepReorg, Watcher

_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class ChainCheck:
    """How a chain's watcher fares after the look; `problem` is why it could not be looked at."""

    status: ChainStatus
    problem: str | None = None


class CheckNow:
    """Looks at the chains of both modes."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._watchers: Mapping[int, Watcher] = {watcher.status.chain_id: watcher for watcher in watchers}

    async def check(self, chain_id: int) -> ChainCheck | None:
        """Process what a chain has now, or as much as fits into some seconds; None for one that isn't configured."""
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
