"""The simulated chain among several processes: the one that leads changes it, and the others take up what it stored."""

import asyncio
from typing import Never

from crypto_checkout.chain.sandbox.chain import CHAIN_ID, SandboxChain
from crypto_checkout.chain.sandbox.state import State
from crypto_checkout.core.errors import DatabaseFailed
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.sandbox import SandboxTransaction
from crypto_checkout.log import get_logger
from crypto_checkout.services.ledger.watcher import Watcher
from crypto_checkout.services.loops import every
from crypto_checkout.services.sandbox import pruning
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.ledger import cursors
from crypto_checkout.store.sandbox import chain as store

log = get_logger("sandbox")

_LOOK_SECONDS = 1.0


class SharedSandbox:
    """A process's own view of the simulated chain.

    `leads` is true while this process may change it: from when it has taken up what is stored, to the end of its lead.
    `changed` is the signal of a change.
    """

    def __init__(self, db: Database, chain: SandboxChain, watcher: Watcher, clock: Clock) -> None:
        self.leads = False
        self._db = db
        self._chain = chain
        self._watcher = watcher
        self._clock = clock
        self._woken = asyncio.Event()
        self._turn = asyncio.Lock()
        self._known: str | None = None
        self.changed = db.signals.make("the sandbox changed", self._woken.set)

    async def keep_up(self) -> Never:
        """Take up what others store, at once and every second, until cancelled; while this process leads, nothing."""
        await every(_LOOK_SECONDS, self.refresh, log=log, failure="the sandbox could not be read", woken=self._woken)

    async def lead(self) -> None:
        """Take over the chain, and follow it until cancelled."""
        while not await self._take_over():  # noqa: ASYNC110 - nothing else tells that the database is back
            await asyncio.sleep(_LOOK_SECONDS)
        try:
            await self._watcher.run()
        finally:
            self.leads, self._known = False, None

    async def refresh(self) -> None:
        """Take up what is stored, if that has changed."""
        async with self._turn:
            if self.leads:
                return
            if await self._db.read(store.load) != self._known:
                text, transactions = await self._db.read(_stored)
                self._take_up(text, State.from_json(text), transactions)

    async def _take_over(self) -> bool:
        """Take up what is stored, and let the time since the last processed block pass; return whether it could."""

        def resume(unit: WriteUnit) -> tuple[str, State, list[SandboxTransaction]]:
            text, transactions = _stored(unit)
            state, cursor = State.from_json(text), cursors.cursor(unit, CHAIN_ID)
            if cursor is not None:
                state.resume(cursor.number, self._clock())
            store.save(unit, state.to_json())
            return text, state, transactions

        async with self._turn:
            try:
                self._take_up(*await self._db.write(resume))
            except DatabaseFailed:
                return False
            self.leads = True
        return True

    def _take_up(self, text: str, state: State, transactions: list[SandboxTransaction]) -> None:
        self._known = text
        self._chain.replace(state, transactions)


def _stored(unit: ReadUnit) -> tuple[str, list[SandboxTransaction]]:
    text = store.load(unit)
    assert text is not None, "each process makes the chain at its start, if there is none"
    return text, pruning.needed(unit)
