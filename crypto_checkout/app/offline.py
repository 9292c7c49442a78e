"""Wire services for commands that work on the data folder beside a running server, or without one.

Commands make no sessions, because only the server gives out addresses and quotes prices. They wake no dispatcher
either: the server notices their writes when it polls.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from crypto_checkout import log
from crypto_checkout.app import chains
from crypto_checkout.app.clock import system_clock
from crypto_checkout.app.parts import Parts, issuer
from crypto_checkout.app.urls import as_served, place
from crypto_checkout.chain.sandbox.chain import CHAIN_ID, SandboxChain
from crypto_checkout.chain.sandbox.state import State
from crypto_checkout.chain.sandbox.view import SandboxView
from crypto_checkout.config import Config
from crypto_checkout.services.checkout import unassigned_addresses
from crypto_checkout.services.checkout.decisions import Decisions
from crypto_checkout.services.checkout.links import Links
from crypto_checkout.services.checkout.payment_methods import AcceptedChain, ChainsByMode, PricedChains
from crypto_checkout.services.checkout.session_reader import SessionReader
from crypto_checkout.services.collect.balances import BalanceReports, BalanceSource
from crypto_checkout.services.diagnosis.explain import ConfiguredChain, Explainer
from crypto_checkout.services.diagnosis.reconcile import Reconciliation
from crypto_checkout.services.ledger.judge import Judge
from crypto_checkout.services.ledger.reanchor import Reanchoring
from crypto_checkout.services.owner.account import Account
from crypto_checkout.services.owner.passwords import Passwords
from crypto_checkout.services.refunds.records import RefundRecords
from crypto_checkout.services.sandbox import pruning
from crypto_checkout.services.upkeep.rpc_usage import UsageRecorder
from crypto_checkout.services.webhooks.endpoints import Endpoints
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.data_folder import life
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.sandbox import chain as sandbox_store

if TYPE_CHECKING:
    from crypto_checkout.chain.evm.chain import EvmChain
    from crypto_checkout.services.alerts.alert_test import AlertOutcome
    from crypto_checkout.services.webhooks.deliveries import Deliveries

# --- sessions and links ----------------------------------------------------------------------------------------------


def session_reader(config: Config, db: Database) -> SessionReader:
    """Wire the reader of sessions."""
    return SessionReader(db, public_url=as_served(config).server.public_url)


async def decisions(config: Config, db: Database) -> Decisions:
    """Wire the merchant's decisions, which go by the time of each mode's chain: the sandbox's may run ahead."""
    state = await _sandbox_state(db)
    sandbox = None if state is None else SandboxChain(state, system_clock)

    def chain_time(livemode: bool, now: datetime) -> datetime:
        return now if livemode or sandbox is None else max(now, sandbox.time)

    return Decisions(session_reader(config, db), chain_time, Outbox(), issuer(config))


def links(config: Config, db: Database) -> Links:
    """Wire the payment links."""
    return Links(db, chains.accepted_chains(config), Outbox(), public_url=as_served(config).server.public_url)


# --- webhooks and alerts ---------------------------------------------------------------------------------------------


def endpoints(config: Config, db: Database) -> Endpoints:
    """Wire the webhook endpoints."""
    from crypto_checkout.app import webhooks

    return webhooks.endpoints(config, db, Outbox())


@asynccontextmanager
async def deliveries(config: Config, db: Database) -> "AsyncIterator[Deliveries]":
    """Wire test deliveries and replays."""
    from crypto_checkout.app import webhooks

    async with webhooks.sender(config) as sender:
        yield webhooks.deliveries(as_served(config), db, sender, lambda _: None, system_clock)


async def try_alerts(config: Config) -> list["AlertOutcome"]:
    """Send a test alert on each channel, and return the outcomes."""
    from crypto_checkout.app import alerts, webhooks

    async with webhooks.sender(config) as sender:
        return await alerts.alert_test(config, sender, system_clock).send()


async def try_mail(config: Config, to: Sequence[str]) -> str | None:
    """Send a test mail; return what went wrong, None if the server took it."""
    from crypto_checkout.app import alerts

    return await alerts.mail_test(config, system_clock).send(to)


async def note_alerts_tested(config: Config) -> None:
    """Record in the database, if there is one, that test alerts went out: the dashboard's setup shows it."""
    from crypto_checkout.core.owner.audit import COMMAND_LINE, Action
    from crypto_checkout.core.owner.setup import SetupStep
    from crypto_checkout.services.owner.audit import record
    from crypto_checkout.store import migrate
    from crypto_checkout.store.owner import setup

    database = place(config)
    if (isinstance(database, Path) and not database.exists()) or migrate.pending(database):
        return

    def note(unit: WriteUnit) -> None:
        setup.mark_done(unit, [SetupStep.ALERTS])
        record(unit, COMMAND_LINE, Action.ALERTS_TESTED)

    async with await Database.open(database, system_clock) as db:
        await db.write(note)


# --- the owner -------------------------------------------------------------------------------------------------------


def account(db: Database) -> Account:
    """Wire the owner's account."""
    return Account(db, Passwords())


# --- questions to the chains -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _OpenChains:
    """The opened chains of each mode, each with its description."""

    live: "list[tuple[EvmChain, AcceptedChain]]"
    test: list[tuple[SandboxView, AcceptedChain]]


@asynccontextmanager
async def explainer(config: Config, db: Database) -> AsyncIterator[Explainer]:
    """Open the chains of both modes, to explain payments."""
    async with _open_chains(config, db) as opened:
        live = [ConfiguredChain(*each) for each in opened.live]
        test = [ConfiguredChain(*each) for each in opened.test]
        yield Explainer(db, {each.accepted.id: each for each in (*live, *test)})


@asynccontextmanager
async def reanchoring(config: Config, db: Database, chain_id: int) -> AsyncIterator[Reanchoring]:
    """Open a chain with real money, to reanchor it."""
    async with _open_chains(config, db) as opened:
        (chain,) = [chain for chain, accepted in opened.live if accepted.id == chain_id]
        url = as_served(config).server.public_url
        refunds = RefundRecords(session_reader(config, db), Outbox(), public_url=url)
        take_back = partial(refunds.take_back, chain_id=chain_id)
        judge = Judge(
            Outbox(),
            chain_id=chain_id,
            public_url=url,
            receipts=issuer(config),
            also_take_back=take_back,
        )
        yield Reanchoring(db, chain, judge, chain_id)


@asynccontextmanager
async def reconciliation(
    config: Config, db: Database, *, livemode: bool, progress: Callable[[AcceptedChain, int, int], None]
) -> AsyncIterator[Reconciliation]:
    """Open the chains of a mode, to compare their balances with the ledger."""
    async with _open_chains(config, db) as opened:
        # The sandbox forgets what is settled.
        since = None if livemode else await db.read(pruning.remembered_since)
        of_mode = opened.live if livemode else opened.test
        yield Reconciliation(db, of_mode, livemode=livemode, since=since, progress=progress)


@asynccontextmanager
async def balances(config: Config, db: Database) -> AsyncIterator[BalanceReports]:
    """Open the chains of both modes and their prices, to report what the addresses hold."""
    from crypto_checkout.app import prices

    async with _open_chains(config, db) as opened, AsyncExitStack() as stack:
        parts = Parts(config, stack, db, Outbox(), system_clock, issuer(config))
        live = {accepted.id: chain for chain, accepted in opened.live}
        accepted = tuple(accepted for _, accepted in opened.live)
        priced = []
        if accepted:
            quoted = await prices.market(parts, live)
            priced.append(PricedChains(livemode=True, chains=accepted, prices=quoted))
        for sandbox, described in opened.test:
            of_test_mode = prices.of_test_mode(parts, sandbox)
            priced.append(PricedChains(livemode=False, chains=(described,), prices=of_test_mode))
        readers: dict[int, BalanceSource] = {**live, **{each.id: sandbox for sandbox, each in opened.test}}
        yield BalanceReports(db, ChainsByMode(priced), readers, forgetful={CHAIN_ID})


@asynccontextmanager
async def _open_chains(config: Config, db: Database) -> AsyncIterator[_OpenChains]:
    """Open the chains of both modes, without log messages; their RPC usage is recorded as the server's is."""
    log.silence()
    async with AsyncExitStack() as stack:
        live, meters = await chains.open_live(config, db, system_clock, stack)
        stack.push_async_callback(UsageRecorder(db, meters).turn)
        await _record_unassigned(config, db)
        state = await _sandbox_state(db) if config.test_mode.enabled else None
        sandbox = None if state is None else await chains.open_sandbox(state, db, system_clock)
        yield _OpenChains(
            [(live[chain.id], chains.accepted_chain(chain)) for chain in config.chains],
            [] if sandbox is None else [(sandbox, chains.SANDBOX)],
        )


async def _record_unassigned(config: Config, db: Database) -> None:
    """Record the addresses without a session, as the server does at its start: a restore may have come since."""
    from crypto_checkout.app import wallets

    if await db.read(life.current) is None:
        return  # no server of this version has run yet, which tells the owner's own addresses apart
    for wallet, livemode in ((wallets.live(config), True), (wallets.of_test_mode(config), False)):
        if wallet is not None:
            for each in (wallet, *await wallets.earlier(config, db, wallet, livemode=livemode)):
                await unassigned_addresses.record(db, each, livemode=livemode)


async def _sandbox_state(db: Database) -> State | None:
    """Load the stored state of the sandbox; None where test mode never ran."""
    text = await db.read(sandbox_store.load)
    return None if text is None else State.from_json(text)
