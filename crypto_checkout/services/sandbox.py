"""Drive the simulated chain of test mode: pay a session, mine blocks, have things go wrong.

Every step is stored before anybody sees it.
"""

import asyncio
import secrets
from collections.abc import Callable

from crypto_checkout.chain.sandbox import CHAIN_ID, Draft, SandboxChain
from crypto_checkout.core.errors import (
    InvalidBody,
    ProviderFailed,
    ResourceNotFound,
    SessionNotOpen,
    UnsupportedAsset,
)
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.payment import Kind
from crypto_checkout.core.session import Session, Status
from crypto_checkout.core.shapes import SessionResource
from crypto_checkout.core.simulated import Scenario
from crypto_checkout.store import chains, payments, sandbox
from crypto_checkout.store import sessions as store
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit

from . import scenarios
from .sessions import Sessions
from .watcher import Watcher

MOST_SECONDS_AHEAD = 20 * 366 * 86_400
"""How far the simulated clock can be put forward in all: no date near the end of the calendar is ever reached."""


class Sandbox:
    """The hands on the simulated chain."""

    def __init__(self, db: Database, chain: SandboxChain, watcher: Watcher, sessions: Sessions, clock: Clock) -> None:
        self._db = db
        self._chain = chain
        self._watcher = watcher
        self._sessions = sessions
        self._clock = clock
        # One after the other, each with its blocks processed: two clicks at once must not both see nothing paid. A
        # scenario is one turn, so that no reorg of its own can reach a transaction of somebody else.
        self._turn = asyncio.Lock()

    async def pay(
        self, session_id: str, units: int | None = None, kind: Kind | None = None, transfers: int = 1
    ) -> SessionResource:
        """Pay a test session; None pays what is missing. Several `transfers` share the amount, each in its block.

        Raises:
            ResourceNotFound: There is no such test session.
            SessionNotOpen: Nothing is missing, or less than a part for each transfer.
            UnsupportedAsset: What the session asks for doesn't move like this.

        """
        async with self._turn:
            session, missing = await self._db.read(lambda unit: _missing(unit, session_id))
            _check_kind(session, kind)
            amount = missing if units is None else units
            if amount <= 0:
                raise SessionNotOpen(f"Nothing is missing: session {session_id} is {session.status}.")
            if amount < transfers:
                raise SessionNotOpen(f"{amount} of the smallest units can't be paid in {transfers} transfers.")

            def send(draft: Draft) -> None:
                for part in _parts(amount, transfers):
                    contract, is_internal = session.asset.contract, kind is Kind.INTERNAL
                    draft.pay(session.address, part, secrets.token_bytes(32), contract, internal=is_internal)

            await self._change(send)
        return await self._sessions.get(session_id, livemode=False)

    async def play(self, session_id: str, scenario: Scenario) -> SessionResource:
        """Drive a test session through a scenario, to its end; no other session notices.

        Raises:
            ResourceNotFound: There is no such test session.
            SessionNotOpen: It is not pending any more, something has arrived, or the chain has an outage.
            UnsupportedAsset: What the session asks for doesn't move like this.

        """
        async with self._turn:
            session, missing = await self._db.read(lambda unit: _missing(unit, session_id))
            if session.status is not Status.PENDING or missing < session.terms.amount_units:
                raise SessionNotOpen(
                    f"A scenario begins with nothing paid: session {session_id} is {session.status} "
                    f"and has {session.terms.amount_units - missing} units."
                )
            _check_kind(session, Kind.INTERNAL if scenario is Scenario.INTERNAL else None)
            self._check_reachable()
            await scenarios.play(scenario, session, self._change)
        return await self._sessions.get(session_id, livemode=False)

    async def decimals(self, session_id: str) -> int:
        """Return the decimals of what a test session is paid in. Raises ResourceNotFound."""
        session, _ = await self._db.read(lambda unit: _missing(unit, session_id))
        return session.asset.decimals

    async def mine(self, blocks: int) -> int:
        """Mine blocks and have them processed; return the newest block's number."""
        async with self._turn:
            await self._change(lambda draft: draft.mine(blocks))
        return self._chain.number

    async def reorg(self, depth: int) -> int:
        """Replace the newest blocks by a longer branch with the same transactions; return the newest block's number.

        Only blocks that the watcher remembers are replaced.
        """
        async with self._turn:
            await self._watcher.flush()
            remembered = await self._db.read(lambda unit: chains.remembered(unit, CHAIN_ID))

            def replace_blocks(draft: Draft) -> None:
                first = max(draft.number - depth, min(remembered, default=draft.number)) + 1
                draft.state.fork(first, secrets.token_hex(8))
                draft.mine(1)

            await self._change(replace_blocks)
        return self._chain.number

    async def outage(self, seconds: int) -> int:
        """Have every look at the chain fail for so long; blocks go on. Return the newest block's number."""
        async with self._turn:
            await self._change(lambda draft: draft.go_out(seconds))
            # Its pauses between attempts grow; it should notice at once that the chain is back.
            asyncio.get_running_loop().call_later(seconds, self._watcher.wake)
        return self._chain.number

    async def advance(self, seconds: int) -> int:
        """Put the chain's time forward, in one block; return its number.

        Raises InvalidBody beyond `MOST_SECONDS_AHEAD` in all.
        """
        async with self._turn:
            if self._chain.state.seconds_ahead + seconds > MOST_SECONDS_AHEAD:
                raise InvalidBody(
                    f"seconds: the simulated chain's clock can be put forward by {MOST_SECONDS_AHEAD} s in all.",
                    param="seconds",
                )
            await self._change(lambda draft: draft.advance(seconds))
        return self._chain.number

    async def _change(self, change: Callable[[Draft], scenarios.Stored]) -> None:
        # Held, because the watcher could pass the new block while its transactions are still being stored.
        async with self._watcher.held():
            draft = self._chain.draft()
            also = change(draft)

            def save(unit: WriteUnit) -> None:
                sandbox.save(unit, draft.state.to_json(), draft.added, draft.removed)
                if also is not None:
                    also(unit)

            await self._db.write(save)
            self._chain.apply(draft)
        try:
            while await self._watcher.turn():
                pass
            await self._watcher.flush()
        except ProviderFailed:
            if not self._chain.is_out:
                raise

    def _check_reachable(self) -> None:
        if self._chain.is_out:
            raise SessionNotOpen(
                f"The simulated chain has an outage until {self._chain.state.outage_until}: nothing can be processed. "
                "Try again then."
            )


def _missing(unit: ReadUnit, session_id: str) -> tuple[Session, int]:
    session = store.get(unit, session_id, livemode=False)
    if session is None:
        raise ResourceNotFound(f"There is no checkout session {session_id[:40]} in test mode.")
    arrived = sum(p.transfer.units for p in payments.of_session(unit, session) if p.canonical)
    return session, session.terms.amount_units - arrived


def _check_kind(session: Session, kind: Kind | None) -> None:
    """Refuse to move a coin as a token, and a token as a coin: `wrong_token` is a scenario of its own."""
    if kind is not None and (kind is Kind.TOKEN) is session.asset.is_native:
        raise UnsupportedAsset(
            f"Session {session.id} asks for {session.asset.symbol}, which doesn't move as {kind.value}.", param="kind"
        )


def _parts(units: int, count: int) -> list[int]:
    part = units // count
    return [part] * (count - 1) + [units - part * (count - 1)]
