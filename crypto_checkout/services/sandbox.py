"""Drive the simulated chain of test mode: pay a session, mine blocks. Every step is stored before anybody sees it."""

import asyncio
import copy
import secrets
from collections.abc import Callable

from crypto_checkout.chain.sandbox import SandboxChain
from crypto_checkout.core.errors import ResourceNotFound, SessionNotOpen
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.session import Session
from crypto_checkout.core.shapes import SessionResource
from crypto_checkout.store import payments, sandbox
from crypto_checkout.store import sessions as store
from crypto_checkout.store.database import Database, ReadUnit

from .sessions import Sessions
from .watcher import Watcher


class Sandbox:
    """The hands on the simulated chain."""

    def __init__(self, db: Database, chain: SandboxChain, watcher: Watcher, sessions: Sessions, clock: Clock) -> None:
        self._db = db
        self._chain = chain
        self._watcher = watcher
        self._sessions = sessions
        self._clock = clock
        # One after the other, each with its blocks processed: two clicks at once must not both see nothing paid.
        self._turn = asyncio.Lock()

    async def pay(self, session_id: str, units: int | None = None) -> SessionResource:
        """Pay a test session with one transaction; None pays what is missing.

        Raises:
            ResourceNotFound: There is no such test session.
            SessionNotOpen: Nothing is missing.

        """
        async with self._turn:
            session, missing = await self._db.read(lambda unit: _missing(unit, session_id))
            amount = missing if units is None else units
            if amount <= 0:
                raise SessionNotOpen(f"Nothing is missing: session {session_id} is {session.status}.")
            await self._change(
                lambda chain: chain.pay(session.address, amount, secrets.token_bytes(32), session.asset.contract)
            )
        return await self._sessions.get(session_id, livemode=False)

    async def decimals(self, session_id: str) -> int:
        """Return the decimals of what a test session is paid in. Raises ResourceNotFound."""
        session, _ = await self._db.read(lambda unit: _missing(unit, session_id))
        return session.asset.decimals

    async def mine(self, blocks: int) -> int:
        """Mine blocks and have them processed; return the newest block's number."""
        async with self._turn:
            await self._change(lambda chain: chain.mine(blocks))
        return self._chain.number

    async def _change(self, change: Callable[[SandboxChain], object]) -> None:
        # Held, because the watcher could pass the new block while its transactions are still being stored.
        async with self._watcher.held():
            changed = copy.deepcopy(self._chain.state)
            change(SandboxChain(changed, self._clock))
            await self._db.write(lambda unit: sandbox.save(unit, changed.to_json()))
            self._chain.state = changed
        while await self._watcher.turn():
            pass
        await self._watcher.flush()


def _missing(unit: ReadUnit, session_id: str) -> tuple[Session, int]:
    session = store.get(unit, session_id, livemode=False)
    if session is None:
        raise ResourceNotFound(f"There is no checkout session {session_id[:40]} in test mode.")
    arrived = sum(p.transfer.units for p in payments.of_session(unit, session) if p.canonical)
    return session, session.terms.amount_units - arrived
