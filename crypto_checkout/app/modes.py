"""Open each mode: its wallet, its chains with their watchers, and its prices."""

import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from crypto_checkout.app import prices
from crypto_checkout.app.parts import Parts
from crypto_checkout.chain.sandbox import chain as sandbox
from crypto_checkout.chain.sandbox.chain import SandboxChain
from crypto_checkout.chain.sandbox.state import State
from crypto_checkout.chain.sandbox.view import SandboxView
from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey
from crypto_checkout.config import ChainConfig
from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.moments import Clock
from crypto_checkout.services.alerts.server_issues import ProviderStatus
from crypto_checkout.services.checkout.addresses import Addresses
from crypto_checkout.services.checkout.payment_methods import AcceptedChain, PaymentMethods, Policy, Tier
from crypto_checkout.services.diagnosis.explain import ConfiguredChain
from crypto_checkout.services.ledger import watcher
from crypto_checkout.services.ledger.judge import Judge
from crypto_checkout.services.ledger.token_check import ConfiguredToken, TokenCheck
from crypto_checkout.services.ledger.wallet_check import WalletCheck
from crypto_checkout.services.ledger.watcher import Watcher
from crypto_checkout.services.sandbox import pruning
from crypto_checkout.services.upkeep.rpc_usage import UsageRecorder
from crypto_checkout.store.checkout import sessions as session_store
from crypto_checkout.store.checkout import wallets
from crypto_checkout.store.data_folder.given_out import GivenOut
from crypto_checkout.store.database import Database
from crypto_checkout.store.ledger import cursors as chain_store
from crypto_checkout.store.sandbox import chain as sandbox_store

if TYPE_CHECKING:
    from crypto_checkout.chain.evm.chain import EvmChain
    from crypto_checkout.chain.rpc.meter import Meter

Loop = Callable[[], Coroutine[Any, Any, None]]

# Nothing is lost with blocks in which nothing happened: the time that they took passes again, in one block.
_SANDBOX_IDLE_SECONDS = 86_400
_NATIVE_DECIMALS = 18


@dataclass(frozen=True, slots=True)
class Mode:
    """What one mode brings: its payment methods, its watchers, its loops, and its chains by their ids, to be asked.

    `sandbox` is the simulated chain, in test mode; `providers` tell how the RPC providers of each chain fare.
    """

    payment_methods: PaymentMethods
    watchers: tuple[Watcher, ...]
    loops: tuple[Loop, ...]
    chains: Mapping[int, ConfiguredChain]
    sandbox: SandboxChain | None = None
    providers: Mapping[int, Callable[[], Sequence[ProviderStatus]]] = field(default_factory=dict)


async def live(parts: Parts) -> Mode | None:
    """Open the real chains; web3 is imported only where there are some."""
    config = parts.config
    if not config.chains:
        return None
    chains: dict[int, EvmChain] = {}
    meters = []
    for chain in config.chains:
        chains[chain.id], meter = await open_chain(chain, parts.db, parts.clock)
        parts.stack.push_async_callback(chains[chain.id].close)
        meters.append(meter)
    key = ExtendedPublicKey.parse(config.wallet.xpub)
    check = WalletCheck(parts.db, key, chains)
    token_check = TokenCheck(chains, configured_tokens(config.chains))
    watchers = tuple(_watcher(parts, chain, chains[chain.id]) for chain in config.chains)
    payment_methods = PaymentMethods(
        livemode=True,
        wallet=await _wallet(parts, key),
        chains=tuple(accepted_chain(chain) for chain in config.chains),
        prices=await prices.market(parts, chains),
        policy=_policy(parts),
        chain_time=lambda now: now,
        unready=check.unready,
        unready_tokens=token_check.unready,
    )
    usage = UsageRecorder(parts.db, meters)
    providers = {chain_id: chain.health for chain_id, chain in chains.items()}
    loops = (check.run, token_check.run, usage.run, *(each.run for each in watchers))
    asked = {each.id: ConfiguredChain(chains[each.id], each) for each in payment_methods.chains}
    return Mode(payment_methods, watchers, loops, asked, providers=providers)


async def test(parts: Parts) -> Mode | None:
    """Open the simulated chain where it stands."""
    if not parts.config.test_mode.enabled:
        return None
    chain = SandboxView(await _sandbox_state(parts), parts.clock, await parts.db.read(pruning.needed))
    history = pruning.Pruner(parts.db, chain, parts.clock)
    watching = Watcher(
        parts.db,
        chain,
        Judge(parts.events, chain_id=sandbox.CHAIN_ID, public_url=parts.config.server.public_url),
        chain_id=sandbox.CHAIN_ID,
        livemode=False,
        name=sandbox.NAME,
        poll_seconds=1,
        start_block="latest",
        clock=parts.clock,
        idle_seconds=_SANDBOX_IDLE_SECONDS,
    )
    payment_methods = PaymentMethods(
        livemode=False,
        wallet=await _wallet(parts, ExtendedPublicKey.parse(sandbox.XPUB)),
        chains=(AcceptedChain(sandbox.CHAIN_ID, sandbox.NAME, "", sandbox.CONFIRMATIONS, sandbox.ASSETS),),
        prices=prices.of_test_mode(parts, chain),
        policy=_policy(parts),
        chain_time=lambda now: max(now, chain.time),
    )
    chains = {each.id: ConfiguredChain(chain, each) for each in payment_methods.chains}
    return Mode(payment_methods, (watching,), (watching.run, history.run), chains, chain)


def configured_tokens(chains: Sequence[ChainConfig]) -> list[ConfiguredToken]:
    """Return the tokens of the configuration with the keys that name them."""
    return [
        ConfiguredToken(asset, f"chains[{place}].tokens[{number}]")
        for place, chain in enumerate(chains)
        for number, asset in enumerate(accepted_chain(chain).assets[1:])
    ]


async def open_chain(chain: ChainConfig, db: Database, clock: Clock) -> "tuple[EvmChain, Meter]":
    """Open a chain of the configuration, to be closed, and what counts how much its providers are asked.

    Watched are the tokens of the configuration, and those that sessions were ever made in.
    """
    from crypto_checkout.chain.evm.chain import EvmChain
    from crypto_checkout.chain.rpc.providers import Rpc

    used = await db.read(lambda unit: session_store.tokens(unit, chain.id))
    rpc = Rpc(chain.id, chain.rpc_urls)
    configured = {Address(token.address) for token in chain.tokens}
    tokens = sorted(configured | {asset.contract for asset in used if asset.contract is not None})
    opened = EvmChain(rpc, tokens=tokens, finality=chain.finality, confirm_with=chain.confirm_with, now=clock)
    return opened, rpc.meter


async def _wallet(parts: Parts, key: ExtendedPublicKey) -> Addresses:
    """Open a wallet; where the file beside the database knows of more addresses given out, go on behind those."""
    given_out = GivenOut(parts.config.database.path.parent)
    parts.stack.callback(given_out.close)
    known = given_out.next_index(key.wallet_id)
    if known:
        await parts.db.write(lambda unit: wallets.move_past(unit, key.wallet_id, known - 1))
    addresses = Addresses(key, given_out)
    parts.stack.callback(addresses.close)
    addresses.prepare(await parts.db.read(lambda unit: wallets.next_index(unit, key.wallet_id)))
    return addresses


async def _sandbox_state(parts: Parts) -> State:
    """Load the simulated chain, or begin one; the time that the server was off passes in one block."""
    text = await parts.db.read(sandbox_store.load)
    if text is None:
        state = State(seed=secrets.token_hex(16), genesis=parts.clock().replace(microsecond=0))
    else:
        state = State.from_json(text)
        cursor = await parts.db.read(lambda unit: chain_store.cursor(unit, sandbox.CHAIN_ID))
        if cursor is not None:
            state.resume(cursor.number, parts.clock())
    await parts.db.write(lambda unit: sandbox_store.save(unit, state.to_json()))
    return state


def _watcher(parts: Parts, chain: ChainConfig, opened: watcher.BlockSource) -> Watcher:
    return Watcher(
        parts.db,
        opened,
        Judge(parts.events, chain_id=chain.id, public_url=parts.config.server.public_url),
        chain_id=chain.id,
        livemode=True,
        name=chain.name,
        poll_seconds=chain.poll_seconds,
        start_block=chain.start_block,
        clock=parts.clock,
        agree_above_fiat=chain.agree_above_fiat,
    )


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


def _policy(parts: Parts) -> Policy:
    sessions = parts.config.sessions
    return Policy(
        ttl_seconds=sessions.ttl_seconds,
        late_grace_seconds=sessions.late_grace_seconds,
        underpayment_tolerance_percent=sessions.underpayment_tolerance_percent,
        overpayment_tolerance_percent=sessions.overpayment_tolerance_percent,
    )
