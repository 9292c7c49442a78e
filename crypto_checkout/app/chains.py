"""Open the chains of the configuration and the sandbox, and describe them as payers can use them."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from crypto_checkout.chain.rpc.endpoint import NodeEndpoint
from crypto_checkout.chain.sandbox import chain as sandbox
from crypto_checkout.chain.sandbox.state import State
from crypto_checkout.chain.sandbox.view import SandboxView
from crypto_checkout.config import ChainConfig, Config
from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.moments import Clock
from crypto_checkout.services.checkout.payment_methods import AcceptedChain, AcceptedChains, ChainsByMode, Tier
from crypto_checkout.services.ledger.token_check import ConfiguredToken
from crypto_checkout.services.sandbox import pruning
from crypto_checkout.store.checkout import sessions
from crypto_checkout.store.database import Database

if TYPE_CHECKING:
    from crypto_checkout.chain.evm.chain import EvmChain
    from crypto_checkout.chain.rpc.meter import Meter
    from crypto_checkout.chain.rpc.providers import Rpc

SANDBOX = AcceptedChain(sandbox.CHAIN_ID, sandbox.NAME, "", sandbox.CONFIRMATIONS, sandbox.ASSETS)

_NATIVE_DECIMALS = 18


def accepted_chain(chain: ChainConfig) -> AcceptedChain:
    """Return a chain of the configuration as payers can use it."""
    native = Asset(chain.id, chain.native_symbol, _NATIVE_DECIMALS)
    tokens = (Asset(chain.id, t.symbol, t.decimals, Address(t.address), t.usd_pegged) for t in chain.tokens)
    tiers = tuple(Tier(tier.above_fiat, tier.confirmations) for tier in chain.confirmation_tiers)
    return AcceptedChain(
        chain.id,
        chain.name,
        chain.explorer_url,
        chain.confirmations,
        (native, *tokens),
        tiers,
        wallet_rpc_url=chain.wallet_rpc_url,
    )


def endpoints(chain: ChainConfig) -> list[NodeEndpoint]:
    """Return the nodes of a chain in the order of preference: those with headers come first."""
    with_headers = [NodeEndpoint(each.url, each.headers) for each in chain.providers]
    return [*with_headers, *(NodeEndpoint(url) for url in chain.rpc_urls)]


def accepted_chains(config: Config) -> ChainsByMode[AcceptedChains]:
    """Return the chains of each configured mode."""
    modes = []
    if config.chains:
        modes.append(AcceptedChains(livemode=True, chains=tuple(accepted_chain(chain) for chain in config.chains)))
    if config.test_mode.enabled:
        modes.append(AcceptedChains(livemode=False, chains=(SANDBOX,)))
    return ChainsByMode(modes)


def configured_tokens(chains: Sequence[ChainConfig]) -> list[ConfiguredToken]:
    """Return the tokens of the configuration with the keys that name them."""
    return [
        ConfiguredToken(asset, f"chains[{place}].tokens[{number}]")
        for place, chain in enumerate(chains)
        for number, asset in enumerate(accepted_chain(chain).assets[1:])
    ]


async def open_live(
    config: Config, db: Database, clock: Clock, stack: AsyncExitStack
) -> "tuple[dict[int, EvmChain], list[Meter]]":
    """Open the chains of the configuration, by their ids, with the meters of their RPC usage; `stack` closes them.

    Each chain reads the tokens of the configuration, and those of any session ever made. web3 is imported only where
    chains are configured.
    """
    opened: dict[int, EvmChain] = {}
    meters: list[Meter] = []
    for chain in config.chains:
        opened[chain.id], meter = await _open(chain, db, clock)
        stack.push_async_callback(opened[chain.id].close)
        meters.append(meter)
    return opened, meters


async def _open(chain: ChainConfig, db: Database, clock: Clock) -> "tuple[EvmChain, Meter]":
    from crypto_checkout.chain.evm.chain import EvmChain

    used = await db.read(lambda unit: sessions.tokens(unit, chain.id))
    configured = {Address(token.address) for token in chain.tokens}
    tokens = sorted(configured | {asset.contract for asset in used if asset.contract is not None})
    rpc = open_rpc(chain)
    opened = EvmChain(rpc, tokens=tokens, finality=chain.finality, confirm_with=chain.confirm_with, now=clock)
    return opened, rpc.meter


def open_rpc(chain: ChainConfig) -> "Rpc":
    """Open the providers of a chain; who opens them closes them."""
    from crypto_checkout.chain.rpc.providers import Rpc

    return Rpc(chain.id, endpoints(chain))


async def open_sandbox(state: State, db: Database, clock: Clock) -> SandboxView:
    """Open the sandbox in a stored state, with the transactions that can still be asked for."""
    return SandboxView(state, clock, await db.read(pruning.needed))
