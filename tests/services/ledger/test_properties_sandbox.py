"""Whatever happens on the simulated chain, in between any two questions of the watcher: the ledger is what it says.

Everything real but the chain: database, watcher, judge, sessions, refunds, the merchant's decisions.
`tests.support.profile` says how to have it run for long; `tests.services.ledger.test_properties_anvil` is the same
before a real node.
"""

import asyncio
import itertools
import random
import tempfile
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from crypto_checkout.chain.sandbox.chain import ASSETS, CHAIN_ID, CONFIRMATIONS
from crypto_checkout.chain.sandbox.draft import Draft
from crypto_checkout.chain.sandbox.state import State
from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey
from crypto_checkout.core.address import Address
from crypto_checkout.core.checkout.session import ACCEPTED, CLOSED, SETTLED, Session, Status
from crypto_checkout.core.errors import InvalidBody, RecoverableError, RefundNotOpen, SessionNotOpen
from crypto_checkout.core.ledger.payment import Payment, TransferKind
from crypto_checkout.core.money import Fiat, format_units
from crypto_checkout.core.refunds.refund import DestinationProof, Refund, RefundStatus
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
from crypto_checkout.services.refunds.recognition import RefundPayments
from crypto_checkout.services.refunds.records import RefundRecords
from crypto_checkout.services.refunds.refunds import RefundRequest, Refunds
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.checkout import sessions as session_store
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.ledger import cursors, outflows, payments
from crypto_checkout.store.ledger.cursors import Cursor
from crypto_checkout.store.migrate import migrate
from crypto_checkout.store.receipts import receipts as receipt_store
from crypto_checkout.store.refunds import refunds as refund_store
from crypto_checkout.store.sandbox import chain
from tests.support.profile import live
from tests.support.shop import FRESH_XPUB
from tests.support.sums import all_payments, all_unmatched, assess, received, sums
from tests.support.wayward import FAKE, OWNER, Killed, Wayward

START = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
GRACE_SECONDS = 120
WATCHED = timedelta(minutes=30)
"""How long after grace internal transfers are made here; they are noticed for an hour."""

COLD = Address("0x" + "c01d" * 10)
REGULAR = Address("0x" + "4e9a" * 10)
"""A payer to whom several refunds go."""
Change = Callable[[Draft], None]
parts = st.sampled_from([1, 10, 333, 1000, 1001, 1100, 2500])  # in thousandths of the price
DUST_FLOOR = Decimal("0.50")
"""Of a price of 30.00: the two smallest parts are dust."""

places = st.integers(0, 20)
namings = st.sampled_from(["no", "no", "before", "after"])
seeds = st.integers(0, 2**32)


class Life(RuleBasedStateMachine):
    """A shop on the simulated chain, and everything that can happen to both."""

    steps: ClassVar[int] = 0
    refunding: ClassVar[Counter[str]] = Counter()

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
        self.refund_ids: list[str] = []
        self.sent_hashes: list[str] = []
        self.sent_to = Counter[Address]()
        self.deep_at: dict[str, Counter[tuple[Address, Address | None]]] = {}
        self.promised = Counter[tuple[str, Address | None]]()
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
        self.receipts: dict[str, str] = {}
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
        self.reader = reader
        self.decisions = Decisions(reader, payment_methods.chain_time, events)
        self.records = RefundRecords(reader, events, public_url="http://x")
        self.refunds = Refunds(self.db, self.records, payment_methods, {CHAIN_ID: self.chain})
        self.judge = Judge(
            events, chain_id=CHAIN_ID, public_url="http://x", dust_floor=DUST_FLOOR,
            also_take_back=partial(self.records.take_back, chain_id=CHAIN_ID),
        )  # fmt: skip
        self.renew()

    @rule()
    def renew(self) -> None:
        """Forget all that the watcher has in memory."""
        self.watcher = Watcher(
            self.db, self.chain, self.judge, chain_id=CHAIN_ID, livemode=False, name="Sandbox", poll_seconds=1,
            start_block="latest", clock=self.clock, idle_seconds=self.idle,
            monotonic=itertools.count(0, 3600).__next__,
        )  # fmt: skip
        self.refund_payments = RefundPayments(self.db, self.chain, self.records, chain_id=CHAIN_ID, owners=[OWNER])

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
            anywhere = self.random.randrange(first, draft.number + 1)
            for each in [each for each in there if each.hash == tx_hash]:
                if fate != "stays":
                    draft.removed.append(each)
                if fate == "moves" and self.may_move(each):
                    # What pays a refund may be in an earlier block than before, too.
                    number = anywhere if each.sender == OWNER else draft.number
                    draft.added.append(replace(each, block_number=number))
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
            if each.sender == OWNER:
                continue
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

    def destination(self, is_regular: bool) -> Address:
        return REGULAR if is_regular else Address("0x" + self.random.randbytes(20).hex())

    def refund(self, place: int) -> Refund:
        refund_id = self.refund_ids[place % len(self.refund_ids)]
        found: Refund | None = self.run(self.db.read(lambda unit: refund_store.get(unit, refund_id)))
        assert found is not None
        return found

    @contextmanager
    def statuses_stay(self) -> Iterator[None]:
        """Hold that no session's status depends on refunds."""

        def statuses(unit: ReadUnit) -> list[Any]:
            query = "SELECT id, status, status_reason, paid_at, accepted_units FROM checkout_sessions ORDER BY seq"
            return [tuple(row) for row in unit.all(query)]

        before = self.run(self.db.read(statuses))
        yield
        assert self.run(self.db.read(statuses)) == before

    def try_refund(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Do something that the state of a refund or of the money may forbid; None if it does."""
        with self.statuses_stay():
            try:
                return self.run(work())
            except (InvalidBody, RefundNotOpen):
                return None

    @rule(
        place=places,
        share=st.sampled_from([1, 333, 500, 1000, 1001]),
        coin=st.booleans(),
        regular=st.booleans(),
        settle=st.booleans(),
    )
    def make_refund(self, place: int, share: int, coin: bool, regular: bool, settle: bool) -> None:
        """Make a refund of a share of what is there by now, of all that is left, or of more; approve some at once."""
        if settle:
            self.mine(CONFIRMATIONS)
            self.process()
        session, asset = self.session(place), ASSETS[0 if coin else 1]
        units = self.deep(self.chain.number)[session.address, asset.contract] * share // 1000
        request = RefundRequest(
            session.id,
            None if share == 1000 or not units else format_units(units, asset.decimals),
            asset=asset.symbol,
            destination=self.destination(regular) if share == 333 else None,
        )
        made = self.try_refund(lambda: self.db.write(self.refunds.create(False, request)))
        if made is not None:
            self.refund_ids.append(made["id"])
            self.refunding["made"] += 1
            self.check_promise(session, asset.contract)
            if settle:
                self.approve(len(self.refund_ids) - 1, regular)

    @rule(
        place=places,
        part=st.sampled_from([1000, 1100, 2500]),
        share=st.sampled_from([333, 500, 1000]),
        how=st.sampled_from(["right", "right", "right", "twice", "less", "by a stranger"]),
        named=namings,
        blocks=st.sampled_from([0, 1, CONFIRMATIONS]),
    )
    def pay_and_refund(self, place: int, part: int, share: int, how: str, named: str, blocks: int) -> None:
        """Have a payment come, and send a part of it back."""
        self.pay(place, part, 1)
        self.make_refund(place, share, self.session(place).asset.is_native, regular=False, settle=True)
        if self.refund_ids:
            self.pay_refund([len(self.refund_ids) - 1], how, named, blocks)

    @precondition(lambda self: self.refund_ids)
    @rule(place=places, regular=st.booleans())
    def approve_refund(self, place: int, regular: bool) -> None:
        self.approve(place, regular)

    def approve(self, place: int, regular: bool) -> None:
        refund, to = self.refund(place), self.destination(regular)
        approval = self.refunds.approve(False, refund.id, to, DestinationProof.MERCHANT)
        if self.try_refund(lambda: self.db.write(approval)) is not None:
            self.refunding["approved"] += 1
            self.check_promise(self.run(self.db.read(partial(_session_of, refund=refund))), refund.asset.contract)

    def check_promise(self, session: Session, contract: Address | None) -> None:
        """Hold that refunds made or approved just now are covered, where the chain at the cursor is known."""
        cursor, refunds = self.run(
            self.db.read(lambda unit: (cursors.cursor(unit, CHAIN_ID), refund_store.of_session(unit, session.id)))
        )
        promised = _promised(refunds)[contract]
        if self.is_current(cursor):
            self.deep_at[cursor.hash] = self.deep(cursor.number)
        if cursor.hash in self.deep_at:
            assert promised <= self.deep_at[cursor.hash][session.address, contract]
        self.promised[session.id, contract] = promised

    def is_current(self, cursor: Cursor) -> bool:
        return cursor.number <= self.chain.number and self.chain._hash(cursor.number) == cursor.hash

    def deep(self, number: int) -> Counter[tuple[Address, Address | None]]:
        """Return all that came in blocks that are deep below a number, by receiver and asset."""
        come = Counter[tuple[Address, Address | None]]()
        for address, transactions in self.chain._transactions.by_address.items():
            for each in transactions:
                if each.block_number <= number - CONFIRMATIONS + 1:
                    come[address, each.contract] += each.units
        return come

    @precondition(lambda self: self.refund_ids)
    @rule(
        wanted=st.lists(places, min_size=1, max_size=3),
        how=st.sampled_from(["right", "right", "right", "twice", "less", "more", "by a stranger", "elsewhere"]),
        named=namings,
        blocks=st.sampled_from([0, 0, 1, CONFIRMATIONS]),
    )
    def pay_refund(self, wanted: list[int], how: str, named: str, blocks: int) -> None:
        """Send what refunds ask for, several in one transaction; or something that looks like it."""
        chosen = {refund.id: refund for refund in map(self.refund, wanted) if refund.destination is not None}
        tx_hash = "0x" + self.random.randbytes(32).hex()
        if named == "before":
            self.name(chosen, tx_hash)
        for _ in range(2 if how == "twice" else 1):
            self.change(partial(self._send_refunds, refunds=[*chosen.values()], how=how, tx_hash=tx_hash))
            self.sent_hashes.append(tx_hash)
            if named == "after":
                self.name(chosen, tx_hash)
            tx_hash = "0x" + self.random.randbytes(32).hex()
        if blocks:
            self.mine(blocks)
            self.process()
            self.look_at_refunds()
            self.look_at_refunds()

    def _send_refunds(self, draft: Draft, refunds: Sequence[Refund], how: str, tx_hash: str) -> None:
        draft.mine(1)
        for refund in refunds:
            assert refund.destination is not None
            coins = TransferKind.NATIVE if len(refunds) == 1 else TransferKind.INTERNAL
            draft.transfer(
                FAKE if how == "elsewhere" else refund.destination,
                max(1, refund.units + {"less": -1, "more": 1}.get(how, 0)),
                coins if refund.asset.is_native else TransferKind.TOKEN,
                refund.asset.contract,
                tx_hash,
                None if how == "by a stranger" else OWNER,
            )
            self.sent_to[refund.destination] += 1

    def name(self, refund_ids: Sequence[str] | dict[str, Refund], tx_hash: str) -> None:
        for refund_id in refund_ids:
            self.try_refund(partial(self._name, refund_id, tx_hash))

    async def _name(self, refund_id: str, tx_hash: str) -> None:
        await self.db.write(await self.refunds.paid(False, refund_id, tx_hash))

    @precondition(lambda self: self.refund_ids and self.sent_hashes)
    @rule(place=places, sent=places)
    def name_a_payment(self, place: int, sent: int) -> None:
        """Say of some transaction that it pays some refund."""
        self.name([self.refund(place).id], self.sent_hashes[-1 - sent % len(self.sent_hashes)])

    @precondition(lambda self: self.refund_ids)
    @rule(place=places, later=st.booleans())
    def cancel_refund(self, place: int, later: bool) -> None:
        """Cancel a refund, perhaps after the time in which a named transaction may still appear."""
        refund = self.refund(place)
        wait = timedelta(minutes=11 if later else 0)

        async def cancel() -> Any:
            self.now += wait
            try:
                return await self.db.write(await self.refunds.cancel(False, refund.id))
            finally:
                self.now -= wait

        self.refunding["canceled"] += self.try_refund(cancel) is not None

    @precondition(lambda self: self.sent_hashes)
    @rule(
        sent=places,
        fate=st.sampled_from(["goes", "moves", "moves to the first", "stays"]),
        deeper=st.integers(0, 4),
        notice=st.booleans(),
    )
    def take_a_refund_back(self, sent: int, fate: str, deeper: int, notice: bool) -> None:
        """Replace the blocks since a payment of a refund."""
        tx_hash = self.sent_hashes[-1 - sent % len(self.sent_hashes)]
        there = [each for block in self.chain._transactions.by_block.values() for each in block if each.hash == tx_hash]
        if not there or self.chain.number - there[0].block_number > 50:
            return

        first = max(1, there[0].block_number - deeper)

        def fork(draft: Draft) -> None:
            draft.fork(first, str(self.random.random()))
            draft.mine(1)
            if fate != "stays":
                draft.removed += there
            if fate.startswith("moves"):
                number = first if fate == "moves to the first" else draft.number
                draft.added += [replace(each, block_number=number) for each in there]
            self._drop_overdrawn(draft)

        self.change(fork)
        if notice:
            self.process()
            self.look_at_refunds()

    @rule()
    def look_at_refunds(self) -> None:
        """Have a turn of the refunds' loop; with faults, the watcher may have turns within."""

        async def watch() -> None:
            with suppress(RecoverableError):
                await self.watcher.turn()

        self.chain.meanwhile = watch if self.refund_ids else None
        if self.chain.faults:
            self.take(self.refund_payments.turn)
        else:
            with self.statuses_stay():
                self.take(self.refund_payments.turn)
        self.chain.meanwhile = None

    @precondition(lambda self: self.refund_ids)
    @rule(faults=st.sampled_from([0.1, 0.2, 0.4]), seed=seeds)
    def look_at_refunds_with_faults(self, faults: float, seed: int) -> None:
        with self.bad_time(faults, seed):
            for _ in range(4):
                self.look_at_refunds()
                self.the_ledger_is_what_the_chain_says()

    @rule(faults=st.sampled_from([0.1, 0.2, 0.4]), seed=seeds)
    def process_with_faults(self, faults: float, seed: int) -> None:
        """Have some turns of the watcher, in which things go wrong so often."""
        with self.bad_time(faults, seed):
            for _ in range(6):
                self.turn()
                self.look_at_refunds()
                self.the_ledger_is_what_the_chain_says()
            self.look_at_old()

    @contextmanager
    def bad_time(self, faults: float, seed: int) -> Iterator[None]:
        """Let things go wrong so often, and nothing after it: what was read ahead may have failed, and is dropped."""
        self.chain.faults = faults
        self.chain.chance = random.Random(seed)
        yield
        self.chain.faults = 0
        self.watcher._reader.whole.drop()

    @rule(place=places, part=parts)
    def pay_while_the_node_is_ahead(self, place: int, part: int) -> None:
        self.pay(place, part, 3)
        self.chain.is_ahead_next = True
        self.turn()

    @rule()
    def turn(self) -> None:
        self.take(self.watcher.turn)

    def take(self, turn: Callable[[], Awaitable[object]]) -> None:
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
        Life.steps += 1
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
        self.check_refunds(unit, cursor)
        self.check_receipts(unit, [session for session, _, _ in found])
        return cursor, found

    def check_receipts(self, unit: ReadUnit, sessions: Sequence[Session]) -> None:
        """Numbers have no gaps, and a session that was ever settled has one, the same for good."""
        issued = [receipt for each in sessions if (receipt := receipt_store.of_session(unit, each.id)) is not None]
        by_year = defaultdict[int, list[int]](list)
        for receipt in issued:
            by_year[receipt.year].append(receipt.number)
        for numbers in by_year.values():
            assert sorted(numbers) == [*range(1, len(numbers) + 1)]
        names = {receipt.session_id: receipt.name for receipt in issued}
        assert {each.id: each.receipt_number for each in sessions if each.paid_at is not None} == names
        assert self.receipts.items() <= names.items()
        self.receipts = names

    def check_outflows(self, unit: ReadUnit, cursor: Cursor) -> None:
        """Whatever is recorded left in that block; and in the end it is all that left, as the balances know."""
        if cursor.number > self.chain.number or self.chain._hash(cursor.number) != cursor.hash:
            return
        sessions = [session_store.get(unit, session_id) for session_id in self.sessions]
        addresses = [session.address for session in sessions if session is not None]
        left = Counter[tuple[str, Address, Address | None]]()
        for number in range(cursor.number + 1):
            for each in self.chain.transactions_in(number):
                if each.sender not in {None, OWNER}:
                    assert each.sender is not None
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

    def check_refunds(self, unit: ReadUnit, cursor: Cursor) -> None:
        """Compare refunds with what is on the chain in that block, and later, when they are paid."""
        if not self.is_current(cursor):
            return
        come = self.deep_at[cursor.hash] = self.deep(cursor.number)
        serving = Counter[tuple[str | None, int | None, Address | None]]()
        everything: list[Refund] = []
        for session_id in self.sessions:
            session = session_store.get(unit, session_id)
            assert session is not None
            refunds = refund_store.of_session(unit, session_id)
            for contract, units in _promised(refunds).items():
                before = self.promised[session_id, contract]
                assert units <= max(come[session.address, contract], before), "no more than came, or than there was"
                self.promised[session_id, contract] = units
            for refund in refunds:
                is_paid = refund.status is RefundStatus.PAID
                assert (refund.payment is not None) == (is_paid or refund.status is RefundStatus.SEEN)
                assert (refund.paid_at is not None) == is_paid
                if refund.payment is not None:
                    serving[refund.tx_hash, refund.payment.log_index, refund.destination] += 1
                    self.check_its_payment(refund)
            paid = sum(
                each.units
                for each in refunds
                if each.status is RefundStatus.PAID and each.asset.contract == session.asset.contract
            )
            assert self.reader.describe(unit, session)["amountRefunded"]["units"] == str(paid)
            everything += refunds
        assert all(count == 1 for count in serving.values()), "a transfer pays one refund"
        if self.is_over:
            for refund in everything:
                self.check_nothing_was_missed(refund, everything, {*serving})

    def check_its_payment(self, refund: Refund) -> None:
        payment = refund.payment
        assert payment is not None
        assert self.chain._hash(payment.block_number) == payment.block_hash, "the chain has its block"
        assert any(
            each.hash == refund.tx_hash
            and _serves(each, refund)
            and payment.log_index == (None if each.contract is None else each.place)
            for each in self.chain.transactions_in(payment.block_number)
        ), "its transfer is in that block"
        if refund.status is RefundStatus.PAID:
            self.refunding["compared while paid"] += 1
            assert self.chain.number - payment.block_number + 1 >= CONFIRMATIONS

    def check_nothing_was_missed(self, refund: Refund, refunds: Sequence[Refund], serving: set[Any]) -> None:
        """Hold that in the end a refund is paid if a transfer that is still there pays it beyond doubt."""
        assert refund.status is not RefundStatus.SEEN, "all is deep in the end"
        if refund.status is not RefundStatus.TO_PAY:
            return
        for each in self.chain._transactions.by_address.get(_existing(refund.destination), ()):
            key = (each.hash, None if each.contract is None else each.place, each.to)
            if each.hash == refund.tx_hash and _serves(each, refund):
                assert key in serving, "the transaction named"
        if self.sent_to[_existing(refund.destination)] > 1 or len([r for r in refunds if _alike(r, refund)]) > 1:
            return
        assert not any(
            each.sender == OWNER
            and each.kind is not TransferKind.INTERNAL
            and each.block_number > (refund.searched_from or 0)
            and _serves(each, refund)
            and each.units == refund.units
            for each in self.chain._transactions.by_address.get(_existing(refund.destination), ())
        ), "the owner's only transfer to a payer of one refund"

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
                for _ in range(3):  # sent, seen, and paid
                    self.look_at_refunds()
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
            queries = [f"SELECT * FROM {table} ORDER BY seq" for table in ("checkout_sessions", "events", "payments")]  # noqa: S608 - as written here
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


def _session_of(unit: ReadUnit, refund: Refund) -> Session | None:
    return session_store.get(unit, refund.session_id)


def _promised(refunds: Sequence[Refund]) -> Counter[Address | None]:
    promised = Counter[Address | None]()
    for each in refunds:
        if each.status is not RefundStatus.CANCELED:
            promised[each.asset.contract] += each.units
    return promised


def _serves(transaction: SandboxTransaction, refund: Refund) -> bool:
    return (
        transaction.to == refund.destination
        and transaction.contract == refund.asset.contract
        and transaction.units >= refund.units
    )


def _alike(one: Refund, other: Refund) -> bool:
    return one.destination == other.destination


def _existing(address: Address | None) -> Address:
    assert address is not None
    return address


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
    print(f"{Life.steps} steps; refunds: {dict(Life.refunding)}; {dict(Wayward.made)}")  # noqa: T201
