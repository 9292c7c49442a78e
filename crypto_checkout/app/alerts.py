"""Wire what looks after things that need a person, and the channels that tell one."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from crypto_checkout.app.modes import Mode
from crypto_checkout.app.parts import Parts
from crypto_checkout.config import Config
from crypto_checkout.core.moments import Clock
from crypto_checkout.mail import MailServer
from crypto_checkout.services.alerts.channels import Channel, MailChannel, WebhookChannel
from crypto_checkout.services.alerts.issues import Issues
from crypto_checkout.services.alerts.notifier import Notifier, Shop
from crypto_checkout.services.alerts.server_issues import ServerIssues, WatchedMode
from crypto_checkout.services.ledger.health import Readiness
from crypto_checkout.services.webhooks.dispatcher import AttemptSender


def issues(parts: Parts, modes: Mapping[bool, Mode | None]) -> Issues:
    """Return what gathers what needs a person. A mode that isn't configured is watched for what all share."""
    return Issues(
        parts.db,
        {livemode: _server_issues(parts, mode, livemode) for livemode, mode in modes.items()},
        [chain for mode in modes.values() if mode is not None for chain in mode.payment_methods.chains],
    )


def notifier(parts: Parts, issues: Issues, sender: AttemptSender) -> Notifier:
    """Return the loop that tells a person."""
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


def channels(config: Config, sender: AttemptSender, clock: Clock) -> Sequence[Channel]:
    """Return the ways that the configuration names."""
    alerts = config.alerts
    found: list[Channel] = []
    if alerts.email_to:
        server = MailServer(
            alerts.smtp_host, alerts.smtp_port, alerts.smtp_security, alerts.smtp_user, alerts.smtp_password
        )
        found.append(MailChannel(server, sender=alerts.email_from, to=alerts.email_to, clock=clock))
    if alerts.webhook_url:
        found.append(WebhookChannel(sender, url=alerts.webhook_url, secret=alerts.webhook_secret, clock=clock))
    return found


def shop(config: Config) -> Shop:
    """Return how messages call the shop."""
    return Shop(config.branding.name or "Crypto Checkout", config.server.public_url)


def _server_issues(parts: Parts, mode: Mode | None, livemode: bool) -> ServerIssues:
    watchers = mode.watchers if mode is not None else ()
    watched = WatchedMode(
        Readiness(parts.db, watchers, parts.clock),
        watchers=watchers,
        providers=mode.providers if mode is not None else {},
        # The prices of test mode are a table.
        payment_methods=mode.payment_methods if mode is not None and livemode else None,
    )
    return ServerIssues(
        watched, livemode=livemode, folder=parts.config.database.path.resolve().parent, clock=parts.clock
    )
