"""The pauses between a watcher's turns: short while somebody may pay, long while no session is open."""

import asyncio

from crypto_checkout.core.errors import RecoverableError
from crypto_checkout.services.loops import pause
from crypto_checkout.store.checkout import sessions
from crypto_checkout.store.database import Database

# An outage of any length is over within this time of its end.
_LONGEST_SECONDS = 5.0
_FIRST_SECONDS = 0.25


class Pauses:
    """The pauses of one chain.

    Args:
        db: the sessions.
        chain_id: the chain's id.
        livemode: the mode of its sessions.
        poll_seconds: the pause while a session is open.
        rest_seconds: the pause while none is; no less than the other.

    """

    def __init__(
        self, db: Database, chain_id: int, *, livemode: bool, poll_seconds: float, rest_seconds: float
    ) -> None:
        self.woken = asyncio.Event()
        self._db = db
        self._chain_id = chain_id
        self._livemode = livemode
        self._poll_seconds = poll_seconds
        self._rest_seconds = max(poll_seconds, rest_seconds)
        self._is_resting = False

    def session_made(self) -> None:
        """End a long pause: somebody may pay now."""
        if self._is_resting:
            self.woken.set()

    async def seconds(self, failures: int) -> float:
        """Return the next pause, after so many failed turns in a row."""
        # Before the sessions are read: one that is made from here on ends the pause.
        self._is_resting = True
        if failures:
            longest = max(_LONGEST_SECONDS, self._poll_seconds)
            return min(longest, max(self._poll_seconds, _FIRST_SECONDS) * 2.0 ** min(failures - 1, 10))
        try:
            self._is_resting = not await self._db.read(
                lambda unit: sessions.is_any_open(unit, self._chain_id, self._livemode)
            )
        except RecoverableError:
            self._is_resting = False
        return self._rest_seconds if self._is_resting else self._poll_seconds

    async def wait(self, seconds: float) -> None:
        """Wait for so long, or until woken."""
        await pause(seconds, self.woken)
        self._is_resting = False
