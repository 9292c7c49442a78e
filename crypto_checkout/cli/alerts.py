"""`crypto-checkout alerts`: test that alerts arrive."""

import asyncio
from pathlib import Path

import click

from crypto_checkout.cli.support.options import Options, json_option
from crypto_checkout.cli.support.setup import fail, load_config, print_json


@click.group()
def alerts() -> None:
    """Test alerts."""


@alerts.command()
@json_option
@click.pass_obj
def test(options: Options, *, as_json: bool) -> None:
    """Send a test message to every recipient in [alerts] of checkout.toml.

    The exit code is 0 if all of them accepted it.
    """
    from crypto_checkout.app import offline

    config = load_config(options)
    if not (config.alerts.email_to or config.alerts.webhook_url):
        place = (
            config.path.absolute() if config.path else f"{Path.cwd()} has no checkout.toml (or name it: --config FILE)"
        )
        fail(
            "There is nobody to alert: set email_to in [alerts], with smtp_host and from in [mail], or webhook_url. "
            f"Looked at: {place}."
        )
    outcomes = asyncio.run(offline.try_alerts(config))
    if as_json:
        print_json([{"channel": each.channel, "to": each.target, "error": each.problem} for each in outcomes])
    else:
        for each in outcomes:
            click.echo(f"{each.channel} to {each.target}: {each.problem or 'sent'}")
    if not all(each.problem for each in outcomes):
        asyncio.run(offline.note_alerts_tested(config))
    if any(each.problem for each in outcomes):
        raise click.exceptions.Exit(1)
