"""Compare the token balances of open sessions with their payments: logs can be left out, or say too much.

Some chains leave the logs of the system's own transactions out of `eth_getLogs` (Polygon's state sync), and some tokens
keep a fee and log the whole amount. So in a slow round, a call every few seconds, the balances of open sessions are
read at the last processed block, many in one call: new payments first, and each session about once a minute.

- A balance above the ledger's, at two blocks, becomes an unnamed credit. It is provisional until it was read again, by
  hash and from every provider that answers, and is replaced once a log explains it (`store.ledger.tokens`).
- Where a balance is below it, at two blocks, the logs of what left are read. Without any, each payment is held against
  the rise of the balance in its block, and credited by what arrived. Credits that only a balance showed are taken back.

What an address held before its session is no payment.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from crypto_checkout.core.address import Address
from crypto_checkout.core.checkout.session import Session
from crypto_checkout.core.errors import BalancesRefused, ChainMoved, RecoverableError, StateUnavailable
from crypto_checkout.core.ledger.assess import Tip
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.ledger.payment import Transfer, TransferKind
from crypto_checkout.log import get_logger
from crypto_checkout.services.ledger.evidence import Evidence
from crypto_checkout.services.ledger.judge import Judge
from crypto_checkout.services.ledger.reading.outflows import OutflowEvidence, OutflowReader
from crypto_checkout.services.ledger.reading.stretch import BlockReader, Stretch
from crypto_checkout.services.ledger.second_reading import newest_credits
from crypto_checkout.services.ledger.watcher import Watcher
from crypto_checkout.services.loops import every
from crypto_checkout.store.checkout import sessions
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.ledger import credits, cursors, tokens
from crypto_checkout.store.ledger import outflows as outflow_store
from crypto_checkout.store.ledger.cursors import Cursor
from crypto_checkout.store.ledger.tokens import LoggedPayment, TokenSession
from crypto_checkout.store.ledger.unnamed import UnnamedCredit

log = get_logger("token_balances")

_EVERY_SECONDS = 5.0
_AGAIN_SECONDS = 60.0
_MOST_TOGETHER = 768
_MOST_LAG_BLOCKS = 5


class TokenBalanceReader(BlockReader, OutflowEvidence, Protocol):
    """A chain as token balances are read from it; `chain.evm.chain` implements it."""

    async def token_balances(self, header: Header, token: Address, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return the balances after a block. Raises StateUnavailable."""

    async def agreed_token_balances(
        self, header: Header, token: Address, addresses: Sequence[Address]
    ) -> dict[Address, int]:
        """Return the balances after a block, without those on which providers differ. Raises StateUnavailable."""

    async def tokens_sent(
        self, first: int, last: Header, addresses: Sequence[Address], tokens: Sequence[Address] | None = None
    ) -> list[Transfer]:
        """Return the transfers of tokens that addresses sent, from block `first` on, each dated as the last block."""


@dataclass(frozen=True, slots=True)
class _Look:
    """The last comparison of a session: what a block has beyond the `expected` units; negative if less.

    `before` is the last block at which nothing was beyond them.
    """

    at: float
    block: Header
    expected: int
    difference: int
    before: Header | None


class TokenBalances:
    """The loop of one chain. `clock` is monotonic.

    `_held_before` are the amounts at an address that no comparison should find again, by session; `_acted` is the time
    of the last attempt to explain a difference, `_failed` that of a token's last failure, and `_paid` are the sessions
    with payments since their last look.
    """

    def __init__(
        self,
        db: Database,
        chain: TokenBalanceReader,
        watcher: Watcher,
        judge: Judge,
        *,
        chain_id: int,
        livemode: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._chain = chain
        self._watcher = watcher
        self._judge = judge
        self._chain_id = chain_id
        self._livemode = livemode
        self._clock = clock
        self._outflows = OutflowReader(db, chain, chain_id)
        self._looks: dict[str, _Look] = {}
        self._held_before: dict[str, int] = {}
        self._acted: dict[str, float] = {}
        self._failed: dict[Address, float] = {}
        self._paid: set[str] = set()
        self._newest_payment: int | None = None

    async def run(self) -> None:
        """Take a turn every few seconds, until cancelled."""
        await every(_EVERY_SECONDS, self.turn, log=log, failure="token balances could not be compared")

    async def turn(self) -> None:
        """Read provisional credits again, and compare some sessions in one token, if the chain is followed closely."""
        status = self._watcher.status
        if status.error is not None or status.stopped or status.lag is None or status.lag > _MOST_LAG_BLOCKS:
            return
        try:
            cursor, found = await self._db.read(self._open)
            if cursor is not None:
                await self._review(cursor)
                await self._compare(cursor, found)
        except RecoverableError as error:
            log.info("token balances aren't compared this time", chain=self._chain_id, error=str(error))

    def _open(self, unit: ReadUnit) -> tuple[Cursor | None, Mapping[str, TokenSession]]:
        cursor = cursors.cursor(unit, self._chain_id)
        if cursor is None:
            return None, {}
        if self._newest_payment is None:
            self._newest_payment = tokens.newest_payment(unit)
        self._newest_payment, paid = tokens.paid_after(unit, self._chain_id, self._newest_payment)
        found = tokens.open_sessions(unit, self._chain_id, self._livemode, cursor.time)
        self._paid |= paid
        return cursor, {session.id: session for session in found}

    # Comparing

    async def _compare(self, cursor: Cursor, found: Mapping[str, TokenSession]) -> None:
        some = await asyncio.to_thread(self._due, cursor, found)
        if not some:
            return
        token, block = some[0].contract, cursor.header
        self._failed[token] = self._clock()
        held = await self._chain.token_balances(block, token, [session.address for session in some])
        del self._failed[token]
        ledger = await self._db.read(lambda unit: self._expected(unit, block, some))
        if not await self._db.read(lambda unit: self._is_on_chain(unit, block)):
            return  # a reorganisation came between
        for session in some:
            expected = ledger[session.address]
            beyond = held[session.address] - expected - self._held_before.get(session.id, 0)
            await self._note(session, block, expected, beyond)

    def _due(self, cursor: Cursor, found: Mapping[str, TokenSession]) -> list[TokenSession]:
        """Return the sessions to compare now, in one token: doubtful ones and new payments first, then the stalest."""
        for known in (self._looks, self._held_before, self._acted):
            for gone in known.keys() - found.keys():
                del known[gone]
        self._paid &= found.keys()
        now = self._clock()

        def rank(session: TokenSession) -> tuple[int, float] | None:
            look = self._looks.get(session.id)
            if now - self._failed.get(session.contract, -_AGAIN_SECONDS) < _AGAIN_SECONDS:
                return None  # no token, or a provider that refuses: the others have their turn
            if look is not None and look.block.number >= cursor.number and look.block.hash == cursor.hash:
                return None
            if (
                look is not None
                and look.difference
                and now - self._acted.get(session.id, -_AGAIN_SECONDS) >= _AGAIN_SECONDS
            ):
                return 0, look.at
            if session.id in self._paid:
                return 1, 0.0
            if look is None:
                return 2, 0.0
            return (3, look.at) if now - look.at >= _AGAIN_SECONDS else None

        ranked = [(place, session) for session in found.values() if (place := rank(session)) is not None]
        ranked.sort(key=lambda each: each[0])
        same = [session for _, session in ranked if session.contract == ranked[0][1].contract]
        return same[:_MOST_TOGETHER]

    async def _note(self, session: TokenSession, block: Header, expected: int, difference: int) -> None:
        """Remember a comparison; act on a difference that an earlier block showed too."""
        look = self._looks.get(session.id)
        before = block if difference <= 0 else (look.before if look is not None else None)
        self._looks[session.id] = now = _Look(self._clock(), block, expected, difference, before)
        self._paid.discard(session.id)
        if look is None or look.difference * difference <= 0:
            return
        if not await self._db.read(lambda unit: self._is_on_chain(unit, look.block)):
            return
        self._acted[session.id] = now.at
        if difference > 0:
            await self._credit(session, look, now)
        else:
            await self._lower(session, now)

    # More than the ledger has

    async def _credit(self, session: TokenSession, first: _Look, now: _Look) -> None:
        """Record what came without a log, in the block of its arrival; `first` is the look that showed it first."""
        units, low = min(first.difference, now.difference), first.before
        if low is None:
            low = await self._db.read(lambda unit: cursors.newest_before(unit, self._chain_id, session.created_at))
            held_before = await self._held_at_first(session, low)
            if held_before > 0:
                self._held_before[session.id] = self._held_before.get(session.id, 0) + held_before
                units -= held_before
        if units <= 0:
            return
        block = await self._arrival(session, low, first.block)
        agreed = await self._chain.agreed_token_balances(block, session.contract, [session.address])
        if session.address not in agreed:
            return
        transfer = Transfer(
            to=session.address,
            sender=None,
            units=units,
            kind=TransferKind.TOKEN,
            contract=session.contract,
            tx_hash=None,
            log_index=None,
            block_number=block.number,
            block_hash=block.hash,
            block_time=block.time,
            provisional_balance=agreed[session.address],
        )

        def record(unit: WriteUnit, current: Session, tip: Tip) -> None:
            if self._is_on_chain(unit, block):
                log.warning("a token's payment has no log", chain=self._chain_id, block=block.number)
                self._judge.advance(unit, Evidence(payments=((current, transfer),)), tip)

        await self._write(session, now, record)

    async def _arrival(self, session: TokenSession, low: Header | None, high: Header) -> Header:
        """Return the block in which money came that `high` shows and `low` doesn't, found by bisection.

        Where states are missing it is the next one that can be read, with the time of the last before it: a payer loses
        no time by it.
        """
        if low is None:
            return high
        while high.number - low.number > 1:
            (middle,) = await self._chain.headers([(low.number + high.number) // 2])
            try:
                is_there = await self._beyond(session, middle) > 0
            except (StateUnavailable, BalancesRefused):
                return replace(high, time=low.time)
            low, high = (low, middle) if is_there else (middle, high)
        return high

    async def _held_at_first(self, session: TokenSession, low: Header | None) -> int:
        """Return what an address held before its session; a new one is unused (`services.ledger.wallet_check`)."""
        try:
            return 0 if low is None else await self._beyond(session, low)
        except StateUnavailable:
            return 0

    async def _beyond(self, session: TokenSession, block: Header) -> int:
        """Return what an address held beyond its credits at a block."""
        held = await self._chain.token_balances(block, session.contract, [session.address])
        found = await self._db.read(lambda unit: self._expected(unit, block, [session]))
        return held[session.address] - found[session.address] - self._held_before.get(session.id, 0)

    # Less than the ledger has

    async def _lower(self, session: TokenSession, now: _Look) -> None:
        """Find out why less is there than was credited: a sweep, a token that keeps a fee, or a wrong credit."""
        payments, unnamed = await self._db.read(
            lambda unit: (tokens.logged(unit, session.id), tokens.credits(unit, session.id))
        )
        numbers = [*(each.block_number for each in payments), *(each.block.number for each in unnamed)]
        if not numbers:
            return
        sent = await self._chain.tokens_sent(min(numbers), now.block, [session.address], [session.contract])
        stretch = Stretch(self._chain, now.block, now.block, (), left=tuple(sent))
        left = await self._outflows.unknown(await self._outflows.in_stretch(stretch))
        missing = -now.difference - sum(each.units for each in left)
        corrected = await self._arrived(session, payments) if missing > 0 and not sent else []
        missing -= sum(payment.units - units for payment, units in corrected)
        wrong = newest_credits(unnamed, missing) if missing > 0 and not sent else []

        def record(unit: WriteUnit, current: Session, tip: Tip) -> None:
            for payment, units in corrected:
                tokens.correct(unit, payment, units)
            evidence = Evidence(withdrawn=tuple(wrong), outflows=tuple((current, each) for each in left))
            evidence.store(unit, self._chain_id)
            self._judge.advance(unit, evidence, tip)
            self._judge.judge_again(unit, current.id, tip)

        if corrected or wrong or left:
            await self._write(session, now, record)

    async def _arrived(
        self, session: TokenSession, payments: Sequence[LoggedPayment]
    ) -> list[tuple[LoggedPayment, int]]:
        """Return the payments whose logs say more than what arrived in their block, with their share of that."""
        found: list[tuple[LoggedPayment, int]] = []
        for number in sorted({payment.block_number for payment in payments}):
            in_block = [payment for payment in payments if payment.block_number == number]
            before, block = await self._chain.headers([number - 1, number])
            if block.hash != in_block[0].block_hash or block.parent_hash != before.hash:
                raise ChainMoved(f"block {number} is another one by now")
            try:
                held = [
                    await self._chain.agreed_token_balances(each, session.contract, [session.address])
                    for each in (before, block)
                ]
            except StateUnavailable:
                continue
            logged = sum(payment.logged_units for payment in in_block)
            if session.address not in held[0] or session.address not in held[1]:
                continue
            arrived = held[1][session.address] - held[0][session.address]
            if 0 <= arrived < logged:
                shares = [payment.logged_units * arrived // logged for payment in in_block]
                shares[-1] += arrived - sum(shares)
                found += [
                    (payment, share) for payment, share in zip(in_block, shares, strict=True) if share != payment.units
                ]
        return found

    # Reading provisional credits again

    async def _review(self, cursor: Cursor) -> None:
        """Read the balances behind provisional credits again, once a later block is there."""
        waiting = await self._db.read(self._waiting)
        confirmed: list[UnnamedCredit] = []
        withdrawn: list[UnnamedCredit] = []
        for credit, contract in waiting:
            if credit.block.number >= cursor.number:
                continue
            try:
                held = await self._chain.agreed_token_balances(credit.block, contract, [credit.address])
            except StateUnavailable:
                look = self._looks.get(credit.session_id or "")
                if look is not None and look.difference >= 0:
                    confirmed.append(credit)
                continue
            if credit.address in held:
                is_same = held[credit.address] == credit.provisional_balance
                (confirmed if is_same else withdrawn).append(credit)
        if confirmed or withdrawn:
            evidence = Evidence(confirmed=tuple(confirmed), withdrawn=tuple(withdrawn))
            await self._db.write(lambda unit: self._advance(unit, evidence))

    def _waiting(self, unit: ReadUnit) -> list[tuple[UnnamedCredit, Address]]:
        """Return the provisional credits, each with its token."""
        found = tokens.provisional(unit, self._chain_id)
        of = sessions.by_ids(unit, {credit.session_id or "" for credit in found})
        contracts = {session_id: session.asset.contract for session_id, session in of.items()}
        return [
            (credit, contract) for credit in found if (contract := contracts.get(credit.session_id or "")) is not None
        ]

    def _advance(self, unit: WriteUnit, evidence: Evidence) -> None:
        cursor = cursors.cursor(unit, self._chain_id)
        if cursor is not None:
            evidence.store(unit, self._chain_id)
            self._judge.advance(unit, evidence, cursor.tip)

    async def _write(
        self, session: TokenSession, now: _Look, record: Callable[[WriteUnit, Session, Tip], None]
    ) -> None:
        """Write what was found, unless the chain, the session or its credits have changed since the last look."""

        def write(unit: WriteUnit) -> None:
            cursor, current = cursors.cursor(unit, self._chain_id), sessions.get(unit, session.id)
            if cursor is None or current is None or current.asset.contract != session.contract:
                return
            is_same = self._expected(unit, now.block, [session])[session.address] == now.expected
            if is_same and self._is_on_chain(unit, now.block):
                record(unit, current, cursor.tip)

        await self._db.write(write)

    def _is_on_chain(self, unit: ReadUnit, block: Header) -> bool:
        return cursors.is_canonical(unit, self._chain_id, block.number, block.hash)

    def _expected(self, unit: ReadUnit, block: Header, some: Sequence[TokenSession]) -> dict[Address, int]:
        """Return the credits up to a block in the token of these sessions, less what left, by address."""
        sums = {session.address: 0 for session in some}
        for credit in credits.up_to(unit, self._chain_id, block.number, [*sums]):
            sums[credit.address] += credit.units if credit.contract == some[0].contract else 0
        for outflow in outflow_store.at_addresses(unit, self._chain_id, sums):
            if outflow.contract == some[0].contract and outflow.block_number <= block.number:
                sums[outflow.address] -= outflow.units
        return sums
