"""The parts that most wiring needs; they are passed along while wiring, and never into a service."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from crypto_checkout import __version__, updates
from crypto_checkout.app.urls import shown
from crypto_checkout.config import Config
from crypto_checkout.core.backups import Rotation
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.receipts.receipt import Seller
from crypto_checkout.services.receipts.issuer import MailPolicy, ReceiptIssuer
from crypto_checkout.services.reporting.config_snippets import BackupPlan
from crypto_checkout.services.upkeep.backups import Backups
from crypto_checkout.services.upkeep.clock_watch import ClockWatch
from crypto_checkout.services.upkeep.disk_watch import BackupPlace, DiskWatch
from crypto_checkout.services.upkeep.replica_watch import ReplicaWatch
from crypto_checkout.services.upkeep.update_watch import UpdateWatch
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.age_files import Encryption
from crypto_checkout.store.backups.making import Job
from crypto_checkout.store.database import Database


@dataclass(frozen=True, slots=True)
class Parts:
    """The configuration and the opened resources; `stack` closes at the end, the last entry first."""

    config: Config
    stack: AsyncExitStack
    db: Database
    events: Outbox
    clock: Clock
    receipts: ReceiptIssuer


@dataclass(frozen=True, slots=True)
class Watches:
    """The loops that watch this machine, and whether there is a newer version: what they find is shown to the owner."""

    backups: Backups
    clock: ClockWatch
    disk: DiskWatch
    replica: ReplicaWatch
    updates: UpdateWatch


def watches(parts: Parts, wake: Sequence[Callable[[], None]], backups: Backups) -> Watches:
    """Wire the loops that watch; `wake` wakes the webhooks of each mode."""
    config, db, clock = parts.config, parts.db, parts.clock
    folder = config.database.path.resolve().parent
    return Watches(
        backups,
        ClockWatch(db, wake, clock=clock),
        DiskWatch(db, backup_place(config), clock),
        ReplicaWatch(config.database.path.resolve(), clock),
        UpdateWatch(config.updates.check_url, folder, __version__, updates.ask, clock),
    )


def issuer(config: Config, wake: Callable[[], None] = lambda: None) -> ReceiptIssuer:
    """Wire what writes receipts and their mails; `wake` wakes the sender."""
    mail, branding = config.mail, config.branding
    policy = MailPolicy(
        to_payers=mail.receipts,
        owners=owners(config) if mail.notify_paid == "each" else (),
        test_mode=mail.test_mode,
    )
    return ReceiptIssuer(Seller(branding.name, branding.address, branding.tax_number), policy, wake)


def backup_place(config: Config) -> BackupPlace:
    """Return where the server's own backups are, and how many are kept."""
    backup = config.backup
    # This week's newest one is today's.
    kept = backup.keep_daily + max(0, backup.keep_weekly - 1)
    return BackupPlace(config.backup_folder, kept if backup.every_hours else 0)


def backup_plan(config: Config) -> BackupPlan:
    """Return what the dashboard says of the backups."""
    backup = config.backup
    return BackupPlan(
        folder=str(config.backup_folder.absolute()),
        every_hours=backup.every_hours,
        keep_daily=backup.keep_daily,
        keep_weekly=backup.keep_weekly,
        encryption="recipients" if backup.age_recipients else "passphrase" if backup.passphrase else "",
        server=shown(config) if config.database.url else None,
    )


def owners(config: Config) -> Sequence[str]:
    """Return the addresses that are told of payments."""
    return config.mail.notify_to or config.alerts.email_to


def backup_job(config: Config) -> Job:
    """Return what a backup is made of, and where and to whom."""
    backup = config.backup
    return Job(
        config.database.path.absolute(),
        config.backup_folder.absolute(),
        Encryption(backup.age_recipients, backup.passphrase),
        Rotation(backup.keep_daily, backup.keep_weekly),
    )
