"""Open each mode: its wallet, its chains with their watchers, and its prices."""

import secrets
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from crypto_checkout.app import chains, collecting, prices, wallets
from crypto_checkout.app.parts import Parts
from crypto_checkout.app.urls import place
from crypto_checkout.chain.sandbox import chain as sandbox
from crypto_checkout.chain.sandbox.chain import SandboxChain
from crypto_checkout.chain.sandbox.state import State
from crypto_checkout.chain.wallet.signatures import ReadContract
from crypto_checkout.config import ChainConfig
from crypto_checkout.core.address import Address
from crypto_checkout.core.collect.deposits import Deposits
from crypto_checkout.services.alerts.price_watch import PriceWatch
from crypto_checkout.services.alerts.server_issues import ProviderStatus
from crypto_checkout.services.checkout import wallet_start
from crypto_checkout.services.checkout.addresses import Addresses
from crypto_checkout.services.checkout.network_costs import DataFee, NetworkCosts
from crypto_checkout.services.checkout.payment_methods import PaymentMethods, PaymentMethodsByMode, Policy, Wallet
from crypto_checkout.services.checkout.wallet_start import RecordKeeper, Records
from crypto_checkout.services.collect.balances import BalanceSource
from crypto_checkout.services.collect.deposit_check import DepositCheck, DepositReader
from crypto_checkout.services.collect.records import CollectionRecords
from crypto_checkout.services.diagnosis.background_reconcile import BackgroundReconcile, ReconciledChain
from crypto_checkout.services.diagnosis.explain import ConfiguredChain
from crypto_checkout.services.leader.loops import Loop
from crypto_checkout.services.ledger.judge import Judge
from crypto_checkout.services.ledger.token_balances import TokenBalances
from crypto_checkout.services.ledger.token_check import TokenCheck
from crypto_checkout.services.ledger.wallet_check import WalletCheck
from crypto_checkout.services.ledger.watcher import BlockSource, Watcher
from crypto_checkout.services.refunds.loops import OpenRefunds
from crypto_checkout.services.sandbox.pruning import Pruner
from crypto_checkout.services.sandbox.relay import Relay
from crypto_checkout.services.sandbox.sharing import SharedSandbox
from crypto_checkout.services.upkeep.rpc_usage import UsageRecorder
from crypto_checkout.store.checkout import sessions
from crypto_checkout.store.collect import deposits
from crypto_checkout.store.data_folder.skipping import Skip
from crypto_checkout.store.database import WriteUnit
from crypto_checkout.store.ledger import cursors
from crypto_checkout.store.sandbox import chain as sandbox_store

# Skipping blocks without transactions loses nothing: after a restart, one block spans the time that they took.
_SANDBOX_IDLE_SECONDS = 86_400

_REST_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Mode:
    """One mode: its payment methods, watchers and loops, and its chains by their ids, for questions about payments.

    Each process runs `loops`; `leader_loops` run where this one leads.
    `sandbox` is the simulated chain, `sandbox_records` keeps its collections, and `sandbox_relay` has the leader change
    it; all are None in live mode, and the last one for a file, which one process serves.
    `providers` report the state of each chain's RPC providers, `foreign_index` the newest address of the wallet that
    another server seems to have given out. `uncollectable` holds the chains without deposits now, with the reason,
    `collecting` what keeps from collecting by itself; `contracts` read contracts. `price_watch` tries the prices of
    its coins.
    """

    payment_methods: PaymentMethods
    watchers: tuple[Watcher, ...]
    loops: tuple[Loop, ...]
    leader_loops: tuple[Loop, ...]
    chains: Mapping[int, ConfiguredChain]
    balance_sources: Mapping[int, BalanceSource]
    price_watch: PriceWatch
    sandbox: SandboxChain | None = None
    sandbox_records: CollectionRecords | None = None
    sandbox_relay: Relay | None = None
    providers: Mapping[int, Callable[[], Sequence[ProviderStatus]]] = field(default_factory=dict)
    foreign_index: Callable[[], int | None] = lambda: None
    uncollectable: Mapping[int, str] = field(default_factory=dict)
    contracts: Mapping[int, ReadContract] = field(default_factory=dict)
    collecting: Callable[[], Mapping[int, str]] = dict


@dataclass(frozen=True, slots=True)
class Modes:
    """Live and test mode, None where not configured, and the parts of both together."""

    live: Mode | None
    test: Mode | None
    payment_methods: PaymentMethodsByMode
    watchers: tuple[Watcher, ...]
    loops: tuple[Loop, ...]
    leader_loops: tuple[Loop, ...]
    chains: Mapping[int, ConfiguredChain]
    balance_sources: Mapping[int, BalanceSource]
    refunds: OpenRefunds
    network_costs: NetworkCosts
    keeper: RecordKeeper


async def address_records(parts: Parts, *, is_led: bool, is_current: bool) -> Records:
    """Take up the records of given-out addresses beside the database.

    `is_led` and `is_current` tell of a server's database how it is found (`wallet_start.apply_shared_records`).
    """
    skip = Skip(parts.clock(), secrets.randbelow)
    folder = parts.config.database.path.resolve().parent
    database = place(parts.config)
    new_life = secrets.token_hex(8)
    if isinstance(database, Path):
        records = await wallet_start.apply_records(parts.db, folder, skip, new_life)
    else:
        records = await wallet_start.apply_shared_records(
            parts.db, folder, skip, new_life, is_led=is_led, is_current=is_current
        )
    parts.stack.callback(records.given_out.close)
    return records


async def open_modes(parts: Parts, records: Records) -> Modes:
    """Open the modes that are configured."""
    refunds = OpenRefunds(parts.db, parts.events, public_url=parts.config.server.public_url)
    live, test = await _live(parts, records, refunds), await _test(parts, records, refunds)
    configured = [mode for mode in (live, test) if mode is not None]
    payment_methods = PaymentMethodsByMode([mode.payment_methods for mode in configured])
    balance_sources = {chain_id: each for mode in configured for chain_id, each in mode.balance_sources.items()}
    network_costs = NetworkCosts(parts.db, payment_methods, balance_sources, {} if live is None else _data_fees(live))
    in_use = [
        (methods.wallet.wallet, methods.livemode)
        for methods in (mode.payment_methods for mode in configured)
        if isinstance(methods.wallet, Addresses)
    ]
    keeper = RecordKeeper(parts.db, records, in_use)
    return Modes(
        live,
        test,
        payment_methods=payment_methods,
        watchers=tuple(watcher for mode in configured for watcher in mode.watchers),
        loops=(
            network_costs.run,
            *([keeper.run] if parts.config.database.url else []),
            *(loop for mode in configured for loop in mode.loops),
        ),
        leader_loops=tuple(loop for mode in configured for loop in mode.leader_loops),
        chains={chain_id: chain for mode in configured for chain_id, chain in mode.chains.items()},
        balance_sources=balance_sources,
        refunds=refunds,
        network_costs=network_costs,
        keeper=keeper,
    )


def _data_fees(live: Mode) -> dict[int, DataFee]:
    """Return what reads the fee for a transaction's data on each real chain."""
    from crypto_checkout.chain.evm.collect.survey import data_fee

    return {chain_id: partial(data_fee, read) for chain_id, read in live.contracts.items()}


async def _live(parts: Parts, records: Records, refunds: OpenRefunds) -> Mode | None:
    """Open the real chains."""
    config = parts.config
    if not config.chains:
        return None
    opened, meters = await chains.open_live(config, parts.db, parts.clock, parts.stack)
    new = wallets.live(config)
    assert new is not None, "config.contradictions refuses chains without a wallet"
    wallet = await _wallet(parts, new, records, livemode=True)
    check = WalletCheck(parts.db, new, opened, is_recorded=new.wallet_id in records.known)
    deposit_check = await _deposit_check(parts, opened)
    used = [await parts.db.read(partial(sessions.tokens, chain_id=chain.id)) for chain in config.chains]
    token_check = TokenCheck(
        opened, chains.configured_tokens(config.chains), [asset for of_chain in used for asset in of_chain]
    )
    watchers = tuple(_live_watcher(parts, chain, opened[chain.id], refunds) for chain in config.chains)
    by_chain = {each.status.chain_id: each for each in watchers}
    payment_methods = PaymentMethods(
        livemode=True,
        wallet=wallet,
        chains=tuple(chains.accepted_chain(chain) for chain in config.chains),
        prices=await prices.market(parts, opened),
        policy=_policy(parts),
        chain_time=lambda now: now,
        block_time=lambda chain_id: opened[chain_id].newest_time,
        unready=check.unready if deposit_check is None else ChainMap(deposit_check.unready, check.unready),
        unready_tokens=token_check.unready,
        stopped=lambda chain_id: by_chain[chain_id].status.stopped,
        stuck=lambda chain_id: by_chain[chain_id].status.stuck_reason(parts.clock()),
    )
    reconciled = [
        ReconciledChain(opened[accepted.id], accepted, watcher)
        for accepted, watcher in zip(payment_methods.chains, watchers, strict=True)
    ]
    reconcile = BackgroundReconcile(parts.db, reconciled)
    token_balances = [
        TokenBalances(
            parts.db, opened[each.id], watcher, _judge(parts, each.id, refunds), chain_id=each.id, livemode=True
        )
        for each, watcher in zip(payment_methods.chains, watchers, strict=True)
    ]
    owners = {Address(each) for each in (*config.refunds.senders, config.wallet.cold_address) if each}
    refund_payments = [refunds.follow(each.id, opened[each.id], owners) for each in config.chains]
    collections = [
        CollectionRecords(parts.db, opened[each.id], each, payment_methods.prices, parts.events, livemode=True)
        for each in payment_methods.chains
    ]
    usage = UsageRecorder(parts.db, meters)
    collectors = collecting.collectors(parts, payment_methods)
    return Mode(
        payment_methods,
        watchers,
        loops=(
            *(check.run, token_check.run, usage.run),
            *([] if deposit_check is None else [deposit_check.run]),
        ),
        leader_loops=(
            *(check.recheck, reconcile.run),
            *(each.run for each in token_balances),
            *(each.run for each in refund_payments),
            *(each.run for each in collections),
            *(each.run for each in watchers),
            *(each.run for each in collectors),
        ),
        chains={each.id: ConfiguredChain(opened[each.id], each) for each in payment_methods.chains},
        balance_sources=opened,
        price_watch=PriceWatch(payment_methods),
        providers={chain_id: chain.health for chain_id, chain in opened.items()},
        foreign_index=lambda: check.foreign,
        uncollectable={} if deposit_check is None else deposit_check.reasons,
        contracts={chain_id: chain.ask_stranger for chain_id, chain in opened.items()},
        collecting=lambda: {each.chain_id: each.problem for each in collectors if each.problem is not None},
    )


async def _test(parts: Parts, records: Records, refunds: OpenRefunds) -> Mode | None:
    """Open the sandbox in the state that it was left in."""
    if not parts.config.test_mode.enabled:
        return None
    chain = await chains.open_sandbox(await _sandbox_state(parts), parts.db, parts.clock)
    watcher = Watcher(
        parts.db,
        chain,
        _judge(parts, sandbox.CHAIN_ID, refunds),
        chain_id=sandbox.CHAIN_ID,
        livemode=False,
        name=sandbox.NAME,
        poll_seconds=1,
        start_block="latest",
        clock=parts.clock,
        idle_seconds=_SANDBOX_IDLE_SECONDS,
    )
    shared = SharedSandbox(parts.db, chain, watcher, parts.clock)
    relay = Relay(parts.db, shared) if parts.config.database.url else None
    wallet = await _wallet(parts, wallets.of_test_mode(parts.config), records, livemode=False)
    payment_methods = PaymentMethods(
        livemode=False,
        wallet=wallet,
        chains=(chains.SANDBOX,),
        prices=prices.of_test_mode(parts, chain),
        policy=_policy(parts),
        chain_time=lambda now: max(now, chain.time),
    )
    collections = CollectionRecords(
        parts.db, chain, chains.SANDBOX, payment_methods.prices, parts.events, livemode=False
    )
    return Mode(
        payment_methods,
        (watcher,),
        loops=() if relay is None else (shared.keep_up,),
        leader_loops=(
            *((watcher.run,) if relay is None else (shared.lead, relay.run)),
            collections.run,
            Pruner(parts.db, chain, parts.clock).run,
            refunds.follow(sandbox.CHAIN_ID, chain, []).run,
        ),
        chains={sandbox.CHAIN_ID: ConfiguredChain(chain, chains.SANDBOX)},
        balance_sources={sandbox.CHAIN_ID: chain},
        price_watch=PriceWatch(payment_methods),
        sandbox=chain,
        sandbox_records=collections,
        sandbox_relay=relay,
    )


async def _wallet(parts: Parts, wallet: Wallet, records: Records, *, livemode: bool) -> Addresses:
    """Open a mode's wallet, after those whose addresses it gave out before."""
    if isinstance(wallet, Deposits):
        await parts.db.write(lambda unit: deposits.record(unit, wallet))
    for each in await wallets.earlier(parts.config, parts.db, wallet, livemode=livemode):
        await wallet_start.watch_unassigned(parts.db, each, records, livemode=livemode)
    addresses = await wallet_start.open_wallet(parts.db, wallet, records, livemode=livemode)
    parts.stack.callback(addresses.close)
    return addresses


async def _deposit_check(parts: Parts, opened: Mapping[int, DepositReader]) -> DepositCheck | None:
    """Make the check of deposits; None for a wallet of keys."""
    wallet = wallets.deposits(parts.config)
    if wallet is None:
        return None
    names = {chain.id: chain.name for chain in parts.config.chains}
    earlier = await parts.db.read(lambda unit: deposits.chains(unit, wallet.wallet_id))
    return DepositCheck(parts.db, wallet, opened, names, earlier)


async def _sandbox_state(parts: Parts) -> State:
    """Load the sandbox's state, or make a new one; the time that the server was off passes in one block.

    On a server's database another process may lead: then only a new one is stored.
    """

    def work(unit: WriteUnit) -> State:
        text = sandbox_store.load(unit)
        if text is None:
            state = State(seed=secrets.token_hex(16), genesis=parts.clock().replace(microsecond=0))
        else:
            state = State.from_json(text)
            if parts.config.database.url:
                return state
            cursor = cursors.cursor(unit, sandbox.CHAIN_ID)
            if cursor is not None:
                state.resume(cursor.number, parts.clock())
        sandbox_store.save(unit, state.to_json())
        return state

    return await parts.db.write(work)


def _live_watcher(parts: Parts, chain: ChainConfig, opened: BlockSource, refunds: OpenRefunds) -> Watcher:
    return Watcher(
        parts.db,
        opened,
        _judge(parts, chain.id, refunds),
        chain_id=chain.id,
        livemode=True,
        name=chain.name,
        poll_seconds=chain.poll_seconds,
        rest_seconds=_REST_SECONDS,
        start_block=chain.start_block,
        clock=parts.clock,
        agree_above_fiat=chain.agree_above_fiat,
    )


def _judge(parts: Parts, chain_id: int, refunds: OpenRefunds) -> Judge:
    config = parts.config
    return Judge(
        parts.events,
        chain_id=chain_id,
        public_url=config.server.public_url,
        dust_floor=config.sessions.dust_below_fiat,
        receipts=parts.receipts,
        also_take_back=refunds.take_back(chain_id),
    )


def _policy(parts: Parts) -> Policy:
    sessions = parts.config.sessions
    return Policy(
        ttl_seconds=sessions.ttl_seconds,
        late_grace_seconds=sessions.late_grace_seconds,
        underpayment_tolerance_percent=sessions.underpayment_tolerance_percent,
        overpayment_tolerance_percent=sessions.overpayment_tolerance_percent,
    )
