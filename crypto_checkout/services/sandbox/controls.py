"""Drive the simulated chain of test mode: pay a session, mine blocks, have things go wrong.

Every step is stored before anybody sees it. A step of a request that can be repeated is noted in the unit that takes
it, so that the request, when it comes again after a kill, takes only the steps that are left.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from datetime import timedelta

from crypto_checkout.chain.sandbox.chain import CHAIN_ID, Draft, SandboxChain
from crypto_checkout.core.checkout.session import Session, Status
from crypto_checkout.core.errors import (
    InvalidBody,
    ProviderFailed,
    ResourceNotFound,
    SessionNotOpen,
    UnsupportedAsset,
)
from crypto_checkout.core.ledger.payment import TransferKind
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.core.sandbox import Scenario
from crypto_checkout.services.checkout.session_reader import SessionReader
from crypto_checkout.services.ledger.watcher import Watcher
from crypto_checkout.services.sandbox import scenarios
from crypto_checkout.services.upkeep.retention import IDEMPOTENCY
from crypto_checkout.store.checkout import sessions as store
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.ledger import cursors, payments
from crypto_checkout.store.sandbox import chain as sandbox
from crypto_checkout.store.sandbox import clock as sandbox_clock
from crypto_checkout.store.sandbox import requests
from crypto_checkout.store.sandbox.requests import SandboxRequest

MOST_SECONDS_AHEAD = 20 * 366 * 86_400
"""How far the simulated clock can be put forward in all: no date near the end of the calendar is ever reached."""


class RequestSteps:
    """The steps of one request; those that were taken before a kill are passed over.

    `request` names one that can be repeated, None one that can't.
    """

    def __init__(self, request: str | None, begun: SandboxRequest | None) -> None:
        self.request = request
        self.name = begun.name if begun else secrets.token_hex(16)
        self._taken = begun.steps if begun else 0
        self._steps = 0
        self._transactions = 0

    @property
    def is_begun(self) -> bool:
        """Whether it goes on after a kill."""
        return self._taken > 0

    def step(self) -> bool:
        """Begin the next step; tell whether it is still to be taken."""
        self._steps += 1
        return self._steps > self._taken

    def new_hash(self) -> str:
        """Return the hash of the next transaction: the same again, when the request is repeated."""
        self._transactions += 1
        return "0x" + hashlib.sha256(f"{self.name}/{self._transactions}".encode()).hexdigest()

    def record(self, unit: WriteUnit) -> None:
        """Store that the step is taken, in the unit that takes it."""
        if self.request is not None:
            requests.record(unit, self.request, SandboxRequest(self.name, self._steps))


class SandboxControls:
    """The hands on the simulated chain.

    Each method takes the name of a `request` that can be repeated. Whoever stores the answer to it has it forgotten in
    the same unit (`store.sandbox.requests`).

    `wake` tells this process's dispatcher of a mode that something may be due.
    """

    def __init__(
        self,
        db: Database,
        chain: SandboxChain,
        watcher: Watcher,
        reader: SessionReader,
        clock: Clock,
        wake: Callable[[bool], None],
    ) -> None:
        self._db = db
        self._chain = chain
        self._watcher = watcher
        self._reader = reader
        self._clock = clock
        self._wake = wake
        # One after the other, each with its blocks processed: two clicks at once must not both see nothing paid. A
        # scenario is one turn, so that no reorg of its own can reach a transaction of somebody else.
        self._turn = asyncio.Lock()

    async def pay(
        self,
        session_id: str,
        units: int | None = None,
        kind: TransferKind | None = None,
        transfers: int = 1,
        request: str | None = None,
    ) -> SessionResource:
        """Pay a test session; None pays what is missing. Several `transfers` share the amount, each in its block.

        Raises:
            ResourceNotFound: There is no such test session.
            SessionNotOpen: Nothing is missing, or less than a part for each transfer.
            UnsupportedAsset: What the session asks for doesn't move like this.

        """
        async with self._turn:
            course = await self._course(request)
            session, missing = await self._db.read(lambda unit: _missing(unit, session_id))
            amount = missing if units is None else units
            if not course.is_begun:
                _check_kind(session, kind)
                _check_amount(session, amount, transfers)

            def send(draft: Draft) -> None:
                for part in _parts(amount, transfers):
                    contract, is_internal = session.asset.contract, kind is TransferKind.INTERNAL
                    draft.pay(session.address, part, course.new_hash(), contract, internal=is_internal)

            await self._change(course, send)
        return await self._reader.get(session_id, livemode=False)

    async def play(self, session_id: str, scenario: Scenario, request: str | None = None) -> SessionResource:
        """Drive a test session through a scenario, to its end; no other session notices.

        Raises:
            ResourceNotFound: There is no such test session.
            SessionNotOpen: It is not pending any more, something has arrived, or the chain has an outage.
            UnsupportedAsset: What the session asks for doesn't move like this.

        """
        async with self._turn:
            course = await self._course(request)
            session, missing = await self._db.read(lambda unit: _missing(unit, session_id))
            if not course.is_begun:
                _check_untouched(session, missing)
                _check_kind(session, TransferKind.INTERNAL if scenario is Scenario.INTERNAL else None)
            self._check_reachable()
            await scenarios.play(scenario, session, course.new_hash, lambda change: self._change(course, change))
        return await self._reader.get(session_id, livemode=False)

    async def decimals(self, session_id: str) -> int:
        """Return the decimals of what a test session is paid in. Raises ResourceNotFound."""
        session, _ = await self._db.read(lambda unit: _missing(unit, session_id))
        return session.asset.decimals

    async def mine(self, blocks: int, request: str | None = None) -> int:
        """Mine blocks and have them processed; return the newest block's number."""
        async with self._turn:
            await self._change(await self._course(request), lambda draft: draft.mine(blocks))
        return self._chain.number

    async def reorg(self, depth: int, request: str | None = None) -> int:
        """Replace the newest blocks by a longer branch with the same transactions; return the newest block's number.

        Only blocks that the watcher remembers are replaced.
        """
        async with self._turn:
            oldest = await self._oldest()

            def replace_blocks(draft: Draft) -> None:
                draft.fork(max(draft.number - depth, min(oldest, draft.number)) + 1, secrets.token_hex(8))
                draft.mine(1)

            await self._change(await self._course(request), replace_blocks)
        return self._chain.number

    async def outage(self, seconds: int, request: str | None = None) -> int:
        """Have every look at the chain fail for so long; blocks go on. Return the newest block's number."""
        async with self._turn:
            await self._change(await self._course(request), lambda draft: draft.go_out(seconds))
            # Its pauses between attempts grow; it should notice at once that the chain is back.
            asyncio.get_running_loop().call_later(seconds, self._watcher.wake)
        return self._chain.number

    async def price_outage(self, seconds: int, request: str | None = None) -> int:
        """Have test mode know no price for so long. Return the newest block's number."""
        async with self._turn:
            await self._change(await self._course(request), lambda draft: draft.withhold_prices(seconds))
        return self._chain.number

    async def advance(self, seconds: int, request: str | None = None) -> int:
        """Put the time of test mode forward, for the chain in one block; return its number.

        Retries of webhooks come nearer by as much, and answers to idempotency keys age. Raises InvalidBody beyond
        `MOST_SECONDS_AHEAD` in all.
        """
        async with self._turn:
            course = await self._course(request)
            if not course.is_begun and self._chain.state.seconds_ahead + seconds > MOST_SECONDS_AHEAD:
                raise InvalidBody(
                    f"seconds: the simulated chain's clock can be put forward by {MOST_SECONDS_AHEAD} s in all.",
                    param="seconds",
                )

            def move(draft: Draft) -> scenarios.Stored:
                draft.advance(seconds)
                return lambda unit: sandbox_clock.put_forward(unit, timedelta(seconds=seconds))

            await self._change(course, move)
            self._wake(False)
        return self._chain.number

    async def _course(self, request: str | None) -> RequestSteps:
        """Begin a request, or go on with one."""
        if request is None:
            return RequestSteps(None, None)
        return RequestSteps(
            request, await self._db.read(lambda unit: requests.find(unit, request, unit.now - IDEMPOTENCY))
        )

    async def _change(self, course: RequestSteps, change: Callable[[Draft], scenarios.Stored]) -> None:
        """Take a step, unless it was taken before, and have the new blocks processed."""
        oldest = await self._oldest() if course.is_begun else 0
        # Held, because the watcher could pass the new block while its transactions are still being stored.
        async with self._watcher.held():
            draft = self._chain.draft()
            also = change(draft)
            if course.step():
                _check_reach(draft, oldest)
                await self._db.write(lambda unit: _store(unit, draft, also, course))
                self._chain.apply(draft)
        try:
            while await self._watcher.turn():
                pass
            await self._watcher.flush()
        except ProviderFailed:
            if not self._chain.is_out:
                raise

    async def _oldest(self) -> int:
        """Return the number of the oldest block that the watcher remembers: those above it can be replaced."""
        await self._watcher.flush()
        oldest = await self._db.read(lambda unit: cursors.oldest(unit, CHAIN_ID))
        return oldest.number if oldest else 0

    def _check_reachable(self) -> None:
        if self._chain.is_out:
            raise SessionNotOpen(
                f"The simulated chain has an outage until {self._chain.state.outage_until}: nothing can be processed. "
                "Try again then."
            )


def _store(unit: WriteUnit, draft: Draft, also: scenarios.Stored, course: RequestSteps) -> None:
    sandbox.save(unit, draft.state.to_json(), draft.added, draft.removed)
    if also is not None:
        also(unit)
    course.record(unit)


def _missing(unit: ReadUnit, session_id: str) -> tuple[Session, int]:
    session = store.get(unit, session_id, livemode=False)
    if session is None:
        raise ResourceNotFound(f"There is no checkout session {session_id[:40]} in test mode.")
    arrived = sum(p.transfer.units for p in payments.of_session(unit, session) if p.canonical)
    return session, session.terms.amount_units - arrived


def _check_amount(session: Session, units: int, transfers: int) -> None:
    if units <= 0:
        raise SessionNotOpen(f"Nothing is missing: session {session.id} is {session.status}.")
    if units < transfers:
        raise SessionNotOpen(f"{units} of the smallest units can't be paid in {transfers} transfers.")


def _check_untouched(session: Session, missing: int) -> None:
    if session.status is not Status.PENDING or missing < session.terms.amount_units:
        raise SessionNotOpen(
            f"A scenario begins with nothing paid: session {session.id} is {session.status} "
            f"and has {session.terms.amount_units - missing} units."
        )


def _check_kind(session: Session, kind: TransferKind | None) -> None:
    """Refuse to move a coin as a token, and a token as a coin: `wrong_token` is a scenario of its own."""
    if kind is not None and (kind is TransferKind.TOKEN) is session.asset.is_native:
        raise UnsupportedAsset(
            f"Session {session.id} asks for {session.asset.symbol}, which doesn't move as {kind.value}.", param="kind"
        )


def _check_reach(draft: Draft, oldest: int) -> None:
    """Refuse to go on with a reorg that the watcher couldn't follow by now, or that would reach somebody else."""
    if draft.touched or (draft.replaced_from is not None and draft.replaced_from <= oldest):
        raise SessionNotOpen(
            "The server was stopped in the middle of this, and too much has happened on the simulated chain since. "
            "Begin with a new session."
        )


def _parts(units: int, count: int) -> list[int]:
    part = units // count
    return [part] * (count - 1) + [units - part * (count - 1)]
