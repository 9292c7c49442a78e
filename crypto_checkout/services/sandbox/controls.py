"""Drive the simulated chain of test mode: pay a session, mine blocks, make things go wrong.

Every step is stored before it becomes visible. A step of a repeatable request is recorded in the unit that takes it, so
that the request, repeated after a kill, takes only the remaining steps.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from datetime import timedelta

from crypto_checkout.chain.sandbox.chain import CHAIN_ID, DESTINATION, SandboxChain
from crypto_checkout.chain.sandbox.draft import Draft
from crypto_checkout.core.checkout.session import Session, Status
from crypto_checkout.core.errors import (
    InvalidBody,
    ProviderFailed,
    ResourceNotFound,
    SessionNotOpen,
    UnsupportedAsset,
)
from crypto_checkout.core.ledger.payment import TransferKind
from crypto_checkout.core.public.collection_types import CollectionResource
from crypto_checkout.core.public.refund_types import RefundResource
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.core.sandbox import Scenario
from crypto_checkout.services.checkout.session_reader import SessionReader
from crypto_checkout.services.collect.records import CollectionRecords
from crypto_checkout.services.ledger.watcher import Watcher
from crypto_checkout.services.refunds.records import find_refund
from crypto_checkout.services.sandbox import scenarios
from crypto_checkout.services.sandbox.refunds import RefundPayer
from crypto_checkout.services.upkeep.retention import IDEMPOTENCY
from crypto_checkout.store.checkout import sessions as store
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.ledger import cursors, payments
from crypto_checkout.store.sandbox import chain as sandbox
from crypto_checkout.store.sandbox import clock as sandbox_clock
from crypto_checkout.store.sandbox import requests
from crypto_checkout.store.sandbox.requests import SandboxRequest
from crypto_checkout.store.signals import Signal

MOST_SECONDS_AHEAD = 20 * 366 * 86_400
"""The most by which the simulated clock can be advanced in all, far from the end of the calendar."""


class RequestSteps:
    """The steps of one request; steps taken before a kill are skipped.

    `request` identifies a repeatable request; None stands for one that can't be repeated.
    """

    def __init__(self, request: str | None, begun: SandboxRequest | None) -> None:
        self.request = request
        self.name = begun.name if begun else secrets.token_hex(16)
        self._taken = begun.steps if begun else 0
        self._steps = 0
        self._transactions = 0

    @property
    def is_begun(self) -> bool:
        """True for a request that continues after a kill."""
        return self._taken > 0

    def step(self) -> bool:
        """Begin the next step; return False if it was taken before."""
        self._steps += 1
        return self._steps > self._taken

    def new_hash(self) -> str:
        """Return the hash of the next transaction, the same when the request is repeated."""
        self._transactions += 1
        return "0x" + hashlib.sha256(f"{self.name}/{self._transactions}".encode()).hexdigest()

    def record(self, unit: WriteUnit) -> None:
        """Record the step, in the unit that takes it."""
        if self.request is not None:
            requests.record(unit, self.request, SandboxRequest(self.name, self._steps))


class SandboxControls:
    """Controls the simulated chain.

    Each method takes the id of a repeatable `request`; the unit that stores its answer also deletes its steps
    (`store.sandbox.requests`). `wake` wakes this process's dispatcher of a mode; `changed` tells other processes of a
    change, where there may be any.
    """

    def __init__(
        self,
        db: Database,
        chain: SandboxChain,
        watcher: Watcher,
        reader: SessionReader,
        records: CollectionRecords,
        wake: Callable[[bool], None],
        refunds: RefundPayer,
        changed: Signal | None = None,
    ) -> None:
        self._db = db
        self._chain = chain
        self._watcher = watcher
        self._reader = reader
        self._records = records
        self._wake = wake
        self._refunds = refunds
        self._changed = changed
        # One request at a time, until its blocks are processed: two clicks at once must not both pay in full. A
        # scenario is one turn, so that its reorgs can't reach transactions of other sessions.
        self._turn = asyncio.Lock()

    async def pay(
        self,
        session_id: str,
        units: int | None = None,
        kind: TransferKind | None = None,
        transfers: int = 1,
        request: str | None = None,
    ) -> SessionResource:
        """Pay a test session; None pays the missing amount. Several `transfers` share the amount, each in its block.

        Raises:
            ResourceNotFound: There is no such test session.
            SessionNotOpen: No amount is missing, or too little for the number of transfers.
            UnsupportedAsset: The session's asset doesn't move as this kind of transfer.

        """
        async with self._turn:
            steps = await self._begin(request)
            session, missing = await self._db.read(lambda unit: _missing(unit, session_id))
            amount = missing if units is None else units
            if not steps.is_begun:
                _check_kind(session, kind)
                _check_amount(session, amount, transfers)

            def send(draft: Draft) -> None:
                for part in _parts(amount, transfers):
                    contract, is_internal = session.asset.contract, kind is TransferKind.INTERNAL
                    draft.pay(session.address, part, steps.new_hash(), contract, internal=is_internal)

            await self._change(steps, send)
        return await self._reader.get(session_id, livemode=False)

    async def collect(self, session_id: str, request: str | None = None) -> CollectionResource:
        """Collect all that a test session's address holds, as anybody can, and return the record of that.

        Raises:
            ResourceNotFound: There is no such test session.
            SessionNotOpen: The address holds nothing, or the chain has an outage.

        """
        async with self._turn:
            steps = await self._begin(request)
            session, _ = await self._db.read(lambda unit: _missing(unit, session_id))
            self._check_reachable()
            held = self._chain.held_by(session.address)
            if not steps.is_begun and not held:
                raise SessionNotOpen(f"The address of session {session.id} holds nothing to collect.")
            tx_hash = steps.new_hash()
            await self._change(steps, lambda draft: draft.collect(held, DESTINATION, tx_hash))
            await self._records.turn()
        return await self._records.of_transaction(tx_hash)

    async def play(self, session_id: str, scenario: Scenario, request: str | None = None) -> SessionResource:
        """Drive a test session through a scenario, to its end, without touching other sessions.

        Raises:
            ResourceNotFound: There is no such test session.
            SessionNotOpen: The session is no longer pending, has a payment, or the chain has an outage.
            UnsupportedAsset: The session's asset doesn't move as the scenario requires.

        """
        async with self._turn:
            steps = await self._begin(request)
            session, missing = await self._db.read(lambda unit: _missing(unit, session_id))
            if not steps.is_begun:
                _check_untouched(session, missing)
                _check_kind(session, TransferKind.INTERNAL if scenario is Scenario.INTERNAL else None)
            self._check_reachable()
            await scenarios.play(scenario, session, steps.new_hash, lambda change: self._change(steps, change))
        return await self._reader.get(session_id, livemode=False)

    async def pay_refund(self, refund_id: str, request: str | None = None) -> RefundResource:
        """Pay a test refund from the owner's wallet, and return it once that is deep enough.

        One that is not approved is approved first, to a made-up address if the payer gave none. Raises ResourceNotFound
        and RefundNotOpen.
        """
        async with self._turn:
            steps = await self._begin(request)
            refund = await self._db.read(lambda unit: find_refund(unit, refund_id, livemode=False))
            destination = await self._db.write(lambda unit: self._refunds.approved(unit, refund_id))
            tx_hash = steps.new_hash()
            contract = refund.asset.contract

            def send(draft: Draft) -> None:
                draft.pay(destination, refund.units, tx_hash, contract)

            await self._change(steps, send)
            await self._change(steps, lambda draft: draft.mine(refund.required_confirmations))
        return await self._refunds.paid(refund_id, tx_hash)

    async def decimals(self, session_id: str) -> int:
        """Return the decimals of a test session's asset. Raises ResourceNotFound."""
        session, _ = await self._db.read(lambda unit: _missing(unit, session_id))
        return session.asset.decimals

    async def mine(self, blocks: int, request: str | None = None) -> int:
        """Mine blocks, process them, and return the newest block's number."""
        async with self._turn:
            await self._change(await self._begin(request), lambda draft: draft.mine(blocks))
        return self._chain.number

    async def reorg(self, depth: int, request: str | None = None) -> int:
        """Replace the newest blocks with a longer branch of the same transactions; return the newest block's number.

        Only blocks that the watcher remembers are replaced.
        """
        async with self._turn:
            oldest = await self._oldest()

            def replace_blocks(draft: Draft) -> None:
                draft.fork(max(draft.number - depth, min(oldest, draft.number)) + 1, secrets.token_hex(8))
                draft.mine(1)

            await self._change(await self._begin(request), replace_blocks)
        return self._chain.number

    async def outage(self, seconds: int, request: str | None = None) -> int:
        """Make every read of the chain fail for some seconds, while blocks go on; return the newest block's number."""
        async with self._turn:
            await self._change(await self._begin(request), lambda draft: draft.begin_outage(seconds))
            # The watcher's pauses grow with failures; it should notice at once that the chain is back.
            asyncio.get_running_loop().call_later(seconds, self._watcher.wake)
        return self._chain.number

    async def price_outage(self, seconds: int, request: str | None = None) -> int:
        """Withhold test mode's prices for some seconds; return the newest block's number."""
        async with self._turn:
            await self._change(await self._begin(request), lambda draft: draft.withhold_prices(seconds))
        return self._chain.number

    async def advance(self, seconds: int, request: str | None = None) -> int:
        """Advance the clock of test mode, in one block of the chain; return its number.

        Webhook retries become due sooner by as much, and answers to idempotency keys age. Raises InvalidBody beyond
        `MOST_SECONDS_AHEAD` in all.
        """
        async with self._turn:
            steps = await self._begin(request)
            if not steps.is_begun and self._chain.state.seconds_ahead + seconds > MOST_SECONDS_AHEAD:
                raise InvalidBody(
                    f"seconds: the simulated chain's clock can be put forward by {MOST_SECONDS_AHEAD} s in all.",
                    param="seconds",
                )

            def move(draft: Draft) -> scenarios.Stored:
                draft.advance(seconds)
                return lambda unit: sandbox_clock.advance(unit, timedelta(seconds=seconds))

            await self._change(steps, move)
            self._wake(False)
        return self._chain.number

    async def _begin(self, request: str | None) -> RequestSteps:
        """Begin a request, or continue one."""
        if request is None:
            return RequestSteps(None, None)
        return RequestSteps(
            request, await self._db.read(lambda unit: requests.find(unit, request, unit.now - IDEMPOTENCY))
        )

    async def _change(self, steps: RequestSteps, change: Callable[[Draft], scenarios.Stored]) -> None:
        """Take a step, unless it was taken before, and process the new blocks."""
        oldest = await self._oldest() if steps.is_begun else 0
        # Held, because the watcher could process the new block while its transactions are still being stored.
        async with self._watcher.held():
            draft = self._chain.draft()
            also_store = change(draft)
            if steps.step():
                _check_reach(draft, oldest)
                await self._db.write(lambda unit: self._store(unit, draft, also_store, steps))
                self._chain.apply(draft)
        try:
            while await self._watcher.turn():
                pass
            await self._watcher.flush()
        except ProviderFailed:
            if not self._chain.has_outage:
                raise

    async def _oldest(self) -> int:
        """Return the number of the oldest block that the watcher remembers; blocks above it can be replaced."""
        await self._watcher.flush()
        oldest = await self._db.read(lambda unit: cursors.oldest(unit, CHAIN_ID))
        return oldest.number if oldest else 0

    def _store(self, unit: WriteUnit, draft: Draft, also_store: scenarios.Stored, steps: RequestSteps) -> None:
        sandbox.save(unit, draft.state.to_json(), draft.added, draft.removed)
        if also_store is not None:
            also_store(unit)
        steps.record(unit)
        if self._changed is not None:
            unit.after_commit(self._changed)

    def _check_reachable(self) -> None:
        if self._chain.has_outage:
            raise SessionNotOpen(
                f"The simulated chain has an outage until {self._chain.state.outage_until}: nothing can be processed. "
                "Try again then."
            )


def _missing(unit: ReadUnit, session_id: str) -> tuple[Session, int]:
    session = store.get(unit, session_id, livemode=False)
    if session is None:
        raise ResourceNotFound(f"There is no checkout session {session_id[:40]} in test mode.")
    return session, session.terms.amount_units - payments.arrived_units(unit, session)


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
    """Refuse to move a coin as a token, or a token as a coin: `wrong_token` is a scenario of its own."""
    if kind is not None and (kind is TransferKind.TOKEN) is session.asset.is_native:
        raise UnsupportedAsset(
            f"Session {session.id} asks for {session.asset.symbol}, which doesn't move as {kind.value}.", param="kind"
        )


def _check_reach(draft: Draft, oldest: int) -> None:
    """Refuse to continue a reorg that the watcher could no longer follow, or that would reach other sessions."""
    if draft.touched or (draft.replaced_from is not None and draft.replaced_from <= oldest):
        raise SessionNotOpen(
            "The server was stopped in the middle of this, and too much has happened on the simulated chain since. "
            "Begin with a new session."
        )


def _parts(units: int, count: int) -> list[int]:
    part = units // count
    return [part] * (count - 1) + [units - part * (count - 1)]
