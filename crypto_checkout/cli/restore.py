"""`crypto-checkout restore`: replace the database with a backup or a replica; `cli.backups` makes backups."""

import os
import secrets
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crypto_checkout.cli.support import tables
from crypto_checkout.cli.support.options import Options
from crypto_checkout.cli.support.setup import (
    fail,
    fail_while_served,
    load_config,
    or_fail,
    require_file,
    this_program,
    warn_of_seen_password,
)

if TYPE_CHECKING:
    from crypto_checkout.config import Config
    from crypto_checkout.store.age_files import Key
    from crypto_checkout.store.data_folder.restore import RestoreResult


@click.command(short_help="Restore the database from a backup or a replica.")
@click.argument("backup", metavar="NAME|FILE", required=False)
@click.option(
    "--from-replica",
    "replica",
    metavar="SOURCE",
    help="Restore the newest state of a Litestream replica instead: its URL (sftp://…, s3://…), its folder, or "
    "Litestream's configuration file.",
)
@click.option(
    "--identity",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The identity file of age (AGE-SECRET-KEY-1…) for an encrypted backup.",
)
@click.option(
    "--skip",
    type=click.IntRange(0, 1_000_000),
    metavar="N",
    help="Skip N addresses if nothing here records how many were given out since the backup. Default: 1000 or more.",
)
@click.pass_obj
def restore(
    options: Options, *, backup: str | None, replica: str | None, identity: Path | None, skip: int | None
) -> None:
    """Replace the database with a backup or a replica; the replaced one is kept beside it.

    Give the NAME of one in the backup folder (crypto-checkout backups lists them), "latest", or a FILE. The
    passphrase of an encrypted one is asked for. The server and Litestream must be stopped. Addresses given out after
    the backup are not given out again. A FILE.secret.key beside it is restored too (backup --with-key); the key of a
    replica is the secret.key in the data folder. Without it some secrets must be created anew: they are listed.
    """
    from crypto_checkout import litestream
    from crypto_checkout.app.clock import system_clock
    from crypto_checkout.app.wallets import names
    from crypto_checkout.core.errors import FolderInUse
    from crypto_checkout.store import secret_key
    from crypto_checkout.store.data_folder import restore as store
    from crypto_checkout.store.data_folder.lock import FolderLock
    from crypto_checkout.store.data_folder.skipping import LEAST_FROM_REPLICA, LEAST_SKIPPED, Skip

    if (backup is None) == (replica is None):
        raise click.UsageError("Name either a backup, or the replica: --from-replica SOURCE.")
    config = _config_of_a_file(options, replica)
    wallets, database = names(config), config.database.path.resolve()
    file = None if backup is None else _named(config, backup)

    def work() -> "RestoreResult":
        with ExitStack() as stack:
            try:
                stack.enter_context(FolderLock(database.parent))
            except FolderInUse:
                fail_while_served(config, "restore again")
            copy = file or stack.enter_context(litestream.fetched(replica or "", database))
            key = _key_to(config, copy, identity)
            least = LEAST_SKIPPED if file else LEAST_FROM_REPLICA
            passing = Skip(system_clock(), secrets.randbelow, skip, least)
            return store.restore(copy, config.database.path, wallets, passing, secrets.token_hex(8), key)

    restored = or_fail(config, work)
    source = file or f"the replica {litestream.without_password(replica or '')}"
    newest = f", as of {tables.moment(restored.newest)}" if restored.newest else ""
    click.echo(f"{config.database.path.absolute()} is now restored from {source}{newest}.")
    if restored.kept is not None:
        click.echo(f"The previous database is kept as {restored.kept}.")
    _show_next_addresses(restored, wallets)
    _show_access(restored)
    if file is not None and secret_key.of_backup(file).exists():
        click.echo(f"Its key, {secret_key.of_backup(file)}, was restored too.")
    _show_lost_secrets(restored, secret_key.path(database.parent) if file is None else secret_key.of_backup(file))
    click.echo(
        "Webhooks that were waiting at the time of the backup are sent again; receivers know them by webhook-id."
    )


def _config_of_a_file(options: Options, replica: str | None) -> "Config":
    warn_of_seen_password("replica", replica, "Better: Litestream's configuration file as SOURCE, or a key of SSH.")
    config = load_config(options)
    require_file(config, "restore it with its own tools (pg_restore, or to a moment in time), and start the server.")
    return config


def _named(config: "Config", name: str) -> Path:
    """Return the file that is meant: one at that path, else one of that name in the backup folder."""
    from crypto_checkout.app.clock import system_clock
    from crypto_checkout.store.backups import folder

    # Path.is_file() raises in a folder that is closed to this user, such as somebody's home.
    if os.path.isfile(file := Path(name)):  # noqa: PTH113
        return file
    found = or_fail(config, lambda: folder.find(config.backup_folder, name, system_clock()))
    if found is None:
        there = f"neither a file {file.absolute()} nor a backup of that name in {config.backup_folder.absolute()}"
        what = "no checked backup" if name == folder.LATEST else there
        where = f" in {config.backup_folder.absolute()}" if name == folder.LATEST else ""
        fail(f"There is {what}{where}. To list the backups, run: {this_program()} backups")
    return found.path


def _key_to(config: "Config", file: Path, identity: Path | None) -> "Key | None":
    """Return the key to a backup: the identity, or a passphrase, which is asked for; None if it isn't encrypted."""
    from crypto_checkout.store import age_files

    if not age_files.is_encrypted(file):
        if identity is not None:
            fail(f"{file} isn't encrypted: restore it without --identity.")
        return None
    if age_files.needs_passphrase(file):
        if identity is not None:
            fail(f"{file} is encrypted with a passphrase: restore it without --identity.")
        return age_files.Key(
            passphrase=config.backup.passphrase or click.prompt("Passphrase", hide_input=True, err=True)
        )
    if identity is None:
        fail(f"{file} is encrypted: name the file with the identity (AGE-SECRET-KEY-1…), --identity FILE.")
    return age_files.Key(identities=identity.read_text("utf-8"))


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
    click.echo(f"If you have the key, put it there as {key}, and restore again before you start the server.")


def _show_next_addresses(restored: "RestoreResult", names: dict[str, str]) -> None:
    for wallet in restored.wallets:
        name = names.get(wallet.wallet_id, f"Wallet {wallet.wallet_id}")
        why = "where the records here end" if wallet.is_known else "well past what may have been given out since"
        click.echo(f"{name} continues with address number {wallet.next_index}: {why}.")
