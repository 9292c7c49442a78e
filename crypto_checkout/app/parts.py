"""The parts that most wiring needs; they are passed along while wiring, and never into a service."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from crypto_checkout.config import Config
from crypto_checkout.core.backups import Rotation
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.receipts.receipt import Seller
from crypto_checkout.services.receipts.issuer import MailPolicy, ReceiptIssuer
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.age_files import Lock
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


def issuer(config: Config, wake: Callable[[], None] = lambda: None) -> ReceiptIssuer:
    """Wire what writes receipts and their mails; `wake` wakes the sender."""
    mail, branding = config.mail, config.branding
    policy = MailPolicy(
        to_payers=mail.receipts,
        owners=owners(config) if mail.notify_paid == "each" else (),
        test_mode=mail.test_mode,
    )
    return ReceiptIssuer(Seller(branding.name, branding.address, branding.tax_number), policy, wake)


def owners(config: Config) -> Sequence[str]:
    """Return the addresses that are told of payments."""
    return config.mail.notify_to or config.alerts.email_to


def backup_job(config: Config) -> Job:
    """Return what a backup is made of, and where and to whom."""
    backup = config.backup
    return Job(
        config.database.path.absolute(),
        config.backup_folder.absolute(),
        Lock(backup.age_recipients, backup.passphrase),
        Rotation(backup.keep_daily, backup.keep_weekly),
    )
