"""The composition root: from a configuration to opened resources, the web application and the loops beside it.

Everything is wired by hand in this room, and nowhere else. Nothing is opened before `opened` is entered, and everything
is closed when it is left.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.applications import Starlette

from crypto_checkout.app import alerts, modes, web
from crypto_checkout.app.parts import Parts, webhook_reach
from crypto_checkout.config import Config
from crypto_checkout.core.moments import Clock
from crypto_checkout.http.dashboard.frame.services import OwnerServices
from crypto_checkout.log import get_logger
from crypto_checkout.services.checkout.payment_methods import PaymentMethodsByMode
from crypto_checkout.services.ledger.health import ChainVisibility, Readiness
from crypto_checkout.services.ledger.watcher import Watcher
from crypto_checkout.services.reporting.totals import Totals
from crypto_checkout.services.upkeep.retention import Retention
from crypto_checkout.services.webhooks.dispatcher import Dispatcher
from crypto_checkout.services.webhooks.endpoint_cleanup import EndpointCleanup
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.data_folder.lock import FolderLock
from crypto_checkout.store.database import Database
from crypto_checkout.store.migrate import migrate
from crypto_checkout.webhooks.send import Sender

log = get_logger("app")


def system_clock() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that works: the web application, and what its start has to tell about."""

    web: Starlette
    db: Database
    events: Outbox
    payment_methods: PaymentMethodsByMode
    watchers: tuple[Watcher, ...]
    owner: OwnerServices


@asynccontextmanager
async def opened(
    config: Config, *, metrics_token: str | None = None, clock: Clock = system_clock
) -> AsyncIterator[RunningServer]:
    """Open everything that the configuration asks for, run the loops, and close it all at the end.

    Raises:
        FolderInUse: Another process serves this data folder.
        DatabaseTooNew: A newer version of the program wrote the database.

    """
    async with AsyncExitStack() as stack:
        stack.enter_context(FolderLock(config.database.path.resolve().parent))
        await asyncio.to_thread(migrate, config.database.path)
        db = await stack.enter_async_context(await Database.open(config.database.path, clock))
        sender = await stack.enter_async_context(
            Sender(timeout_seconds=config.webhooks.timeout_seconds, reach=webhook_reach(config))
        )
        signals = {livemode: asyncio.Event() for livemode in (True, False)}
        parts = Parts(config, stack, db, Outbox(lambda livemode: signals[livemode].set()), clock)
        dispatchers = [_dispatcher(parts, sender, livemode, woken) for livemode, woken in signals.items()]
        live, test = await modes.live(parts), await modes.test(parts)
        both = [mode for mode in (live, test) if mode is not None]
        watchers = tuple(watcher for mode in both for watcher in mode.watchers)
        payment_methods = PaymentMethodsByMode([mode.payment_methods for mode in both])
        owner = web.owner_services(db, clock)
        issues = alerts.issues(parts, {True: live, False: test})
        site = web.application(
            parts,
            payment_methods,
            test,
            sender,
            # Where there is real money the simulated chain doesn't count: a test key can take that down.
            Readiness(db, live.watchers if live is not None else watchers, clock),
            owner,
            ChainVisibility(watchers, clock),
            watchers,
            issues,
            {chain_id: chain for mode in both for chain_id, chain in mode.chains.items()},
            metrics_token,
        )
        beside = [*_upkeep(parts), alerts.notifier(parts, issues, sender).run]
        loops = [*(each.run for each in dispatchers), *beside, *(loop for mode in both for loop in mode.loops)]
        await stack.enter_async_context(_running(loops, watchers))
        yield RunningServer(site, db, parts.events, payment_methods, watchers, owner)


def _upkeep(parts: Parts) -> Sequence[modes.Loop]:
    """Make the loops that keep the database small and its totals whole."""
    return _retention(parts).run, EndpointCleanup(parts.db).run, Totals(parts.db, parts.clock).catch_up


def _retention(parts: Parts) -> Retention:
    config = parts.config
    return Retention(
        parts.db,
        event_days=config.events.retention_days,
        attempt_days=config.webhooks.attempts_retention_days,
        clock=parts.clock,
    )


def _dispatcher(parts: Parts, sender: Sender, livemode: bool, woken: asyncio.Event) -> Dispatcher:
    """Make a mode's dispatcher; test mode gets a quarter of the attempts at once."""
    webhooks = parts.config.webhooks
    return Dispatcher(
        parts.db,
        sender,
        parts.events,
        woken,
        livemode=livemode,
        retry_seconds=webhooks.retry_seconds,
        concurrency=webhooks.concurrency if livemode else max(1, webhooks.concurrency // 4),
        clock=parts.clock,
    )


@asynccontextmanager
async def _running(loops: Sequence[modes.Loop], watchers: Sequence[Watcher]) -> AsyncIterator[None]:
    """Run the loops; at the end stop them, and write what the watchers have kept back."""
    tasks = [asyncio.create_task(loop(), name=loop.__qualname__) for loop in loops]
    for task in tasks:
        task.add_done_callback(_say_if_it_died)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for watcher in watchers:
            await watcher.flush()


def _say_if_it_died(task: asyncio.Task[None]) -> None:
    """Log the end of a loop that should have gone on: whoever reads it has a bug to report."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("a loop has ended", error=f"{task.get_name()}: {error}", exc_info=error)
