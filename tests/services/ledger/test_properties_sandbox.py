"""Whatever happens on the simulated chain, in between any two questions of the watcher: the ledger is what it says.

Everything real but the chain: database, watcher, judge, sessions, the merchant's decisions. `tests.support.profile`
says how to have it run for long; `tests.services.ledger.test_properties_anvil` is the same before a real node.
"""

import asyncio
import itertools
import random
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from crypto_checkout.chain.sandbox.chain import ASSETS, CHAIN_ID, CONFIRMATIONS, SandboxChain, _collected
from crypto_checkout.chain.sandbox.draft import Draft
from crypto_checkout.chain.sandbox.state import State
from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey
from crypto_checkout.core.address import Address
from crypto_checkout.core.checkout.session import ACCEPTED, CLOSED, SETTLED, Session, Status
from crypto_checkout.core.errors import ChainMoved, ProviderFailed, RecoverableError, SessionNotOpen, StateUnavailable
from crypto_checkout.core.ledger.balance_groups import ExpectedGroup, fingerprint
from crypto_checkout.core.ledger.follow import Block, Head, Header
from crypto_checkout.core.ledger.payment import Payment, Transfer, TransferKind
from crypto_checkout.core.ledger.range_reading import RangeReading
from crypto_checkout.core.money import Fiat
from crypto_checkout.core.sandbox import SandboxTransaction
from crypto_checkout.prices.board import PriceBoard
from crypto_checkout.prices.fixed import FixedSource
from crypto_checkout.prices.sandbox import SandboxPrices
from crypto_checkout.services.checkout.decisions import Decisions
from crypto_checkout.services.checkout.payment_methods import (
    AcceptedChain,
    PaymentMethods,
    PaymentMethodsByMode,
    Policy,
)
from crypto_checkout.services.checkout.session_reader import SessionReader
from crypto_checkout.services.checkout.sessions import SessionRequest, Sessions
from crypto_checkout.services.ledger.judge import Judge
from crypto_checkout.services.ledger.watched_addresses import WATCHED_AFTER_GRACE
from crypto_checkout.services.ledger.watcher import Watcher
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.checkout import sessions as session_store
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.ledger import cursors, outflows, payments
from crypto_checkout.store.ledger.cursors import Cursor
from crypto_checkout.store.migrate import migrate
from crypto_checkout.store.sandbox import chain
from tests.support.profile import live
from tests.support.shop import FRESH_XPUB
from tests.support.sums import all_payments, all_unmatched, assess, received, sums

START = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
GRACE_SECONDS = 120
WATCHED = timedelta(minutes=30)
"""How long after grace internal transfers are made here; they are noticed for an hour."""

FAKE = Address("0x" + "fa" * 20)
COLD = Address("0x" + "c01d" * 10)
FAULTS = {
    "head": ("fail", "kill", "lag", "ahead", "ahead", "ahead", "reorg", "mine"),
    "headers": ("fail", "kill", "reorg", "same height"),
    "blocks": ("fail", "kill", "lie", "reorg", "same height", "mine"),
    "read_range": ("fail", "kill", "reorg", "same height", "mine", "leave out", "leave out", "reorg halfway"),
    "nonces": ("fail", "kill", "old", "reorg"),
    "collected": ("fail", "kill", "reorg", "same height"),
    "succeeded": ("fail", "kill", "moved", "reorg"),
    "mismatches": ("fail", "kill", "old", "reorg", "same height"),
    "balances": ("fail", "kill", "old", "moved", "reorg", "same height"),
    "agreed_balances": ("fail", "kill", "old", "moved", "reorg", "same height"),
    "internal_transfers": ("fail", "kill", "moved", "reorg"),
}
"""What can go wrong with each question, and happen before it is answered."""

Change = Callable[[Draft], None]
parts = st.sampled_from([1, 10, 333, 1000, 1001, 1100, 2500])  # in thousandths of the price
DUST_FLOOR = Decimal("0.50")
"""Of a price of 30.00: the two smallest parts are dust."""

places = st.integers(0, 20)
seeds = st.integers(0, 2**32)


class Killed(Exception):
    """The process ends here, whatever it was doing."""


class Wayward(SandboxChain):
    """The sandbox chain with providers that fail, and which changes while it is read.

    One fault is `ahead`: while the node shows a block as its newest, it answers for it with the next one's state. If
    that is one with a collection, it hides what came before: that is found in the next turn, and dated later
    (`has_hidden`). Another is that a node behind a load balancer lags, and leaves out the logs of the newest blocks
    (`has_left_out`).
    """

    made: ClassVar[Counter[str]] = Counter()

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.chance = random.Random(0)
        self.faults = 0.0
        self.forgets = False
        self.reads_ranges = False
        self.has_left_out = False
        self.has_hidden = False
        self.is_ahead_next = False
        self.is_ahead_at: int | None = None
        self.befall: Callable[[str], None] = lambda _: None

    def happen(self, call: str) -> str:
        """Let something happen before a question is answered."""
        fault = self.chance.choice(FAULTS[call]) if self.chance.random() < self.faults else "none"
        self.made[f"{call}: {fault}"] += 1
        if fault == "fail":
            raise ProviderFailed("timed out half-way")
        if fault == "kill":
            raise Killed
        if fault == "moved":
            raise ChainMoved("another block by now")
        self.befall(fault)
        return fault

    async def head(self) -> Head:
        fault = "ahead" if self.is_ahead_next else self.happen("head")
        self.is_ahead_next = False
        found = await super().head()
        behind = {"lag": self.chance.randrange(1, 5), "ahead": 1}.get(fault, 0)
        newest = max(0, found.number - behind)
        self.is_ahead_at = newest if fault == "ahead" else None
        return Head(newest, header=self._header(newest))

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        self.happen("headers")
        return await super().headers(numbers)

    async def blocks(self, first: int, last: int) -> list[Block]:
        fault = self.happen("blocks")
        found = [
            Block(h, _of(self.transactions_in(h.number), h), collected=_collected(self.transactions_in(h.number), h))
            for h in await super().headers(range(first, last + 1))
        ]
        if fault == "lie":
            place = self.chance.randrange(len(found))
            header = found[place].header
            false = "0x" + self.chance.randbytes(32).hex()
            lied = self.chance.choice([replace(header, hash=false), replace(header, parent_hash=false)])
            found[place] = replace(found[place], header=lied)
        return found

    async def read_range(
        self, start: Header, last: Header, since: int, addresses: Sequence[Address], groups: Sequence[ExpectedGroup]
    ) -> RangeReading:
        fault = self.happen("read_range")
        (shown,) = await super().headers([start.number])
        numbers = range(max(0, min(since, start.number + 1)), last.number + 1)
        if numbers[-1] > self.number:
            raise ProviderFailed("block range extends beyond the head")
        if fault == "reorg halfway":
            self.befall("reorg")
        logs = [t for n in numbers for t in _of(self.transactions_in(n), self._header(n)) if t.contract]
        left = [t for n in numbers for t in _collected(self.transactions_in(n), self._header(n))]
        if fault == "leave out":
            first = last.number - self.chance.randrange(4)
            self.has_left_out |= any(each.block_number >= first for each in (*logs, *left))
            logs, left = ([each for each in some if each.block_number < first] for some in (logs, left))
        different = await self.mismatches(last, groups)
        matching = [group for group in groups if group not in different]
        found = [replace(each, block_time=last.time) for each in logs if each.to in addresses]
        collected = [replace(each, block_time=last.time) for each in left if each.sender in addresses]
        return RangeReading(last, (shown, last), tuple(found), matching, tuple(collected))

    async def collected(self, headers: Sequence[Header]) -> list[Transfer]:
        self.happen("collected")
        return await super().collected(headers)

    async def nonces(self, header: Header, addresses: Any) -> dict[Address, int]:
        fault = self.happen("nonces")
        if fault == "old" and self.forgets:
            raise StateUnavailable("missing trie node")
        return await super().nonces(header, addresses)

    async def succeeded(self, transfers: Sequence[Transfer]) -> list[Transfer]:
        if transfers:
            self.happen("succeeded")
        return list(transfers)

    async def balances(self, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
        fault = self.happen("balances")
        if fault == "old" and self.forgets:
            raise StateUnavailable("missing trie node")
        return await super().balances(self.state_of(header), addresses)

    async def agreed_balances(self, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
        fault = self.happen("agreed_balances") if addresses else "none"
        if fault == "old" and self.forgets:
            raise StateUnavailable("missing trie node")
        return await super().agreed_balances(self.state_of(header), addresses)

    async def mismatches(self, header: Header, groups: Sequence[ExpectedGroup]) -> list[ExpectedGroup]:
        # A node that lacks the state, or takes no such calls, has all read one by one.
        fault = self.happen("mismatches")
        asked = self.state_of(header)
        return [
            group
            for group in groups
            if fault == "old"
            or fingerprint([*(await SandboxChain.balances(self, asked, group.addresses)).values()]) != group.fingerprint
        ]

    def state_of(self, header: Header) -> Header:
        """Return the block whose state a question about this one is answered with."""
        is_ahead = header.number == self.is_ahead_at and self._hash(header.number) == header.hash
        if not is_ahead or header.number >= self.number:
            return header
        self.has_hidden |= any(each.sender is not None for each in self.transactions_in(header.number + 1))
        return self._header(header.number + 1)

    async def internal_transfers(self, header: Header, addresses: Any) -> list[Transfer]:
        self.happen("internal_transfers")
        return await super().internal_transfers(header, addresses)


def _of(transactions: Sequence[SandboxTransaction], header: Header) -> tuple[Transfer, ...]:
    return tuple(
        Transfer(
            each.to, each.sender or FAKE, each.units, each.kind, each.contract, each.hash,
            each.place if each.kind is TransferKind.TOKEN else None, header.number, header.hash, header.time,
        )
        for each in transactions
        if each.kind is not TransferKind.INTERNAL
    )  # fmt: skip


class Life(RuleBasedStateMachine):
    """A shop on the simulated chain, and everything that can happen to both."""

    steps: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.things = ExitStack()
        self.runner = self.things.enter_context(asyncio.Runner())
        in_memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a disk would take most of the time
        self.path = Path(self.things.enter_context(tempfile.TemporaryDirectory(dir=in_memory))) / "checkout.db"
        self.now = START
        self.opened = AsyncExitStack()
        self.sessions: list[str] = []
        self.closed: set[str] = set()
        self.accepted: set[str] = set()
        self.overtaken: set[str] = set()
        self.latest = START
        self.compared = 0
        self.is_over = False
        self.chain: Wayward

    def clock(self) -> datetime:
        return self.now

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    @initialize(
        idle=st.sampled_from([0, 86_400]),
        seed=seeds,
        forgets=st.sampled_from([False, False, True]),
        ranges=st.sampled_from([False, True, True]),
    )
    def open(self, idle: int, seed: int, forgets: bool, ranges: bool) -> None:
        """Begin; where nodes forget what was held, contracts' money may be found later, in a later block."""
        self.ranges = ranges
        self.idle = idle
        self.forgets = forgets
        self.random = random.Random(seed)
        migrate(self.path)
        self.run(self.start(State("seed", START)))
        self.turn()
        for asset in ("ETH", "USDC"):
            self.ask(asset, 60)

    async def start(self, state: State | None = None) -> None:
        self.db = await self.opened.enter_async_context(await Database.open(self.path, self.clock))
        if state is not None:
            await self.db.write(lambda unit: chain.save(unit, state.to_json()))
        text, transactions = await self.db.read(_stored)
        assert text is not None
        loaded = State.from_json(text)
        cursor = await self.db.read(lambda unit: cursors.cursor(unit, CHAIN_ID))
        if cursor is not None:
            loaded.resume(cursor.number, self.now)
        has_left_out, has_hidden = (
            (False, False) if state is not None else (self.chain.has_left_out, self.chain.has_hidden)
        )
        self.chain = Wayward(loaded, self.clock, transactions)
        self.chain.befall = self.befall
        self.chain.forgets = self.forgets
        self.chain.reads_ranges = self.ranges
        self.chain.has_left_out, self.chain.has_hidden = has_left_out, has_hidden
        events = Outbox()
        board = PriceBoard(
            [FixedSource({"ETH/USD": Decimal(3000)}, clock=self.clock)],
            quorum=1, max_age_seconds=60, max_spread_percent=Decimal(3), clock=self.clock,
        )  # fmt: skip
        self.opened.push_async_callback(board.close)
        methods = PaymentMethods(
            livemode=False,
            wallet=ExtendedPublicKey.parse(FRESH_XPUB),
            chains=(AcceptedChain(CHAIN_ID, "Sandbox", "", CONFIRMATIONS, ASSETS),),
            prices=SandboxPrices(board, lambda: False, own=()),
            policy=Policy(900, GRACE_SECONDS, Decimal("0.1"), Decimal(5)),
            chain_time=lambda now: max(now, self.chain.time),
        )
        payment_methods = PaymentMethodsByMode([methods])
        reader = SessionReader(self.db, public_url="http://x")
        self.made = Sessions(self.db, payment_methods, events, reader)
        self.decisions = Decisions(reader, payment_methods.chain_time, events)
        self.judge = Judge(events, chain_id=CHAIN_ID, public_url="http://x", dust_floor=DUST_FLOOR)
        self.renew()

    @rule()
    def renew(self) -> None:
        """Forget all that the watcher has in memory."""
        self.watcher = Watcher(
            self.db, self.chain, self.judge, chain_id=CHAIN_ID, livemode=False, name="Sandbox", poll_seconds=1,
            start_block="latest", clock=self.clock, idle_seconds=self.idle,
            monotonic=itertools.count(0, 3600).__next__,
        )  # fmt: skip

    @rule()
    def restart(self) -> None:
        """End the process, and begin another with the same file."""
        self.run(self.opened.aclose())
        self.opened = AsyncExitStack()
        self.run(self.start())

    def change(self, how: Change) -> None:
        draft = self.chain.draft()
        how(draft)
        self.run_unit(draft)

    def run_unit(self, draft: Draft) -> None:
        self.run(self.db.write(partial(_save, draft=draft)))
        self.chain.apply(draft)
        self.latest = max(self.latest, self.chain.time)

    def befall(self, what: str) -> None:
        """Change the chain in between two questions; stored later, as nothing waits for the database there."""
        if what in {"reorg", "same height", "mine"}:
            draft = self.chain.draft()
            if what == "mine":
                draft.mine(self.random.randrange(1, 4))
            else:
                self._reorganise(draft, self.random.randrange(1, 8), longer=what == "reorg")
            self.chain.apply(draft)
            self.unstored.append(draft)
            self.latest = max(self.latest, self.chain.time)

    @precondition(lambda self: len(self.sessions) < 8)
    @rule(asset=st.sampled_from(["ETH", "USDC"]), seconds=st.sampled_from([60, 300, 900]))
    def ask(self, asset: str, seconds: int) -> None:
        wanted = SessionRequest(fiat=Fiat(Decimal("30.00"), "USD"), expires_in_seconds=seconds, asset=asset)
        self.sessions.append(self.run(self.made.create(livemode=False, request=wanted))["id"])

    def session(self, place: int) -> Session:
        session_id = self.sessions[place % len(self.sessions)]
        found: Session | None = self.run(self.db.read(lambda unit: session_store.get(unit, session_id)))
        assert found is not None
        return found

    def pay_with(self, to: Sequence[tuple[Session, int, TransferKind, Address | None]], blocks: int) -> None:
        tx_hash = "0x" + self.random.randbytes(32).hex()

        def send(draft: Draft) -> None:
            draft.mine(blocks)
            for session, units, kind, contract in to:
                draft.transfer(session.address, units, kind, contract, tx_hash)

        self.change(send)

    def units(self, session: Session, part: int) -> int:
        return max(1, session.terms.amount_units * part // 1000)

    @rule(place=places, part=parts, blocks=st.integers(1, 3))
    def pay(self, place: int, part: int, blocks: int) -> None:
        session = self.session(place)
        asset = session.asset
        kind = TransferKind.NATIVE if asset.is_native else TransferKind.TOKEN
        self.pay_with([(session, self.units(session, part), kind, asset.contract)], blocks)

    @rule(paid=st.lists(st.tuples(places, parts), min_size=1, max_size=4))
    def pay_by_contract(self, paid: list[tuple[int, int]]) -> None:
        """Pay several in one transaction, as an exchange does, or one that ends; also those that want a token."""
        to = [(self.session(place), part) for place, part in paid]
        soon = [(s, p) for s, p in to if self.is_watched(s)]
        if soon:
            self.pay_with([(s, self.units(s, p), TransferKind.INTERNAL, None) for s, p in soon], 1)

    def is_watched(self, session: Session) -> bool:
        return self.latest < session.terms.grace_until + WATCHED

    @rule(place=places, shares=st.lists(parts, min_size=1, max_size=4))
    def pay_tokens_in_one_transaction(self, place: int, shares: list[int]) -> None:
        session = self.session(place)
        usdc = ASSETS[1].contract
        self.pay_with([(session, self.units(session, part), TransferKind.TOKEN, usdc) for part in shares], 1)

    @rule(place=places, part=parts, fake=st.booleans())
    def pay_something_else(self, place: int, part: int, fake: bool) -> None:
        session = self.session(place)
        if fake or session.asset.is_native:
            self.pay_with([(session, self.units(session, part), TransferKind.TOKEN, FAKE)], 1)
        else:
            self.pay_with([(session, self.units(session, part), TransferKind.NATIVE, None)], 1)

    @rule(wanted=st.lists(places, min_size=1, max_size=4), coin=st.booleans(), apart=st.booleans())
    def collect(self, wanted: list[int], coin: bool, apart: bool) -> None:
        """Move all that some addresses hold to the merchant, as anybody can, in one transaction or in two."""
        contract = None if coin else ASSETS[1].contract
        addresses = list(dict.fromkeys(self.session(place).address for place in wanted))
        half = len(addresses) // 2 if apart else 0
        for part in (addresses[:half], addresses[half:]):
            self.collect_from(part, contract)

    def collect_from(self, addresses: Sequence[Address], contract: Address | None) -> None:
        moved = [each for address in addresses for each in self.chain.held_by(address) if each[1] == contract]
        tx_hash = "0x" + self.random.randbytes(32).hex()
        self.change(lambda draft: draft.collect(moved, COLD, tx_hash))

    @rule(place=places, part=parts, blocks=st.integers(0, 2))
    def pay_by_contract_and_collect(self, place: int, part: int, blocks: int) -> None:
        """Pay, and collect what came at once: in the same block, or a few later."""
        session = self.session(place)
        if not self.is_watched(session):
            return
        units = self.units(session, part)
        paid, taken = ("0x" + self.random.randbytes(32).hex() for _ in range(2))

        def send(draft: Draft) -> None:
            draft.mine(1)
            draft.transfer(session.address, units, TransferKind.INTERNAL, None, paid)
            draft.mine(blocks)
            draft.transfer(COLD, units, TransferKind.INTERNAL, None, taken, session.address)

        self.change(send)

    @rule(blocks=st.sampled_from([1, 1, 2, 3, 3, 10, 40]))
    def mine(self, blocks: int) -> None:
        self.change(lambda draft: draft.mine(blocks))

    @rule(blocks=st.integers(1, 5))
    def mine_at_once(self, blocks: int) -> None:
        self.change(lambda draft: draft.mine_at_once(blocks))

    @rule(seconds=st.sampled_from([1, 30, 61, 61, 200, 901, 1000, 5000]))
    def wait(self, seconds: int) -> None:
        self.change(lambda draft: draft.advance(seconds))

    @rule(seconds=st.sampled_from([-5000, -60, -1, 1, 5, 20]))
    def set_clock(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        self.latest = max(self.latest, self.chain.time)

    @rule(depth=st.sampled_from([1, 1, 2, 3, 4, 6, 12, 50, 300]), longer=st.booleans())
    def reorganise(self, depth: int, longer: bool) -> None:
        self.change(lambda draft: self._reorganise(draft, depth, longer=longer))

    def _reorganise(self, draft: Draft, depth: int, *, longer: bool) -> None:
        """Replace blocks; each of their transactions stays where it was, goes for good, or goes to a later block."""
        newest = draft.number
        first = max(1, newest - depth + 1)
        draft.fork(first, str(self.random.random()))
        if longer:
            draft.mine(self.random.randrange(1, 3))
        there = [each for number in range(first, newest + 1) for each in self.chain.transactions_in(number)]
        for tx_hash in sorted({each.hash for each in there}):
            fate = self.random.choice(["stays", "goes", "moves"])
            for each in [each for each in there if each.hash == tx_hash]:
                if fate != "stays":
                    draft.removed.append(each)
                if fate == "moves" and self.may_move(each):
                    draft.added.append(replace(each, block_number=draft.number))
        self._drop_overdrawn(draft)

    def _drop_overdrawn(self, draft: Draft) -> None:
        """Drop the collections for which too little is left, as a chain would."""
        kept = [
            each
            for number in range(draft.number + 1)
            for each in self.chain.transactions_in(number)
            if each not in draft.removed
        ]
        held = Counter[tuple[Address, Address | None]]()
        for each in sorted([*kept, *draft.added], key=lambda each: (each.block_number, each.sender is not None)):
            if each.sender is None:
                held[each.to, each.contract] += each.units
            elif held[each.sender, each.contract] >= each.units:
                held[each.sender, each.contract] -= each.units
            else:
                (draft.added.remove if each in draft.added else draft.removed.append)(each)

    def may_move(self, transaction: SandboxTransaction) -> bool:
        return (
            transaction.sender is not None
            or transaction.kind is not TransferKind.INTERNAL
            or self.latest < START + timedelta(seconds=60)
        )

    @rule(place=places)
    def close(self, place: int) -> None:
        self.decide(place, self.decisions.expire, self.closed)

    @rule(place=places)
    def accept(self, place: int) -> None:
        self.decide(place, self.decisions.accept, self.accepted)

    def decide(self, place: int, how: Any, decided: set[str]) -> None:
        session_id = self.sessions[place % len(self.sessions)]
        try:
            self.run(self.db.write(how(False, session_id)))
            decided.add(session_id)
        except SessionNotOpen:
            pass

    @rule(faults=st.sampled_from([0.1, 0.2, 0.4]), seed=seeds)
    def process_with_faults(self, faults: float, seed: int) -> None:
        """Have some turns of the watcher, in which things go wrong so often."""
        self.chain.faults = faults
        self.chain.chance = random.Random(seed)
        for _ in range(6):
            self.turn()
            self.the_ledger_is_what_the_chain_says()
        self.look_at_old()
        self.chain.faults = 0

    @rule(place=places, part=parts)
    def pay_while_the_node_is_ahead(self, place: int, part: int) -> None:
        self.pay(place, part, 3)
        self.chain.is_ahead_next = True
        self.turn()

    @rule()
    def turn(self) -> None:
        self.take(self.watcher.turn)

    def take(self, turn: Callable[[], Awaitable[bool]]) -> None:
        self.unstored: list[Draft] = []
        is_killed = False
        try:
            self.run(turn())
        except RecoverableError:
            pass
        except Killed:
            is_killed = True
        for draft in self.unstored:
            self.run(self.db.write(partial(_save, draft=draft)))
        if is_killed:
            self.restart()

    @rule()
    def look_at_old(self) -> None:
        self.take(self.watcher.turn_late)

    @rule()
    def process(self) -> None:
        while self.run(self.watcher.turn()):
            pass

    def check_invariants(self, *arguments: Any, **named: Any) -> None:
        self.steps["all"] += 1
        super().check_invariants(*arguments, **named)

    @invariant()
    def the_ledger_is_what_the_chain_says(self) -> None:
        if self.sessions:
            cursor, found = self.run(self.db.read(self.recorded))
            if cursor.number <= self.chain.number and self.chain._hash(cursor.number) == cursor.hash:
                self.compared += 1
                for session, paid, others in found:
                    self.check(session, paid, others, cursor)

    def recorded(self, unit: ReadUnit) -> tuple[Cursor, list[tuple[Session, list[Payment], list[Payment]]]]:
        cursor = cursors.cursor(unit, CHAIN_ID)
        assert cursor is not None
        found = []
        for session_id in self.sessions:
            session = session_store.get(unit, session_id)
            assert session is not None
            others = [each.payment for each in all_unmatched(unit, session_id)]
            paid = all_payments(unit, session)
            assert session.sums == sums(session, paid), "the sums are those of the payments"
            assert payments.received(unit, session, cursor.tip) == received(session, paid, cursor.tip)
            found.append((session, paid, others))
        self.check_outflows(unit, cursor)
        return cursor, found

    def check_outflows(self, unit: ReadUnit, cursor: Cursor) -> None:
        """Whatever is recorded left in that block; and in the end it is all that left, as the balances know."""
        if cursor.number > self.chain.number or self.chain._hash(cursor.number) != cursor.hash:
            return
        sessions = [session_store.get(unit, session_id) for session_id in self.sessions]
        addresses = [session.address for session in sessions if session is not None]
        left = Counter[tuple[str, Address, Address | None]]()
        for number in range(cursor.number + 1):
            for each in self.chain.transactions_in(number):
                if each.sender is not None:
                    left[each.hash, each.sender, each.contract] += each.units
        recorded = Counter[tuple[str, Address, Address | None]]()
        unseen = Counter[Address]()
        for outflow in outflows.at_addresses(unit, CHAIN_ID, addresses):
            if outflow.tx_hash is None:
                unseen[outflow.address] += outflow.units
            else:
                recorded[outflow.tx_hash, outflow.address, outflow.contract] += outflow.units
        assert recorded <= left
        if self.is_over:
            missing = Counter[Address]()
            for (_, address, contract), units in (left - recorded).items():
                assert contract is None, "tokens never leave unseen"
                missing[address] += units
            assert unseen == missing

    def check(self, session: Session, paid: list[Payment], others: list[Payment], cursor: Cursor) -> None:
        wanted, elsewhere = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        in_window = deep = 0
        for number in range(cursor.number + 1):
            time = self.chain.state.time(number)
            for each in self.chain.transactions_in(number):
                if each.to != session.address:
                    continue
                of = wanted if each.contract == session.asset.contract else elsewhere
                of[self.chain._hash(number), each.contract or ""] += each.units
                if of is wanted and time <= session.terms.grace_until:
                    in_window += each.units
                    deep += each.units if cursor.number - number + 1 >= CONFIRMATIONS else 0
        for come, of, what in ((paid, wanted, "payments"), (others, elsewhere, "unmatched payments")):
            if self.may_lack(session, cursor):
                assert _sums(come) <= of, f"{what} of {session.id}"
            elif self.forgets or self.chain.has_hidden:
                assert _sums(come).total() <= of.total(), f"{what} of {session.id}"
            elif any(payment.canonical and payment.is_provisional for payment in come):
                assert _sums(come) <= of, f"{what} of {session.id}"
            else:
                assert _sums(come) == of, f"{what} of {session.id}"
        if self.is_over:
            assert _sums(paid).total() == wanted.total()
            assert _sums(others).total() == elsewhere.total()
        self.check_status(session, paid, in_window, deep, cursor)

    def may_lack(self, session: Session, cursor: Cursor) -> bool:
        """Tell whether payments may still be missing: logs were left out, or the session is old."""
        is_old = cursor.time >= session.terms.grace_until + WATCHED_AFTER_GRACE
        return not self.is_over and (self.chain.has_left_out or (self.ranges and is_old))

    def check_status(self, session: Session, paid: list[Payment], in_window: int, deep: int, cursor: Cursor) -> None:
        tip = cursor.tip
        verdict = assess(session, paid, tip)
        assert (verdict.status, verdict.status_reason) == (session.status, session.status_reason), "judged again"
        if (
            self.forgets
            or self.chain.has_hidden
            or any(payment.canonical and payment.is_provisional for payment in paid)
        ):
            return
        if self.may_lack(session, cursor):
            return
        if session.accepted_units is not None:
            assert session.status_reason == ACCEPTED or session.status in {Status.FAILED, Status.DETECTED}
            return
        assert (verdict.received_units, verdict.confirmed_units) == (in_window, deep)
        assert (session.status in SETTLED) >= (deep >= session.terms.minimum_units)
        self.check_reason(session, cursor)
        self.check_money(session, in_window, deep)

    def check_money(self, session: Session, in_window: int, deep: int) -> None:
        minimum = session.terms.minimum_units
        if session.status in SETTLED | {Status.DETECTED}:
            assert in_window >= minimum
        if session.status is Status.UNDERPAID:
            assert 0 < deep < minimum
        if session.status is Status.PENDING:
            assert deep == 0 <= in_window < minimum
        if session.status is Status.FAILED:
            assert in_window < minimum
            assert session.paid_at is not None

    def check_reason(self, session: Session, cursor: Cursor) -> None:
        if session.status is Status.EXPIRED:
            assert session.status_reason == CLOSED or self.latest > session.terms.expires_at
        if session.status_reason == CLOSED:
            assert session.id in self.closed
        if session.id in self.closed and session.paid_at is None:
            assert session.status in {Status.EXPIRED, Status.DETECTED}
        if session.status is Status.PENDING and not session.paid_at:
            assert cursor.time <= session.terms.expires_at or self.has_come(session)

    def has_come(self, session: Session) -> bool:
        return any(
            each.to == session.address and each.contract == session.asset.contract
            for number in range(self.chain.number + 1)
            for each in self.chain.transactions_in(number)
        )

    def teardown(self) -> None:
        try:
            if self.sessions:
                self.process()
                self.mine(CONFIRMATIONS)
                self.process()
                self.run(self.watcher.flush())
                self.look_at_old()
                self.mine(1)  # what only a balance shows counts with the next block
                self.process()
                self.run(self.watcher.flush())
                self.is_over = True
                before = self.compared
                self.the_ledger_is_what_the_chain_says()
                assert self.compared == before + 1, "the cursor is on the chain"
                self.judging_again_changes_nothing()
        finally:
            self.run(self.opened.aclose())
            self.things.close()

    def judging_again_changes_nothing(self) -> None:
        def everything(unit: ReadUnit) -> list[Any]:
            queries = ("SELECT * FROM checkout_sessions", "SELECT * FROM events", "SELECT * FROM payments")
            return [tuple(row) for query in queries for row in unit.all(query)]

        def judge(unit: WriteUnit) -> None:
            cursor = cursors.cursor(unit, CHAIN_ID)
            assert cursor is not None
            for session_id in self.sessions:
                self.judge._judge(unit, session_id, cursor.tip)

        before = self.run(self.db.read(everything))
        self.run(self.db.write(judge))
        assert self.run(self.db.read(everything)) == before


def _stored(unit: ReadUnit) -> tuple[str | None, list[SandboxTransaction]]:
    return chain.load(unit), chain.transactions(unit, -1, START)


def _save(unit: WriteUnit, draft: Draft) -> None:
    chain.save(unit, draft.state.to_json(), draft.added, draft.removed)


def _sums(found: Sequence[Payment]) -> Counter[tuple[str, str]]:
    """Sum what is in canonical blocks and believed, by block and asset."""
    sums = Counter[tuple[str, str]]()
    for each in found:
        if each.canonical and not each.is_provisional:
            sums[each.transfer.block_hash, each.transfer.contract or ""] += each.transfer.units
    return sums


def test_the_ledger_says_what_the_simulated_chain_says_whatever_happens_in_between() -> None:
    Wayward.made.clear()
    live(Life, examples=40, steps=40)
    print(f"{sum(Life.steps.values())} steps: {dict(Life.steps)}; {dict(Wayward.made)}")  # noqa: T201
