"""`crypto-checkout migrate`: bring the database up to date."""

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from crypto_checkout.cli.support.options import Options
from crypto_checkout.cli.support.setup import apply_migrations, load_config, or_fail, require_database, shown_place
from crypto_checkout.core.sizes import size

if TYPE_CHECKING:
    from crypto_checkout.config import Config
    from crypto_checkout.store.migrate import Migration

_PENDING = 3


@click.command()
@click.option(
    "--check", is_flag=True, help="Only show what would be done; the exit code is 3 if there is something to do."
)
@click.pass_obj
def migrate(options: Options, *, check: bool) -> None:
    """Bring the database up to date; `serve` does this too.

    A copy of a file is made beside it first. If it fails, the database stays as it was.
    """
    from crypto_checkout.store import migrate as store

    config = load_config(options)
    require_database(config)
    path = config.database.path.absolute()
    if check:
        _check_migrations(config)
        return
    applied = or_fail(config, lambda: apply_migrations(config))
    if not applied:
        click.echo(f"{shown_place(config)} is up to date.")
        return
    click.echo(f"Brought up to date: {shown_place(config)}")
    _show_migrations(applied)
    if applied[0].number > 1 and not config.database.url:
        click.echo(
            f"The database as it was before is in {store.copy_before(path, applied[0])}. To go back to the earlier"
        )
        click.echo("version of crypto-checkout, install that and restore this file with it.")


def _check_migrations(config: "Config") -> None:
    """Say what `migrate` would do, and whether the disk has room for it."""
    from crypto_checkout.app.urls import place
    from crypto_checkout.store import migrate as store

    missing = or_fail(config, lambda: store.pending(place(config)))
    if not missing:
        click.echo(f"{shown_place(config)} is up to date.")
        return
    click.echo(f"To be brought up to date: {shown_place(config)}")
    _show_migrations(missing)
    if config.database.url:
        raise click.exceptions.Exit(_PENDING)
    path = config.database.path.absolute()
    needed, free = store.bytes_needed(path), shutil.disk_usage(path.parent).free
    verdict = "enough" if free >= needed else "too little: free up some first"
    click.echo(f"It takes about {size(needed)} of free space; there are {size(free)}, {verdict}.")
    raise click.exceptions.Exit(_PENDING)


def _show_migrations(migrations: "Sequence[Migration]") -> None:
    for migration in migrations:
        click.echo(f"  {migration.name}")
