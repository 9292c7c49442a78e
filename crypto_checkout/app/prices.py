"""Open the price sources of each mode."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import httpx

from crypto_checkout.app.parts import Parts
from crypto_checkout.chain.sandbox.chain import SandboxChain
from crypto_checkout.config import Config
from crypto_checkout.core.checkout.quotes import Rate
from crypto_checkout.core.errors import PriceUnavailable
from crypto_checkout.core.moments import Clock
from crypto_checkout.prices.board import PriceBoard
from crypto_checkout.prices.chainlink import ChainlinkSource
from crypto_checkout.prices.coinbase import CoinbaseSource
from crypto_checkout.prices.coingecko import CoinGeckoSource
from crypto_checkout.prices.fixed import TEST_PRICES, FixedSource
from crypto_checkout.prices.kraken import KrakenSource
from crypto_checkout.prices.override import Override
from crypto_checkout.prices.source import Source


class ChainReader(Protocol):
    """Reads contracts, which is what Chainlink's prices are; see `chain.evm.chain`."""

    async def read_contract(self, contract: str, data: str) -> bytes:
        """Return what a contract answers."""


async def market(parts: Parts, chains: Mapping[int, ChainReader]) -> Override:
    """Open the sources that the configuration names, behind the operator's own prices."""
    config, clock = parts.config, parts.clock
    client = await parts.stack.enter_async_context(http_client())
    quoted = _board(config, sources(config, client, chains, clock), config.prices.quorum, clock)
    parts.stack.push_async_callback(quoted.close)
    fixed = _board(config, [FixedSource(config.prices.fixed, clock=clock)], 1, clock)
    return Override(fixed, quoted, config.prices.fixed)


def http_client() -> httpx.AsyncClient:
    """Return what sources on HTTP are asked with."""
    return httpx.AsyncClient(follow_redirects=False, trust_env=False)


def sources(config: Config, client: httpx.AsyncClient, chains: Mapping[int, ChainReader], clock: Clock) -> list[Source]:
    """Return the sources that the configuration names."""

    async def read(chain_id: int, contract: str, data: str) -> bytes:
        return await chains[chain_id].read_contract(contract, data)

    makers: dict[str, Callable[[], Source]] = {
        "chainlink": lambda: ChainlinkSource(read, chain_ids=chains, clock=clock),
        "coinbase": lambda: CoinbaseSource(client, clock=clock),
        "kraken": lambda: KrakenSource(client, clock=clock),
        "coingecko": lambda: CoinGeckoSource(client, clock=clock),
    }
    return [makers[name]() for name in config.prices.sources]


@dataclass(frozen=True, slots=True)
class SandboxPrices:
    """The prices of test mode, for as long as its simulated chain has any."""

    board: PriceBoard
    chain: SandboxChain

    async def rate(self, base: str, quote: str) -> Rate:
        """Return what one `base` costs in `quote`. Raises PriceUnavailable in an outage of prices."""
        if not self.chain.has_prices:
            raise PriceUnavailable("Test mode has an outage of prices: its test helper asked for that.")
        return await self.board.rate(base, quote)


def of_test_mode(parts: Parts) -> PriceBoard:
    """Return the prices of test mode: a built-in table under the operator's own; never the network."""
    table = {**TEST_PRICES, **parts.config.prices.fixed}
    return _board(parts.config, [FixedSource(table, clock=parts.clock)], 1, parts.clock)


def _board(config: Config, sources: list[Source], quorum: int, clock: Clock) -> PriceBoard:
    return PriceBoard(
        sources,
        quorum=quorum,
        max_age_seconds=config.prices.max_age_seconds,
        max_spread_percent=config.prices.max_spread_percent,
        clock=clock,
    )
