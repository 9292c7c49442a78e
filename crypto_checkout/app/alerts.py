"""Wire the issues that need a person, the alerts that report them, and the mails about payments."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from crypto_checkout.app.modes import Mode, Modes
from crypto_checkout.app.parts import Parts, Watches, owners
from crypto_checkout.config import BrandingConfig, Config
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.receipts.mail import MailKind
from crypto_checkout.core.shop import Shop
from crypto_checkout.http.checkout.branding.shop import Branding
from crypto_checkout.http.checkout.receipt.mail import PayerTexts
from crypto_checkout.mail import MailServer
from crypto_checkout.services.alerts.alert_test import AlertTest
from crypto_checkout.services.alerts.channels import Channel, MailChannel, WebhookChannel
from crypto_checkout.services.alerts.issues import Issues
from crypto_checkout.services.alerts.notifier import Notifier
from crypto_checkout.services.alerts.outage import OutageAlert
from crypto_checkout.services.alerts.server_issues import ServerIssues, WatchedMode
from crypto_checkout.services.leader.loops import Loop
from crypto_checkout.services.leader.report import Findings
from crypto_checkout.services.ledger.health import Readiness
from crypto_checkout.services.receipts.days import DailyMail
from crypto_checkout.services.receipts.mail_test import MailTest
from crypto_checkout.services.receipts.reader import ReceiptReader
from crypto_checkout.services.receipts.sender import MailSender, MailSenderName
from crypto_checkout.services.receipts.writers import PaymentMails
from crypto_checkout.services.webhooks.dispatcher import AttemptSender


def issues(parts: Parts, modes: Modes, watches: Watches, findings: Findings) -> Issues:
    """Wire the issues of both modes. A mode that isn't configured still has the server's own issues."""
    server_issues = {
        True: _server_issues(parts, modes.live, watches, findings, livemode=True),
        False: _server_issues(parts, modes.test, watches, Findings(), livemode=False),
    }

    def dismissed(cause: str) -> None:
        for each in server_issues.values():
            each.dismiss(cause)

    chains = list(modes.payment_methods.all_chains().values())
    return Issues(parts.db, server_issues, chains, parts.db.signals.make("an issue was dismissed", dismissed))


def notifier(parts: Parts, issues: Issues, sender: AttemptSender) -> Notifier:
    """Wire the loop that sends alerts."""
    alerts = parts.config.alerts
    return Notifier(
        parts.db,
        issues,
        channels(parts.config, sender, parts.clock),
        modes=(True, False) if alerts.test_mode else (True,),
        every=timedelta(minutes=alerts.every_minutes),
        shop=shop(parts.config),
        clock=parts.clock,
    )


def outage_loops(parts: Parts, sender: AttemptSender) -> Sequence[Loop]:
    """Wire the loop that tells of an outage of a server's database; on a file the notifier does."""
    if not parts.config.database.url:
        return ()
    from crypto_checkout.store.postgresql.session import PROCESS

    readiness = Readiness(parts.db, (), parts.clock)
    channels_of_alerts = channels(parts.config, sender, parts.clock)
    return (OutageAlert(readiness, channels_of_alerts, shop(parts.config), parts.clock, process=PROCESS).run,)


def alert_test(config: Config, sender: AttemptSender, clock: Clock) -> AlertTest:
    """Wire the test alert."""
    return AlertTest(channels(config, sender, clock), shop(config), clock)


def channels(config: Config, sender: AttemptSender, clock: Clock) -> Sequence[Channel]:
    """Return the channels that the configuration names."""
    alerts = config.alerts
    found: list[Channel] = []
    if alerts.email_to:
        server = mail_server(config)
        assert server is not None, "there is one wherever mails are sent"
        found.append(MailChannel(server, sender=config.mail.sender, to=alerts.email_to, clock=clock))
    if alerts.webhook_url:
        found.append(WebhookChannel(sender, url=alerts.webhook_url, secret=alerts.webhook_secret, clock=clock))
    return found


def mail_server(config: Config) -> MailServer | None:
    """Return the server that takes mail; None where none is configured."""
    mail = config.mail
    if not mail.smtp_host or not mail.sender:
        return None
    return MailServer(mail.smtp_host, mail.smtp_port, mail.smtp_security, mail.smtp_user, mail.smtp_password)


def mail_loops(parts: Parts, modes: Modes, issues: Issues, woken: asyncio.Event) -> tuple[Loop, ...]:
    """Wire the loops that make and send mails to payers and to the owner."""
    config, mail, db = parts.config, parts.config.mail, parts.db
    named = shop(config)
    chains = {chain.id: chain.name for chain in modes.payment_methods.all_chains().values()}
    payments = PaymentMails(db, receipt_reader(parts), payer_texts(config).receipt, named, chains)

    async def open_issues(livemode: bool) -> list[str]:
        return [each.words for each in (await issues.gather(livemode)).issues]

    days = DailyMail(
        db,
        recipients=owners(config) if mail.notify_paid == "daily" else (),
        modes=(True, False) if mail.test_mode else (True,),
        hour=mail.daily_at,
        zone_name=mail.time_zone,
        shop=named,
        issues=open_issues,
        wake=woken.set,
        clock=parts.clock,
    )
    writers = {MailKind.RECEIPT: payments.receipt, MailKind.PAID: payments.paid, MailKind.DAY: days.write}
    name = MailSenderName(mail.sender, named.name, config.branding.support_email)
    return (days.run, MailSender(db, mail_server(config), name, writers, woken, parts.clock).run)


def receipt_reader(parts: Parts) -> ReceiptReader:
    """Wire the reader of receipts."""
    return ReceiptReader(parts.db, public_url=parts.config.server.public_url)


def payer_texts(config: Config) -> PayerTexts:
    """Wire the writer of mails to payers."""
    return PayerTexts(payer_branding(config.branding), config.server.public_url)


def payer_branding(branding: BrandingConfig) -> Branding:
    """Return the shop as its payers see it; what only receipts show comes with each receipt."""
    return Branding(**branding.model_dump(exclude={"address", "tax_number"}))


def mail_test(config: Config, clock: Clock) -> MailTest:
    """Wire the test mail."""
    mail = config.mail
    return MailTest(
        mail_server(config),
        sender=mail.sender,
        shop_name=shop(config).name,
        to_payers=mail.receipts,
        notices=mail.notify_paid,
        owners=owners(config),
        daily_at=f"{mail.daily_at:02d}:00 {mail.time_zone}",
        test_mode=mail.test_mode,
        reply_to=config.branding.support_email,
        clock=clock,
    )


def shop(config: Config) -> Shop:
    """Return the shop's name and URL for messages."""
    return Shop(config.branding.name or "Crypto Checkout", config.server.public_url)


def _server_issues(
    parts: Parts, mode: Mode | None, watches: Watches, findings: Findings, *, livemode: bool
) -> ServerIssues:
    watchers = () if mode is None else mode.watchers
    watched = WatchedMode(
        Readiness(parts.db, watchers, parts.clock),
        watchers=watchers,
        providers=findings.providers,
        foreign_index=findings.foreign_index,
        uncollectable={} if mode is None else mode.uncollectable,
        collecting=findings.collecting,
        # The prices of test mode come from a table and need no trying.
        price_watch=mode.price_watch if mode is not None and livemode else None,
        unpriced=findings.unpriced,
    )
    return ServerIssues(
        watched,
        livemode=livemode,
        folder=parts.config.database.path.resolve().parent,
        clock=parts.clock,
        clock_watch=watches.clock,
        disk_watch=watches.disk,
        backups=watches.backups,
        replica_watch=watches.replica,
    )
