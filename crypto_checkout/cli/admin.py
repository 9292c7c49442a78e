"""`crypto-checkout admin`: the owner's access to the dashboard, from the machine itself."""

import sys
from typing import TYPE_CHECKING

import click

from crypto_checkout.cli.support.options import Options
from crypto_checkout.cli.support.setup import fail, load_config, require_database, shown_place, with_database

if TYPE_CHECKING:
    from crypto_checkout.store.database import Database

_TRIES = 3


@click.group()
def admin() -> None:
    """Recover access to the dashboard."""


@admin.command("reset-password")
@click.pass_obj
def reset_password(options: Options) -> None:
    """Set the dashboard's password and end all logins.

    Prompts for it, or reads it from standard input. Removes the second factor and its recovery codes. The server
    can keep running.
    """
    from crypto_checkout.app import offline
    from crypto_checkout.app.urls import as_served

    config = load_config(options)
    require_database(config)
    password = _prompt([config.branding.name]) if sys.stdin.isatty() else _read([config.branding.name])

    async def work(db: "Database") -> int:
        return await offline.account(db).reset_password(password)

    ended = with_database(options, work)
    click.echo(f"The dashboard's password is set for the data in {shown_place(config)}.")
    click.echo(f"Logins ended: {ended}. The second factor and its recovery codes are removed.")
    click.echo(f"Sign in at {as_served(config).server.public_url}/dashboard")


def _prompt(names: list[str]) -> str:
    from crypto_checkout.core.owner.password import objection

    wrong: str | None = ""
    for _ in range(_TRIES):
        password: str = click.prompt("New password", hide_input=True, confirmation_prompt="Repeat the password")
        wrong = objection(password, names)
        if wrong is None:
            break
        click.echo(wrong)
    if wrong is not None:
        fail("No password was set.")
    return password


def _read(names: list[str]) -> str:
    from crypto_checkout.core.owner.password import objection

    password = sys.stdin.readline().rstrip("\r\n")
    wrong = objection(password, names)
    if wrong is not None:
        fail(f"{wrong} Nothing was changed.")
    return password
