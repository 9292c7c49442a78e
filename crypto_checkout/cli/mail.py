"""`crypto-checkout mail`: test that mail arrives."""

import asyncio

import click

from crypto_checkout.cli.support.options import Options, json_option
from crypto_checkout.cli.support.setup import fail, load_config, print_json


@click.group()
def mail() -> None:
    """Test mail."""


@mail.command()
@click.option("--to", metavar="ADDRESS", help="The recipient. Default: those who are notified about payments.")
@json_option
@click.pass_obj
def test(options: Options, *, to: str | None, as_json: bool) -> None:
    """Send a test mail through the server of [mail] in checkout.toml.

    The exit code is 0 if the server accepted it.
    """
    from crypto_checkout.app import offline

    config = load_config(options)
    recipients = [to] if to else list(config.mail.notify_to or config.alerts.email_to)
    if not recipients:
        fail("Name an address with --to, or set notify_to in [mail].")
    error = asyncio.run(offline.try_mail(config, recipients))
    if as_json:
        print_json({"to": recipients, "error": error})
    else:
        click.echo(f"mail to {', '.join(recipients)}: {error or 'sent'}")
    if error:
        raise click.exceptions.Exit(1)
