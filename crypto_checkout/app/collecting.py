"""Wire what commands ask chains about collecting. No database is needed: it may be the one that was lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from crypto_checkout.app import chains, wallets
from crypto_checkout.config import ChainConfig, Config
from crypto_checkout.core.collect.calls import COIN
from crypto_checkout.core.collect.deposits import Deposits
from crypto_checkout.services.collect import deployment
from crypto_checkout.services.collect.deployment import ChainSetup
from crypto_checkout.store.data_folder import given_out

if TYPE_CHECKING:
    from crypto_checkout.chain.evm.chain import EvmChain

_SECONDS = 10.0


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
