"""`crypto-checkout backup` and `backups`: make backups and list them; `cli.restore` restores them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crypto_checkout.cli.support import tables
from crypto_checkout.cli.support.options import Options, json_option
from crypto_checkout.cli.support.setup import (
    fail,
    load_config,
    or_fail,
    print_json,
    require_database,
    require_file,
    storage_failure,
    this_program,
)
from crypto_checkout.core.sizes import size

if TYPE_CHECKING:
    from crypto_checkout.config import Config
    from crypto_checkout.store.age_files import Encryption
    from crypto_checkout.store.backups.folder import BackupFile
    from crypto_checkout.store.data_folder.snapshot import Snapshot

_INSTEAD = "back it up with pg_dump, or its own archive, and keep secret.key beside that."


@click.command(short_help="Make a backup; the server can keep running.")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@click.option("--with-key", is_flag=True, help="Also copy secret.key, as FILE.secret.key.")
@click.option(
    "--encrypt-to",
    "recipients",
    multiple=True,
    metavar="AGE1…",
    help="Encrypt to a public key of age instead of what [backup] says; several can follow.",
)
@click.pass_obj
def backup(options: Options, *, file: Path | None, force: bool, with_key: bool, recipients: tuple[str, ...]) -> None:
    """Copy the database to FILE, or into the backup folder without one; the server can keep running.

    It contains your customers' addresses: keep it as safe as the database, or encrypt it ([backup]). Its webhook
    secrets and the second factor's secret are encrypted with the file secret.key beside the database: keep a copy of
    that elsewhere. The configuration isn't included either.
    """
    from crypto_checkout.store.moving import mark

    config = load_config(options)
    require_file(config, _INSTEAD)
    require_database(config)
    or_fail(config, lambda: mark.refuse_left_file(config.database.path))
    if file is None:
        if force or with_key or recipients:
            raise click.UsageError("--force, --with-key and --encrypt-to need a FILE")
        _into_folder(config)
        return
    encryption = _encryption(config, recipients)
    if not file.absolute().parent.is_dir():
        fail(f"There is no folder {file.absolute().parent}; create it first.")
    taken = _to_file(config, file, encryption, force=force, with_key=with_key)
    click.echo(_wrote(file, is_encrypted=bool(encryption)))
    if not taken.sessions:
        click.echo(
            f"It has no payments: {config.database.path.absolute()} never had a session. If your shop had some, "
            f"this is another folder: name its configuration, {this_program()} --config FILE backup {file}"
        )
    _after_file(config, file, with_key=with_key)


def _to_file(config: "Config", file: Path, encryption: "Encryption", *, force: bool, with_key: bool) -> "Snapshot":
    from crypto_checkout.store import secret_key
    from crypto_checkout.store.backups import file as store

    def work() -> "Snapshot":
        try:
            taken = store.back_up(config.database.path, file, overwrite=force, encryption=encryption)
        except FileExistsError:
            fail(f"{file} already exists and was not changed. Choose another name, or replace it with --force.")
        if with_key:
            secret_key.copy_to_backup(config.database.path.parent, file)
        return taken

    return or_fail(config, work)


def _after_file(config: "Config", file: Path, *, with_key: bool) -> None:
    from crypto_checkout.app.clock import system_clock
    from crypto_checkout.store import secret_key
    from crypto_checkout.store.data_folder import last_backup

    if with_key:
        click.echo(f"Wrote {secret_key.of_backup(file)}, which its secrets are encrypted with: keep them apart.")
    try:
        last_backup.note(config.database.path.parent, system_clock(), file)
    except OSError as error:
        why = storage_failure(config, error)
        click.echo(f"The copy is good, but its date can't be recorded for `doctor`: {why}", err=True)


def _encryption(config: "Config", recipients: tuple[str, ...]) -> "Encryption":
    """Return to whom a file is encrypted: those named now, else those of the configuration."""
    from crypto_checkout.app.parts import backup_job
    from crypto_checkout.config.texts import age_recipient
    from crypto_checkout.store.age_files import Encryption

    if not recipients:
        return backup_job(config).encryption
    try:
        return Encryption(tuple(age_recipient(each) for each in recipients))
    except ValueError as error:
        raise click.BadParameter(f"expected {error}", param_hint="--encrypt-to") from error


def _into_folder(config: "Config") -> None:
    """Make a backup as the server does, and let it know by being there."""
    from crypto_checkout.app.clock import system_clock
    from crypto_checkout.app.parts import backup_job
    from crypto_checkout.store.backups.making import make

    made = or_fail(config, lambda: make(backup_job(config), system_clock()))
    click.echo(_wrote(made.path, is_encrypted=made.is_encrypted))
    click.echo(f"To restore it, with the server stopped: {this_program()} restore {made.name}")


def _wrote(file: Path, *, is_encrypted: bool) -> str:
    state = "checked, encrypted" if is_encrypted else "checked"
    return f"Wrote {file} ({size(file.stat().st_size)}), {state} and readable by you alone."


@click.command(short_help="List the backups in the backup folder.")
@json_option
@click.pass_obj
def backups(options: Options, *, as_json: bool) -> None:
    """List the backups in the backup folder, the newest first."""
    from crypto_checkout.store.backups.folder import listing

    config = load_config(options)
    require_file(config, _INSTEAD)
    there = or_fail(config, lambda: listing(config.backup_folder))
    if as_json:
        print_json({"object": "list", "data": [_as_json(each) for each in there]})
        return
    if there:
        rows = [_row(each) for each in there]
        click.echo("\n".join(tables.table(["NAME", "SIZE", "SESSIONS", "STATE"], rows, flexible=3)))
    else:
        click.echo(f"There are no backups yet: {this_program()} backup")
    click.echo(f"In {config.backup_folder.absolute()}.", err=True)


def _row(each: "BackupFile") -> list[str]:
    # The name tells when it was made, so that all fits into 80 columns.
    state = "checked" if each.contents else "not checked here"
    return [
        each.name,
        size(each.size_bytes),
        f"{each.contents.sessions:,}" if each.contents else "",
        f"{state}, encrypted" if each.is_encrypted else state,
    ]


def _as_json(each: "BackupFile") -> dict[str, object]:
    from crypto_checkout.core import moments

    return {
        "object": "backup",
        "name": each.name,
        "path": str(each.path.absolute()),
        "madeAt": moments.to_text(each.made_at),
        "sizeBytes": each.size_bytes,
        "sessions": each.contents.sessions if each.contents else None,
        "schema": each.contents.schema if each.contents else None,
        "verified": each.is_verified,
        "encrypted": each.is_encrypted,
    }


@click.command("backup-worker", hidden=True)
def worker() -> None:
    """Make a backup for the server that started this."""
    from crypto_checkout.store.backups import worker as store

    store.work(sys.stdin.buffer, sys.stdout.buffer)
