"""`crypto-checkout migrate`, `backup` and `restore`: operations on the database as a whole."""

import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crypto_checkout.cli.support import tables
from crypto_checkout.cli.support.options import Options
from crypto_checkout.cli.support.setup import (
    apply_migrations,
    fail,
    fail_while_served,
    load_config,
    or_fail,
    require_database,
    storage_failure,
    this_program,
)

if TYPE_CHECKING:
    from crypto_checkout.store.data_folder.backup import RestoreResult
    from crypto_checkout.store.migrate import Migration


_PENDING = 3


@click.command()
@click.option(
    "--check", is_flag=True, help="Only show what would be done; the exit code is 3 if there is something to do."
)
@click.pass_obj
def migrate(options: Options, *, check: bool) -> None:
    """Bring the database up to date; `serve` does this too.

    A copy is made beside it first. If it fails, the database stays as it was.
    """
    from crypto_checkout.store import migrate as store

    config = load_config(options)
    require_database(config)
    path = config.database.path.absolute()
    if check:
        _check_migrations(path)
        return
    applied = or_fail(config, lambda: apply_migrations(config))
    if not applied:
        click.echo(f"{path} is up to date.")
        return
    click.echo(f"Brought up to date: {path}")
    _show_migrations(applied)
    if applied[0].number > 1:
        click.echo(
            f"The database as it was before is in {store.copy_before(path, applied[0])}. To go back to the earlier"
        )
        click.echo("version of crypto-checkout, install that and restore this file with it.")


def _check_migrations(path: Path) -> None:
    """Say what `migrate` would do, and whether the disk has room for it."""
    from crypto_checkout.core.errors import FatalError
    from crypto_checkout.store import migrate as store

    try:
        missing = store.pending(path)
    except FatalError as error:
        fail(str(error))
    if not missing:
        click.echo(f"{path} is up to date.")
        return
    click.echo(f"To be brought up to date: {path}")
    _show_migrations(missing)
    needed, free = store.bytes_needed(path), shutil.disk_usage(path.parent).free
    verdict = "enough" if free >= needed else "too little: free some first"
    click.echo(f"It takes about {needed / 1e6:,.0f} MB of free disk; there are {free / 1e6:,.0f} MB, {verdict}.")
    raise click.exceptions.Exit(_PENDING)


def _show_migrations(migrations: "Sequence[Migration]") -> None:
    for migration in migrations:
        click.echo(f"  {migration.name}")


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@click.option("--with-key", is_flag=True, help="Also copy secret.key, as FILE.secret.key.")
@click.pass_obj
def backup(options: Options, *, file: Path, force: bool, with_key: bool) -> None:
    """Copy the database to FILE; the server can keep running.

    It contains your customers' addresses: keep it as safe as the database. Its webhook secrets and the second
    factor's secret are encrypted with the file secret.key beside the database: keep a copy of that elsewhere. The
    configuration isn't included either.
    """
    from crypto_checkout.app.clock import system_clock
    from crypto_checkout.store import secret_key
    from crypto_checkout.store.data_folder import backup as store
    from crypto_checkout.store.data_folder import last_backup

    config = load_config(options)
    require_database(config)
    if not file.absolute().parent.is_dir():
        fail(f"There is no folder {file.absolute().parent}; create it first.")

    def work() -> bool:
        try:
            store.back_up(config.database.path, file, overwrite=force)
        except FileExistsError:
            fail(f"{file} already exists and was not changed. Choose another name, or replace it with --force.")

        if with_key:
            secret_key.copy_to_backup(config.database.path.parent, file)
        return store.is_empty(file)

    is_empty = or_fail(config, work)
    size = file.stat().st_size / 1e6
    click.echo(f"Wrote {file} ({size:.1f} MB), checked and readable by you alone.")
    if is_empty:
        click.echo(
            f"It has no payments: {config.database.path.absolute()} never had a session. If your shop had some, "
            f"this is another folder: name its configuration, {this_program()} --config FILE backup {file}"
        )
    if with_key:
        click.echo(f"Wrote {secret_key.of_backup(file)}, which its secrets are encrypted with: keep them apart.")
    try:
        last_backup.note(config.database.path.parent, system_clock(), file)
    except OSError as error:
        why = storage_failure(config, error)
        click.echo(f"The copy is good, but its date can't be recorded for `doctor`: {why}", err=True)


@click.command(short_help="Restore the database from a backup.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--skip",
    type=click.IntRange(0, 1_000_000),
    metavar="N",
    help="Skip N addresses if nothing here records how many were given out since the backup. Default: 1000 or more.",
)
@click.pass_obj
def restore(options: Options, *, file: Path, skip: int | None) -> None:
    """Replace the database with the backup FILE; the replaced one is kept beside it.

    The server must be stopped. Addresses given out after the backup are not given out again. A FILE.secret.key
    beside it is restored too (backup --with-key). Without that key some secrets must be created anew: they are
    listed.
    """
    from crypto_checkout.app.clock import system_clock
    from crypto_checkout.app.wallets import names
    from crypto_checkout.core.errors import FolderInUse
    from crypto_checkout.store import secret_key
    from crypto_checkout.store.data_folder import backup as store
    from crypto_checkout.store.data_folder.lock import FolderLock
    from crypto_checkout.store.data_folder.skipping import Skip

    config = load_config(options)
    wallets = names(config)

    def work() -> "RestoreResult":
        try:
            with FolderLock(config.database.path.resolve().parent):
                passing = Skip(system_clock(), secrets.randbelow, skip)
                return store.restore(file, config.database.path, wallets, passing, secrets.token_hex(8))
        except FolderInUse:
            fail_while_served(config, "restore again")

    restored = or_fail(config, work)
    newest = f", as of {tables.moment(restored.newest)}" if restored.newest else ""
    click.echo(f"{config.database.path.absolute()} is now restored from {file}{newest}.")
    if restored.kept is not None:
        click.echo(f"The previous database is kept as {restored.kept}.")
    _show_next_addresses(restored, wallets)
    _show_access(restored)
    if secret_key.of_backup(file).exists():
        click.echo(f"Its key, {secret_key.of_backup(file)}, was restored too.")
    _show_lost_secrets(restored, secret_key.of_backup(file))
    click.echo(
        "Webhooks that were waiting at the time of the backup are sent again; receivers know them by webhook-id."
    )


def _show_access(restored: "RestoreResult") -> None:
    """Say what lets people and programs in now: a copy brings back what was revoked since, unless it is known here."""
    if restored.is_carried:
        click.echo(
            "Logins to the dashboard have ended. What was revoked or changed since the copy stays so: API keys, "
            "webhook secrets, endpoints that were switched off, the password, the second factor and recovery codes."
        )
        return
    click.echo(
        "Logins to the dashboard have ended; its password, second factor and recovery codes are those of the copy, and "
        "so are the webhook secrets. Change what you have changed since."
    )
    if restored.active_keys:
        click.echo("These API keys work again, even if you revoked them since (crypto-checkout keys revoke):")
        for key in restored.active_keys:
            click.echo(f"  {key}")


def _show_lost_secrets(restored: "RestoreResult", key: Path) -> None:
    """Say what has to be made anew because the key that it is encrypted with isn't here."""
    lost = restored.lost_secrets
    if not lost.endpoints and not lost.second_factor:
        return
    click.echo("The key of this backup isn't here (secret.key), so some of its secrets can't be read:")
    for url in lost.endpoints:
        click.echo(
            f"  Webhook endpoint {url}: it is disabled. Rotate its secret, enable it, and replay what it missed."
        )
    if lost.second_factor:
        click.echo(
            "  The second factor: sign in with a recovery code, or run crypto-checkout admin reset-password. Then set "
            "your app up again."
        )
    click.echo(f"If you have the key, restore again with it beside the backup, as {key}, before you start the server.")


def _show_next_addresses(restored: "RestoreResult", names: dict[str, str]) -> None:
    for wallet in restored.wallets:
        name = names.get(wallet.wallet_id, f"Wallet {wallet.wallet_id}")
        why = "where the records here end" if wallet.is_known else "well past what may have been given out since"
        click.echo(f"{name} continues with address number {wallet.next_index}: {why}.")
