"""A shop on a real chain, wired by hand, whose watcher moves only when a test says so."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

from crypto_checkout.chain.evm.chain import EvmChain
from crypto_checkout.chain.rpc.providers import Rpc
from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.money import Fiat
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.prices.board import PriceBoard
from crypto_checkout.prices.fixed import FixedSource
from crypto_checkout.prices.sandbox import SandboxPrices
from crypto_checkout.services.checkout.payment_methods import (
    AcceptedChain,
    PaymentMethods,
    PaymentMethodsByMode,
    Policy,
    Wallet,
)
from crypto_checkout.services.checkout.session_reader import SessionReader
from crypto_checkout.services.checkout.sessions import SessionRequest, Sessions
from crypto_checkout.services.ledger.judge import Judge
from crypto_checkout.services.ledger.watcher import Watcher
from crypto_checkout.services.refunds.records import RefundRecords
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store import paging
from crypto_checkout.store.database import Database
from crypto_checkout.store.ledger import cursors
from crypto_checkout.store.migrate import migrate
from crypto_checkout.store.webhooks import events as event_store
from tests.support.anvil import Anvil
from tests.support.nodes import PausedClock, no_pause

ANVIL_CHAIN_ID = 31337
CONFIRMATIONS = 3
ETH = Asset(ANVIL_CHAIN_ID, "ETH", 18)
ONE_COIN = 10**18

XPUB = "xpub6Ce9NcJvTk36xtLSrJLZqE7wtgA5deCeYs7rSQtreh4cj6ByPtrg9sD7V2FNFLPnf8heNP3FGkeV9qwfzvZNSd54JoNXVsXFYSYwHsnJxqP"

# The first addresses of that wallet are anvil's own accounts, which hold money from the start: this one's aren't.
FRESH_XPUB = (
    "xpub6CLcSbQXwXdjxzKeNtchttVe4meRKxre671wrTL6V2CUDusTSP2Y1mRiphcTMaqowK9AB8QUvvdxKExtR6bF6RQkPqestupEaZR5fu6K9tZ"
)


def now() -> datetime:
    return datetime.now(UTC)


def _far_ahead() -> datetime:
    return now() + timedelta(days=3650)


@dataclass
class Shop:
    """The parts that a payment passes through, with short ways to use them."""

    path: Path
    db: Database
    chain: EvmChain
    payment_methods: PaymentMethodsByMode
    sessions: Sessions
    reader: SessionReader
    refund_records: RefundRecords
    make_watcher: Callable[[], Watcher]
    watcher: Watcher
    chain_id: int = ANVIL_CHAIN_ID

    async def ask(
        self, value: str = "3000.00", expires_in_seconds: int = 900, asset: str | None = None
    ) -> SessionResource:
        """Make a session; at 3,000 USD for one ETH the default price is one coin."""
        wanted = SessionRequest(fiat=Fiat(Decimal(value), "USD"), expires_in_seconds=expires_in_seconds, asset=asset)
        return await self.sessions.create(livemode=True, request=wanted)

    async def process(self) -> None:
        """Have the watcher process all blocks there are."""
        while await self.watcher.turn():
            pass

    async def look(self, session: SessionResource) -> SessionResource:
        """Return the session as it is now."""
        return await self.reader.get(session["id"], livemode=True)

    async def events(self, session: SessionResource) -> list[str]:
        """Return the types of a session's events after its creation, oldest first."""
        wanted = event_store.EventFilter(resource_id=session["id"])
        page = await self.db.read(lambda unit: event_store.bodies(unit, True, wanted, paging.Window(100)))
        types = [body.split('"type":"', 1)[1].split('"', 1)[0] for body in reversed(page.items)]
        return types[1:]

    async def processed(self) -> int:
        """Return the number of the last processed block."""
        cursor = await self.db.read(lambda unit: cursors.cursor(unit, self.chain_id))
        assert cursor is not None
        return cursor.number

    def restart(self) -> None:
        """Drop everything that the watcher has in memory."""
        self.watcher = self.make_watcher()


@asynccontextmanager
async def open_shop(
    folder: Path,
    urls: list[str],
    *,
    finality: str = "depth",
    xpub: str = XPUB,
    wallet: Wallet | None = None,
    start_block: int | None = None,
    tokens: Sequence[Asset] = (),
    timeout_seconds: float = 20,
    confirm_with: int = 1,
    agree_above_fiat: int = 0,
    dust_floor: str = "0",
    chain_now: Clock | None = None,
    clock: Clock = now,
    accepted: AcceptedChain | None = None,
    monotonic: Callable[[], float] = time.monotonic,
    rest_seconds: float = 0,
    provider_clock: PausedClock | None = None,
) -> AsyncIterator[Shop]:
    """Open a shop on the chain behind these URLs; its first cursor is set. Blocks may be ahead, but for `chain_now`.

    `clock` is the server's, except for prices; `monotonic` is the chain's, in seconds. `accepted` is the chain, if it
    isn't anvil's with these `tokens`; all of its coins but the pegged ones are priced as ETH is. Between two tries of a
    provider no time passes; `provider_clock` is the one by which providers rest.
    """
    accepted = accepted or AcceptedChain(ANVIL_CHAIN_ID, "Anvil", "", CONFIRMATIONS, (ETH, *tokens))
    path = folder / "checkout.db"
    migrate(path)
    async with await Database.open(path, clock) as db:
        contracts = [token.contract for token in accepted.assets if token.contract is not None]
        rpc = Rpc(
            accepted.id,
            urls,
            timeout_seconds=timeout_seconds,
            clock=provider_clock or time.monotonic,
            sleep=provider_clock.sleep if provider_clock else no_pause,
        )
        chain = EvmChain(
            rpc,
            tokens=contracts,
            finality=finality,
            confirm_with=confirm_with,
            clock=monotonic,
            now=chain_now or _far_ahead,
        )
        events = Outbox()
        board = PriceBoard(
            [FixedSource({f"{asset.symbol}/USD": Decimal(3000) for asset in accepted.assets}, clock=now)],
            quorum=1,
            max_age_seconds=60,
            max_spread_percent=Decimal(3),
            clock=now,
        )
        methods = PaymentMethods(
            livemode=True,
            wallet=wallet or ExtendedPublicKey.parse(xpub),
            chains=(accepted,),
            prices=SandboxPrices(board, lambda: False, own=()),
            policy=Policy(900, 3600, Decimal("0.1"), Decimal(5)),
            chain_time=lambda moment: moment,
            block_time=lambda _: chain.newest_time,
        )

        reader = SessionReader(db, public_url="http://x")
        records = RefundRecords(reader, events, public_url="http://x")

        def make_watcher() -> Watcher:
            return Watcher(
                db,
                chain,
                Judge(
                    events,
                    chain_id=accepted.id,
                    public_url="http://127.0.0.1:4020",
                    dust_floor=Decimal(dust_floor),
                    also_take_back=partial(records.take_back, chain_id=accepted.id),
                ),
                chain_id=accepted.id,
                livemode=True,
                name=accepted.name,
                poll_seconds=0.1,
                start_block="latest" if start_block is None else start_block,
                clock=clock,
                agree_above_fiat=Decimal(agree_above_fiat),
                rest_seconds=rest_seconds,
                monotonic=monotonic,
            )

        watcher = make_watcher()
        payment_methods = PaymentMethodsByMode([methods])
        sessions = Sessions(db, payment_methods, events, reader, on_made=lambda _: watcher.session_made())
        shop = Shop(path, db, chain, payment_methods, sessions, reader, records, make_watcher, watcher, accepted.id)
        try:
            await shop.process()
            yield shop
        finally:
            await board.close()
            await chain.close()


def pay(node: Anvil, session: SessionResource, wei: int = ONE_COIN) -> str:
    """Send ETH to a session from the node's last account; it waits for a block."""
    return node.send(node.accounts[9], session["address"], wei)
