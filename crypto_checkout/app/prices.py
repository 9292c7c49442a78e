"""Open the price sources of each mode."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import httpx

from crypto_checkout.app.parts import Parts
from crypto_checkout.chain.sandbox.chain import SandboxChain
from crypto_checkout.chain.wallet.signatures import ReadContract
from crypto_checkout.config import Config
from crypto_checkout.core.checkout.quotes import JUMP_WITHIN, Rate
from crypto_checkout.core.moments import Clock
from crypto_checkout.prices.board import PriceBoard
from crypto_checkout.prices.fixed import TEST_PRICES, FixedSource
from crypto_checkout.prices.override import Override
from crypto_checkout.prices.sandbox import SandboxPrices
from crypto_checkout.prices.source import Connections, Source
from crypto_checkout.prices.sources import SOURCES
from crypto_checkout.prices.trial import PriceTrial
from crypto_checkout.store.checkout import sessions


class ChainReader(Protocol):
    """Reads contracts, where Chainlink's prices are; see `chain.evm.chain`."""

    async def read_contract(self, contract: str, data: str) -> bytes:
        """Return a contract's answer to a call."""


async def market(parts: Parts, chains: Mapping[int, ChainReader]) -> Override:
    """Open the sources that the configuration names, behind the operator's own prices."""
    config, clock = parts.config, parts.clock
    client = await parts.stack.enter_async_context(http_client())
    recent = await parts.db.read(lambda unit: sessions.last_rates(unit, unit.now - JUMP_WITHIN))
    last = [rate for rate in recent if rate.sources != (FixedSource.name,)]
    quoted = _board(config, sources(config, client, chains, clock), config.prices.quorum, clock, last)
    parts.stack.push_async_callback(quoted.close)
    fixed = _board(config, [FixedSource(config.prices.fixed, clock=clock)], 1, clock)
    return Override(fixed, quoted, config.prices.fixed)


def http_client() -> httpx.AsyncClient:
    """Return the client for sources on the web."""
    return httpx.AsyncClient(follow_redirects=False, trust_env=False)


def sources(config: Config, client: httpx.AsyncClient, chains: Mapping[int, ChainReader], clock: Clock) -> list[Source]:
    """Return the sources that the configuration names."""
    readers = {chain_id: chain.read_contract for chain_id, chain in chains.items()}
    return _named(config, config.prices.sources, client, readers, clock)


def trial(parts: Parts, readers: Mapping[int, ReadContract]) -> PriceTrial:
    """Wire the trial of sources; `readers` read contracts of the configured chains."""

    @asynccontextmanager
    async def opened(names: Sequence[str]) -> AsyncIterator[Sequence[Source]]:
        async with http_client() as client:
            yield _named(parts.config, names, client, readers, parts.clock)

    return PriceTrial(
        opened,
        max_age_seconds=parts.config.prices.max_age_seconds,
        max_spread_percent=parts.config.prices.max_spread_percent,
        clock=parts.clock,
    )


def _named(
    config: Config,
    names: Sequence[str],
    client: httpx.AsyncClient,
    readers: Mapping[int, ReadContract],
    clock: Clock,
) -> list[Source]:
    async def read(chain_id: int, contract: str, data: str) -> bytes:
        return await readers[chain_id](contract, data)

    key = config.prices.coingecko_api_key
    connections = Connections(client, read, chain_ids=readers, clock=clock, coingecko_api_key=key)
    return [SOURCES[name](connections) for name in names]


def of_test_mode(parts: Parts, chain: SandboxChain) -> SandboxPrices:
    """Open the prices of test mode: a built-in table under the operator's own; never the network."""
    table = {**TEST_PRICES, **parts.config.prices.fixed}
    board = _board(parts.config, [FixedSource(table, clock=parts.clock)], 1, parts.clock)
    return SandboxPrices(board, lambda: not chain.has_prices, parts.config.prices.fixed)


def _board(config: Config, sources: list[Source], quorum: int, clock: Clock, last: Sequence[Rate] = ()) -> PriceBoard:
    return PriceBoard(
        sources,
        quorum=quorum,
        max_age_seconds=config.prices.max_age_seconds,
        max_spread_percent=config.prices.max_spread_percent,
        clock=clock,
        last=last,
    )
