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
@click.option("--check", is_flag=True, help="Only say what is to be done; the exit code is 3 if there is something.")
@click.pass_obj
def migrate(options: Options, *, check: bool) -> None:
    """Bring the database up to date; `serve` does that too.

    A copy is written beside it first. If it fails, the database stays as it was.
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
        click.echo(f"As it was before, it is in {store.copy_before(path, applied[0])}. To go back to the version of")
        click.echo("crypto-checkout before this one, install that, and have it restore this file.")


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
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@click.option("--with-key", is_flag=True, help="Copy secret.key too, as FILE.secret.key.")
@click.pass_obj
def backup(options: Options, *, file: Path, force: bool, with_key: bool) -> None:
    """Copy the database into FILE; the server may run meanwhile.

    It holds your customers' addresses: keep it as safe as the database. Its webhook secrets, and the second factor's,
    are encrypted with the file secret.key beside the database: keep a copy of that elsewhere. The configuration is not
    in it either.
    """
    from crypto_checkout.app.clock import system_clock
    from crypto_checkout.store import secret_key
    from crypto_checkout.store.data_folder import backup as store
    from crypto_checkout.store.data_folder import last_backup

    config = load_config(options)
    require_database(config)
    if not file.absolute().parent.is_dir():
        fail(f"There is no folder {file.absolute().parent}; make it first.")

    def work() -> bool:
        try:
            store.back_up(config.database.path, file, overwrite=force)
        except FileExistsError:
            fail(f"{file} is there already and stays as it is. Choose another name, or replace it with --force.")

        if with_key:
            secret_key.copy_to_backup(config.database.path.parent, file)
        return store.is_empty(file)

    is_empty = or_fail(config, work)
    size = file.stat().st_size / 1e6
    click.echo(f"Wrote {file} ({size:.1f} MB), checked and readable by you alone.")
    if is_empty:
        click.echo(
            f"The ledger in it is empty: {config.database.path.absolute()} has never had a session. If your shop has, "
            f"this is another folder: name its configuration, {this_program()} --config FILE backup {file}"
        )
    if with_key:
        click.echo(f"Wrote {secret_key.of_backup(file)}, which its secrets are encrypted with: keep the two apart.")
    try:
        last_backup.note(config.database.path.parent, system_clock(), file)
    except OSError as error:
        why = storage_failure(config, error)
        click.echo(f"The copy is good, but its date can't be noted for `doctor`: {why}", err=True)


@click.command(short_help="Put a copy back in the place of the database.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--skip",
    type=click.IntRange(0, 1_000_000),
    metavar="N",
    help="Pass over N addresses where nothing here tells how many were given out since; without it at least 1000.",
)
@click.pass_obj
def restore(options: Options, *, file: Path, skip: int | None) -> None:
    """Put the copy FILE in the place of the database, which is kept beside it.

    The server must be stopped. No address is given out again that was given out after the copy. A FILE.secret.key
    beside it is taken along (backup --with-key). Without the key of the copy some secrets have to be made anew: you
    are told which.
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
    click.echo(f"{config.database.path.absolute()} is now what was in {file}{newest}.")
    if restored.kept is not None:
        click.echo(f"What was there before is kept as {restored.kept}.")
    _show_next_addresses(restored, wallets)
    _show_access(restored)
    if secret_key.of_backup(file).exists():
        click.echo(f"Its key, {secret_key.of_backup(file)}, was taken along.")
    _show_lost_secrets(restored, secret_key.of_backup(file))
    click.echo("Webhooks that waited when the copy was made are sent again; receivers tell by webhook-id.")


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
        click.echo("These API keys work again, also if you revoked them since (crypto-checkout keys revoke):")
        for key in restored.active_keys:
            click.echo(f"  {key}")


def _show_lost_secrets(restored: "RestoreResult", key: Path) -> None:
    """Say what has to be made anew because the key that it is encrypted with isn't here."""
    lost = restored.lost_secrets
    if not lost.endpoints and not lost.second_factor:
        return
    click.echo("The key of this copy isn't here (secret.key), so some of its secrets can't be read any more:")
    for url in lost.endpoints:
        click.echo(
            f"  Webhook endpoint {url}: it is switched off. Rotate its secret, enable it, and replay what it missed."
        )
    if lost.second_factor:
        click.echo(
            "  The second factor: sign in with a recovery code, or run crypto-checkout admin reset-password. Then set "
            "your app up again."
        )
    click.echo(f"If you have the key, restore again with it beside the copy, as {key}, before you start the server.")


def _show_next_addresses(restored: "RestoreResult", names: dict[str, str]) -> None:
    for wallet in restored.wallets:
        name = names.get(wallet.wallet_id, f"Wallet {wallet.wallet_id}")
        why = "where the records here end" if wallet.is_known else "well past what may have been given out since"
        click.echo(f"{name} goes on with address number {wallet.next_index}: {why}.")
