"""Wire the commands that collect.

Deposits need no database: it may be the one that was lost. Plans are made beside the server, and sent from anywhere.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from crypto_checkout import log
from crypto_checkout.app import chains, prices, wallets
from crypto_checkout.app.clock import system_clock
from crypto_checkout.app.parts import Parts, issuer
from crypto_checkout.chain.wallet import signing
from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey
from crypto_checkout.config import ChainConfig, Config
from crypto_checkout.core.collect.calls import COIN
from crypto_checkout.core.collect.deposits import Deposits
from crypto_checkout.core.errors import FatalError
from crypto_checkout.services.checkout.payment_methods import PaymentMethods
from crypto_checkout.services.collect import deployment
from crypto_checkout.services.collect.collector import Collector, CollectorLimits
from crypto_checkout.services.collect.deployment import ChainSetup
from crypto_checkout.services.collect.planner import Planner, WalletAddresses
from crypto_checkout.services.collect.records import SentCollections
from crypto_checkout.services.collect.sender import PlanSender
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.checkout import wallets as wallet_store
from crypto_checkout.store.data_folder import given_out
from crypto_checkout.store.database import Database

if TYPE_CHECKING:
    from crypto_checkout.chain.evm.chain import EvmChain

_SECONDS = 10.0
_PRIVATE_KEY_BYTES = 32


async def setups(config: Config) -> list[ChainSetup]:
    """Find what each configured chain lacks; without a cold address only the contracts matter."""
    deposits = wallets.deposits(config) or Deposits(COIN)

    async def look(chain: ChainConfig) -> ChainSetup:
        async with opened(chain) as reader:
            return await deployment.look(reader, deposits, chain.id, chain.name)

    return await asyncio.gather(*(look(chain) for chain in config.chains))


def noted_index(config: Config, deposits: Deposits) -> int:
    """Return how far deposits were given out, by the record beside the database; 0 without one."""
    note = given_out.notes(config.database.path.resolve().parent).get(deposits.wallet_id)
    return 0 if note is None else note.next_index


@asynccontextmanager
async def opened(chain: ChainConfig) -> "AsyncIterator[EvmChain]":
    """Open a chain for questions."""
    from crypto_checkout.chain.evm.chain import EvmChain
    from crypto_checkout.chain.rpc.providers import Rpc

    found = EvmChain(Rpc(chain.id, chains.endpoints(chain), timeout_seconds=_SECONDS))
    try:
        yield found
    finally:
        await found.close()


@asynccontextmanager
async def planner(
    config: Config, db: Database, chain: ChainConfig, key: ExtendedPublicKey, progress: Callable[[int, int], None]
) -> AsyncIterator[Planner]:
    """Open a chain and the price sources, to plan what leaves the addresses of a wallet."""
    from crypto_checkout.chain.evm.collect.survey import Survey

    log.silence()
    async with AsyncExitStack() as stack:
        opened, _ = await chains.open_live(config, db, system_clock, stack)
        rpc = chains.open_rpc(chain)
        stack.push_async_callback(rpc.close)
        market = await prices.market(Parts(config, stack, db, Outbox(), system_clock, issuer(config)), opened)
        addresses = await db.read(lambda unit: wallet_store.given_out(unit, key.wallet_id))
        branch = key.branch.replace("?", "0")  # a receiving chain's key doesn't tell the account: mostly the first
        wallet = WalletAddresses(key.wallet_id, branch, addresses, signing.fuel_address(key))
        throwaway = secrets.token_bytes(_PRIVATE_KEY_BYTES)
        yield Planner(opened[chain.id], Survey(rpc), chains.accepted_chain(chain), wallet, market, throwaway, progress)


@asynccontextmanager
async def sender(chain: ChainConfig, report: Callable[[str], None]) -> AsyncIterator[PlanSender]:
    """Open the providers of a chain, to send what was signed."""
    from crypto_checkout.chain.evm.collect.sending import Sending

    log.silence()
    rpc = chains.open_rpc(chain)
    try:
        yield PlanSender(Sending(rpc), system_clock, report)
    finally:
        await rpc.close()


def collectors(parts: Parts, payment_methods: PaymentMethods) -> list[Collector]:
    """Wire automatic collection on each chain where it is on.

    Raises:
        FatalError: The key's file can't be used.
    """
    from crypto_checkout.chain.evm.collect.sending import Sending
    from crypto_checkout.chain.wallet.fuel_key import FuelKey, FuelKeyUnusable

    config = parts.config.collector
    if config.key_file is None:
        return []
    try:
        key = FuelKey.read(config.key_file)
    except FuelKeyUnusable as error:
        raise FatalError(f"[collector] key_file: {error}.") from None
    limits = CollectorLimits(
        config.min_fiat, timedelta(hours=config.every_hours), config.max_fee_percent, config.max_fiat_per_day
    )
    made = []
    for chain, accepted in zip(parts.config.chains, payment_methods.chains, strict=True):
        if not config.chains or chain.id in config.chains:
            rpc = chains.open_rpc(chain)
            parts.stack.push_async_callback(rpc.close)
            market = payment_methods.prices
            records = SentCollections(parts.events, chain.id)
            made.append(Collector(parts.db, Sending(rpc), accepted, market, key, limits, records, parts.clock))
    return made
