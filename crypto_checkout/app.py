"""The composition root: from a configuration to opened resources, the web application and the loops beside it.

Everything is wired by hand here, and nowhere else. Nothing is opened before `opened` is entered, and everything is
closed when it is left.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request

from crypto_checkout.chain import sandbox as sandbox_chain
from crypto_checkout.chain.sandbox import SandboxChain
from crypto_checkout.chain.xpub import ExtendedPublicKey
from crypto_checkout.config import Chain, Config
from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.errors import CheckoutError
from crypto_checkout.http import errors, static, status
from crypto_checkout.http.api.operations import Services, table
from crypto_checkout.http.api.routes import Api
from crypto_checkout.http.checkout import pages
from crypto_checkout.http.middleware import Surroundings
from crypto_checkout.http.rate_limit import RateLimit
from crypto_checkout.log import get_logger
from crypto_checkout.prices.board import PriceBoard
from crypto_checkout.prices.chainlink import ChainlinkSource
from crypto_checkout.prices.coinbase import CoinbaseSource
from crypto_checkout.prices.coingecko import CoinGeckoSource
from crypto_checkout.prices.fixed import TEST_PRICES, FixedSource
from crypto_checkout.prices.kraken import KrakenSource
from crypto_checkout.prices.override import Override
from crypto_checkout.prices.source import Source
from crypto_checkout.services.addresses import Addresses
from crypto_checkout.services.dispatcher import Dispatcher
from crypto_checkout.services.endpoints import Endpoints
from crypto_checkout.services.events import Events
from crypto_checkout.services.health import Health
from crypto_checkout.services.judge import Judge
from crypto_checkout.services.keys import Keys
from crypto_checkout.services.links import Links
from crypto_checkout.services.offer import Offer, OfferedChain, Offers, Policy
from crypto_checkout.services.payers import Payers
from crypto_checkout.services.retention import Retention
from crypto_checkout.services.sandbox import Sandbox
from crypto_checkout.services.sessions import Sessions
from crypto_checkout.services.wallets import WalletCheck
from crypto_checkout.services.watcher import Watcher
from crypto_checkout.store import chains as chain_store
from crypto_checkout.store import sandbox as sandbox_store
from crypto_checkout.store import wallets as wallet_store
from crypto_checkout.store.database import Database
from crypto_checkout.store.folder import FolderLock
from crypto_checkout.store.migrate import migrate
from crypto_checkout.webhooks.send import Sender

if TYPE_CHECKING:
    from crypto_checkout.chain.evm import EvmChain

log = get_logger("app")

Clock = Callable[[], datetime]

_SANDBOX_IDLE_SECONDS = 30
_NATIVE_DECIMALS = 18

# How much one client address may ask of the payer's pages; a visit to a link makes a session, so it costs more.
_PAGES_PER_SECOND, _PAGES_BURST = 10, 100
_VISITS_PER_SECOND, _VISITS_BURST = 0.5, 20


def system_clock() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Opened:
    """A server that works: the web application, and what its start has to tell about."""

    web: Starlette
    db: Database
    events: Events
    offers: Offers
    watchers: tuple[Watcher, ...]


@asynccontextmanager
async def opened(
    config: Config, *, metrics_token: str | None = None, clock: Clock = system_clock
) -> AsyncIterator[Opened]:
    """Open everything that the configuration asks for, run the loops, and close it all at the end.

    Raises:
        FolderInUse: Another process serves this data folder.
        DatabaseTooNew: A newer version of the program wrote the database.

    """
    async with AsyncExitStack() as stack:
        stack.enter_context(FolderLock(config.database.path.parent))
        await asyncio.to_thread(migrate, config.database.path)
        db = await stack.enter_async_context(await Database.open(config.database.path, clock))
        sender = await stack.enter_async_context(
            Sender(
                timeout_seconds=config.webhooks.timeout_seconds,
                allow_private_networks=config.webhooks.allow_private_networks,
            )
        )
        dispatcher_wake = _Later()
        events = Events(dispatcher_wake)
        dispatcher = Dispatcher(
            db,
            sender,
            events,
            retry_seconds=config.webhooks.retry_seconds,
            concurrency=config.webhooks.concurrency,
            clock=clock,
        )
        dispatcher_wake.call = dispatcher.wake
        loops: list[Coroutine[Any, Any, None]] = [
            dispatcher.run(),
            Retention(db, event_days=config.events.retention_days, clock=clock).run(),
        ]
        live = await _live(stack, config, db, events, clock)
        test = await _test(stack, config, db, events, clock)
        modes = [mode for mode in (live, test) if mode is not None]
        for mode in modes:
            loops += mode.loops
        watchers = tuple(watcher for mode in modes for watcher in mode.watchers)
        offers = Offers([mode.offer for mode in modes])
        web = _web(config, db, events, offers, test, Health(db, watchers, clock), metrics_token, clock)
        await stack.enter_async_context(_running(loops, watchers))
        yield Opened(web, db, events, offers, watchers)


class _Later:
    """A call to something that is made after what calls it."""

    def __init__(self) -> None:
        self.call: Callable[[], None] | None = None

    def __call__(self) -> None:
        if self.call is not None:
            self.call()


@dataclass(frozen=True, slots=True)
class _Mode:
    """What one mode brings: its offer, its watchers and its loops; the simulated chain in test mode."""

    offer: Offer
    watchers: tuple[Watcher, ...]
    loops: tuple[Coroutine[Any, Any, None], ...]
    sandbox: SandboxChain | None = None


async def _live(stack: AsyncExitStack, config: Config, db: Database, events: Events, clock: Clock) -> _Mode | None:
    """Open the real chains; web3 is imported only where there are some."""
    if not config.chains:
        return None
    from crypto_checkout.chain.evm import EvmChain
    from crypto_checkout.chain.rpc import Rpc

    chains: dict[int, EvmChain] = {}
    for chain in config.chains:
        rpc = Rpc(chain.id, chain.rpc_urls)
        opened_chain = EvmChain(rpc, tokens=[Address(token.address) for token in chain.tokens], finality=chain.finality)
        stack.push_async_callback(opened_chain.close)
        chains[chain.id] = opened_chain
    wallet = await _wallet(stack, db, config.wallet.xpub)
    check = WalletCheck(db, wallet, chains)
    watchers = tuple(_watcher(config, db, events, chain, chains[chain.id], clock) for chain in config.chains)
    offer = Offer(
        livemode=True,
        wallet=wallet,
        chains=tuple(_offered(chain) for chain in config.chains),
        prices=await _market(stack, config, chains, clock),
        policy=_policy(config),
        chain_time=lambda now: now,
        unready=check.unready,
    )
    return _Mode(offer, watchers, (check.run(), *(watcher.run() for watcher in watchers)))


async def _test(stack: AsyncExitStack, config: Config, db: Database, events: Events, clock: Clock) -> _Mode | None:
    """Open the simulated chain where it stands."""
    if not config.test_mode.enabled:
        return None
    chain = SandboxChain(await _sandbox_state(db, clock), clock)
    watcher = Watcher(
        db,
        chain,
        Judge(events, chain_id=sandbox_chain.CHAIN_ID, public_url=config.server.public_url),
        chain_id=sandbox_chain.CHAIN_ID,
        name=sandbox_chain.NAME,
        poll_seconds=1,
        start_block="latest",
        clock=clock,
        idle_seconds=_SANDBOX_IDLE_SECONDS,
    )
    prices: Mapping[str, Decimal] = {**TEST_PRICES, **config.prices.fixed}
    offer = Offer(
        livemode=False,
        wallet=await _wallet(stack, db, sandbox_chain.XPUB),
        chains=(
            OfferedChain(
                sandbox_chain.CHAIN_ID,
                sandbox_chain.NAME,
                "",
                sandbox_chain.CONFIRMATIONS,
                sandbox_chain.ASSETS,
            ),
        ),
        prices=_board(config, [FixedSource(prices, clock=clock)], 1, clock),
        policy=_policy(config),
        chain_time=lambda now: max(now, chain.time),
    )
    return _Mode(offer, (watcher,), (watcher.run(),), chain)


async def _wallet(stack: AsyncExitStack, db: Database, xpub: str) -> Addresses:
    addresses = Addresses(ExtendedPublicKey.parse(xpub))
    stack.callback(addresses.close)
    addresses.prepare(await db.read(lambda unit: wallet_store.next_index(unit, addresses.wallet_id)))
    return addresses


async def _sandbox_state(db: Database, clock: Clock) -> sandbox_chain.State:
    """Load the simulated chain, or begin one; the time that the server was off passes in one block."""
    text = await db.read(sandbox_store.load)
    if text is None:
        state = sandbox_chain.State(seed=secrets.token_hex(16), genesis=clock().replace(microsecond=0))
    else:
        state = sandbox_chain.State.from_json(text)
        cursor = await db.read(lambda unit: chain_store.cursor(unit, sandbox_chain.CHAIN_ID))
        if cursor is not None:
            state.resume(cursor.number, clock())
    await db.write(lambda unit: sandbox_store.save(unit, state.to_json()))
    return state


def _watcher(
    config: Config, db: Database, events: Events, chain: Chain, opened_chain: "EvmChain", clock: Clock
) -> Watcher:
    return Watcher(
        db,
        opened_chain,
        Judge(events, chain_id=chain.id, public_url=config.server.public_url),
        chain_id=chain.id,
        name=chain.name,
        poll_seconds=chain.poll_seconds,
        start_block=chain.start_block,
        clock=clock,
    )


def _offered(chain: Chain) -> OfferedChain:
    native = Asset(chain.id, chain.native_symbol, _NATIVE_DECIMALS)
    tokens = (
        Asset(chain.id, token.symbol, token.decimals, Address(token.address), token.usd_pegged)
        for token in chain.tokens
    )
    return OfferedChain(chain.id, chain.name, chain.explorer_url, chain.confirmations, (native, *tokens))


async def _market(stack: AsyncExitStack, config: Config, chains: "Mapping[int, EvmChain]", clock: Clock) -> Override:
    client = await stack.enter_async_context(httpx.AsyncClient(follow_redirects=False, trust_env=False))

    async def read(chain_id: int, contract: str, data: str) -> bytes:
        return await chains[chain_id].read_contract(contract, data)

    makers: dict[str, Callable[[], Source]] = {
        "chainlink": lambda: ChainlinkSource(read, chain_ids=chains, clock=clock),
        "coinbase": lambda: CoinbaseSource(client, clock=clock),
        "kraken": lambda: KrakenSource(client, clock=clock),
        "coingecko": lambda: CoinGeckoSource(client, clock=clock),
    }
    market = _board(config, [makers[name]() for name in config.prices.sources], config.prices.quorum, clock)
    stack.push_async_callback(market.close)
    fixed = _board(config, [FixedSource(config.prices.fixed, clock=clock)], 1, clock)
    return Override(fixed, market, config.prices.fixed)


def _board(config: Config, sources: list[Source], quorum: int, clock: Clock) -> PriceBoard:
    return PriceBoard(
        sources,
        quorum=quorum,
        max_age_seconds=config.prices.max_age_seconds,
        max_spread_percent=config.prices.max_spread_percent,
        clock=clock,
    )


def _policy(config: Config) -> Policy:
    sessions = config.sessions
    return Policy(
        ttl_seconds=sessions.ttl_seconds,
        late_grace_seconds=sessions.late_grace_seconds,
        underpayment_tolerance_percent=sessions.underpayment_tolerance_percent,
        overpayment_tolerance_percent=sessions.overpayment_tolerance_percent,
    )


def _web(
    config: Config,
    db: Database,
    events: Events,
    offers: Offers,
    test: _Mode | None,
    health: Health,
    metrics_token: str | None,
    clock: Clock,
) -> Starlette:
    public_url = config.server.public_url
    sessions = Sessions(db, offers, events, public_url=public_url)
    links = Links(db, offers, events, public_url=public_url)
    endpoints = Endpoints(db, events, allow_private_networks=config.webhooks.allow_private_networks)
    sandbox = None
    if test is not None and test.sandbox is not None:
        sandbox = Sandbox(db, test.sandbox, test.watchers[0], sessions, clock)
    limit = RateLimit(per_second=config.rate_limit.per_second, burst=config.rate_limit.burst)
    api = Api(Services(db, sessions, links, endpoints, sandbox), Keys(db), limit, clock)
    checkout = pages.Checkout(
        sessions=Payers(sessions, links, sandbox),
        chains={chain.id: pages.ChainFace(chain.name, chain.explorer_url) for chain in offers.all_chains().values()},
        branding=pages.Branding(config.branding.name, config.branding.logo),
        limit=_page_limit(),
        clock=lambda livemode: offers.chain_time(livemode, clock()),
    )
    return Starlette(
        routes=[
            *api.routes(table()),
            *pages.routes(checkout),
            *static.routes(),
            *status.routes(health, metrics_token),
            pages.unknown(checkout),
        ],
        middleware=[Middleware(Surroundings, clock=clock, trusted_proxies=config.server.trusted_proxies)],
        exception_handlers={CheckoutError: errors.on_checkout_error, HTTPException: errors.on_http_exception},
    )


def _page_limit() -> Callable[[Request], None]:
    looks = RateLimit(per_second=_PAGES_PER_SECOND, burst=_PAGES_BURST)
    visits = RateLimit(per_second=_VISITS_PER_SECOND, burst=_VISITS_BURST)

    def limit(request: Request) -> None:
        bucket = visits if request.url.path.startswith("/l/") else looks
        bucket.take(request.scope["client_address"]).check()

    return limit


@asynccontextmanager
async def _running(loops: list[Coroutine[Any, Any, None]], watchers: tuple[Watcher, ...]) -> AsyncIterator[None]:
    """Run the loops; at the end stop them, and write what the watchers have kept back."""
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for watcher in watchers:
            await watcher.flush()
