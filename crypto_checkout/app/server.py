"""Open the server: the database, the modes, the web application, and the loops beside it.

Nothing is opened before `open_server` is entered, and everything is closed when it is left.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from crypto_checkout import litestream
from crypto_checkout.app import alerts, web, webhooks
from crypto_checkout.app.clock import system_clock
from crypto_checkout.app.modes import Modes, address_records, open_modes
from crypto_checkout.app.parts import Parts, Watches, backup_job, issuer, watches
from crypto_checkout.app.urls import place
from crypto_checkout.config import Config
from crypto_checkout.core.errors import DatabaseFailed
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.upkeep.leader import ElectionState
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.http.dashboard.frame.services import OwnerServices
from crypto_checkout.http.entry.application import Application
from crypto_checkout.http.status import Tokens
from crypto_checkout.program import own_command
from crypto_checkout.services.checkout.payment_methods import PaymentMethodsByMode
from crypto_checkout.services.leader.election import AlwaysLeader, LeaderElector, who_leads
from crypto_checkout.services.leader.loops import Loop, RunningLoops
from crypto_checkout.services.leader.report import Findings, LeaderReport
from crypto_checkout.services.ledger.watcher import Watcher
from crypto_checkout.services.owner import shared_key
from crypto_checkout.services.reporting.totals import Totals
from crypto_checkout.services.upkeep.backups import Backups
from crypto_checkout.services.upkeep.disk_watch import SpaceWatch
from crypto_checkout.services.upkeep.event_packing import EventPacking
from crypto_checkout.services.upkeep.integrity_watch import IntegrityWatch
from crypto_checkout.services.upkeep.loop_watch import LoopWatch
from crypto_checkout.services.upkeep.restore_guard import RestoreGuard
from crypto_checkout.services.upkeep.retention import Retention
from crypto_checkout.services.webhooks.endpoint_cleanup import EndpointCleanup
from crypto_checkout.services.webhooks.lost_secrets import switch_off_unreadable
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.data_folder import server_notes
from crypto_checkout.store.data_folder.lock import FolderLock
from crypto_checkout.store.database import Database
from crypto_checkout.store.files import remove_parts
from crypto_checkout.store.migrate import migrate
from crypto_checkout.store.moving import mark
from crypto_checkout.store.place import DatabaseServer


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server with its loops running: the web application, and the services that its welcome message reads.

    `election` returns whether this process leads, and who does if not.
    """

    web: Application
    db: Database
    events: Outbox
    payment_methods: PaymentMethodsByMode
    watchers: tuple[Watcher, ...]
    owner: OwnerServices
    election: Callable[[], ElectionState]


@asynccontextmanager
async def open_server(
    config: Config,
    *,
    metrics_token: str | None = None,
    clock: Clock = system_clock,
    new_secret_key: bool = False,
) -> AsyncIterator[RunningServer]:
    """Open everything that the configuration asks for, run the loops, and close it all at the end.

    `new_secret_key` takes this folder's key for a server's database in place of the one that was lost.

    Raises:
        FolderInUse: Another process serves this data folder.
        FatalError: Another process is changing the tables of the server's database, or its secrets have another key, or
            it was moved to another place.
        DatabaseTooNew: A newer version of the program wrote the database.

    """
    async with AsyncExitStack() as stack:
        database = place(config)
        stack.enter_context(FolderLock(config.database.path.resolve().parent))
        await asyncio.to_thread(_remove_leftovers, config.database.path)
        await asyncio.to_thread(migrate, database)
        db = await stack.enter_async_context(await Database.open(database, clock, serves=True))
        await db.read(mark.refuse_left)
        if isinstance(database, DatabaseServer):
            await shared_key.check(db, accept_another=new_secret_key)
        await switch_off_unreadable(db)
        sender = await stack.enter_async_context(webhooks.sender(config))
        signals = {livemode: asyncio.Event() for livemode in (True, False)}
        mail_due = asyncio.Event()
        wake_mail = db.signals.make("mails are due", mail_due.set)
        outbox = Outbox(db.signals.make("deliveries are due", lambda livemode: signals[livemode].set()))
        parts = Parts(config, stack, db, outbox, clock, issuer(config, wake_mail))
        guard = RestoreGuard(db, db.path.parent, outbox)
        modes = await _open_safely(parts, guard, database)
        watching = watches(parts, [woken.set for woken in signals.values()], _backups(parts))
        report = LeaderReport(db, modes.watchers, _findings(modes), clock)
        issues = alerts.issues(parts, modes, watching, report.findings)
        loop_watch = LoopWatch()
        services = web.services(parts, modes, sender)
        alert_test = alerts.alert_test(config, sender, clock)
        dashboard = web.dashboard_services(parts, modes, services, issues, watching, alert_test, wake_mail)
        leader_loops = RunningLoops(
            [
                *(webhooks.dispatcher(parts, sender, livemode, woken).run for livemode, woken in signals.items()),
                *_upkeep(parts),
                alerts.notifier(parts, issues, sender).run,
                *alerts.mail_loops(parts, modes, issues, mail_due),
                *modes.leader_loops,
            ],
            partial(_flush, modes.watchers),
        )
        loops = [
            *_file_loops(parts, watching),
            watching.clock.run,
            watching.updates.run,
            loop_watch.run,
            guard.run,
            *alerts.outage_loops(parts, sender),
            *modes.loops,
        ]
        token = stack.enter_context(server_notes.published_doctor_token(config.database.path.resolve().parent))
        tokens = Tokens(metrics_token, token)
        elector = _elector(database, leader_loops, report, clock)
        site = web.application(
            parts,
            modes,
            services,
            dashboard,
            tokens,
            loop_watch.longest_seconds,
            lambda: who_leads(elector.state),
        )
        await stack.enter_async_context(_running(loops, elector))
        yield RunningServer(
            site, db, parts.events, modes.payment_methods, modes.watchers, dashboard.owner, lambda: elector.state
        )


def _is_led(database: DatabaseServer) -> bool:
    """Tell whether another process leads on a server's database."""
    from crypto_checkout.store.postgresql.election import processes

    return processes(database)[0] is not None


async def _open_safely(parts: Parts, guard: RestoreGuard, database: Path | DatabaseServer) -> Modes:
    """Open the modes, and have nothing given out twice of a database that was restored or has failed over.

    A server's database may be, while this process runs, too.
    """
    parts.events.on(EventType.API_KEY_REVOKED, parts.db.signals.make("a key was revoked", guard.record_revoked))
    is_led = isinstance(database, Path) or await asyncio.to_thread(_is_led, database)
    is_current = await guard.apply(is_led=is_led)
    records = await address_records(parts, is_led=is_led, is_current=is_current)
    await guard.record()  # a start that keeps failing from here on passes addresses over only once
    modes = await open_modes(parts, records)
    parts.db.before_writing(
        lambda unit, is_other_data: modes.keeper.before_writing(
            unit, lacks_some=guard.before_writing(unit, is_other_data)
        )
    )
    return modes


def _remove_leftovers(path: Path) -> None:
    """Remove what killed backups, restores and downloads left beside the database, and what was noted of proxies."""
    remove_parts(path.resolve())
    litestream.remove_leftovers(path.resolve().parent)
    for left in path.resolve().parent.glob(".download-*"):  # of earlier versions
        shutil.rmtree(left, ignore_errors=True)
    server_notes.forget_untrusted_proxy(path.resolve().parent)


def _upkeep(parts: Parts) -> Sequence[Loop]:
    """Make the loops that keep the database small and its totals complete."""
    retention = Retention(
        parts.db,
        event_days=parts.config.events.retention_days,
        attempt_days=parts.config.webhooks.attempts_retention_days,
        clock=parts.clock,
        chain_ids=[chain.id for chain in parts.config.chains],
    )
    return (
        retention.run,
        EndpointCleanup(parts.db).run,
        EventPacking(parts.db, parts.clock).run,
        Totals(parts.db, parts.clock).catch_up,
    )


def _file_loops(parts: Parts, watching: Watches) -> Sequence[Loop]:
    """Return the loops that look after a database's file; a server's administrator looks after that."""
    if parts.config.database.url:
        return ()
    return (
        watching.backups.run,
        watching.disk.run,
        watching.replica.run,
        IntegrityWatch(parts.db, parts.clock).run,
        SpaceWatch(parts.db, parts.clock).run,
    )


def _backups(parts: Parts) -> Backups:
    """Make the loop that backs the database up, in a process of its own."""
    hours = 0 if parts.config.database.url else parts.config.backup.every_hours
    return Backups(
        parts.db,
        backup_job(parts.config),
        every=timedelta(hours=hours) if hours else None,
        clock=parts.clock,
        command=[*own_command(), "backup-worker"],
    )


def _findings(modes: Modes) -> Findings:
    """Return what this process sees by itself of live mode's nodes."""
    live = modes.live
    return (
        Findings()
        if live is None
        else Findings(live.providers, live.collecting, live.foreign_index, lambda: live.price_watch.unpriced)
    )


def _elector(
    database: Path | DatabaseServer, loops: RunningLoops, report: LeaderReport, clock: Clock
) -> LeaderElector | AlwaysLeader:
    """Wire what runs the leader's loops: always on a file, which has one process; on a server while elected."""
    if isinstance(database, Path):
        return AlwaysLeader(loops)
    from crypto_checkout.store.postgresql.election import PostgresqlElection

    loops.add(report.run)
    elector = LeaderElector(PostgresqlElection(database, clock), loops)
    elector.on_turn(report.receive)
    return elector


@asynccontextmanager
async def _running(loops: Sequence[Loop], elector: LeaderElector | AlwaysLeader) -> AsyncIterator[None]:
    """Run the loops; at the end stop them, the leader's first."""
    of_each = RunningLoops(loops)
    of_each.start()
    await elector.begin()
    try:
        yield
    finally:
        await elector.end()
        await of_each.stop()


async def _flush(watchers: Sequence[Watcher]) -> None:
    """Write what the watchers still hold in memory."""
    for watcher in watchers:
        with suppress(DatabaseFailed):  # logged; the next start reads those blocks again
            await watcher.flush()
