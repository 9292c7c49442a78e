"""`crypto-checkout alerts`: find out whether alerts arrive."""

import asyncio
from typing import TYPE_CHECKING

import click

from crypto_checkout.cli.support.options import Options, json_option
from crypto_checkout.cli.support.setup import fail, load_config, print_json

if TYPE_CHECKING:
    from crypto_checkout.config import Config


@click.group()
def alerts() -> None:
    """Find out whether alerts arrive."""


@alerts.command()
@json_option
@click.pass_obj
def test(options: Options, *, as_json: bool) -> None:
    """Send a test to everyone whom [alerts] in checkout.toml names.

    The exit code is 0 if all of them took it.
    """
    config = load_config(options)
    if not (config.alerts.email_to or config.alerts.webhook_url):
        fail("Nobody would be alerted: set email_to with smtp_host and email_from, or webhook_url, in [alerts].")
    outcomes = asyncio.run(_send(config))
    if as_json:
        print_json([{"channel": name, "to": to, "error": error} for name, to, error in outcomes])
    else:
        for name, to, error in outcomes:
            click.echo(f"{name} to {to}: {error or 'sent'}")
    if any(error for _, _, error in outcomes):
        raise click.exceptions.Exit(1)


async def _send(config: "Config") -> list[tuple[str, str, str | None]]:
    """Send a test on each channel; return its name, whom it reaches, and what was wrong."""
    from crypto_checkout.app.alerts import channels, shop
    from crypto_checkout.app.parts import webhook_reach
    from crypto_checkout.services.alerts.notifier import try_channels
    from crypto_checkout.webhooks.send import Sender

    from .beside import clock

    async with Sender(timeout_seconds=config.webhooks.timeout_seconds, reach=webhook_reach(config)) as sender:
        there = channels(config, sender, clock)
        answers = await try_channels(there, shop(config), clock)
    return [(each.name, each.target, answers[each.name]) for each in there]
