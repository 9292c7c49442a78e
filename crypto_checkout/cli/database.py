"""`crypto-checkout database`: copy all data to another place, or use one again that was left."""

import secrets
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crypto_checkout.cli.support import progress
from crypto_checkout.cli.support.options import Options
from crypto_checkout.cli.support.setup import (
    apply_migrations,
    fail,
    fail_while_served,
    load_config,
    or_fail,
    require_database,
    shown_place,
    this_program,
    warn_of_seen_password,
)

if TYPE_CHECKING:
    from crypto_checkout.config import Config
    from crypto_checkout.store.moving.copying import CopyResult
    from crypto_checkout.store.place import DatabaseServer

_SCHEMES = ("postgresql://", "postgres://")
_TO = "CHECKOUT_COPY_TO"


@click.group("database")
def database() -> None:
    """Move the database to another place."""


@database.command(short_help="Copy all data to another place, such as a PostgreSQL server.")
@click.option(
    "--to",
    metavar="URL|FILE",
    envvar=_TO,
    help="The place to copy to: postgresql://…, or the path of a new file. "
    f"A URL with a password is better in ${_TO}, which other users of this machine don't see.",
)
@click.option(
    "--to-url-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The file that has the URL to copy to.",
)
@click.pass_obj
def copy(options: Options, *, to: str | None, to_url_file: Path | None) -> None:
    """Copy the configured database to an empty place, compare the two, and mark the old one as moved.

    The server must be stopped. A copy that was interrupted goes on where it ended, if the same command is given again.
    Afterwards name the new place in the configuration, and start the server; it doesn't start on the old one.
    """
    warn_of_seen_password("to", to, f"Better: --to-url-file, ${_TO}, or leave it out, for $PGPASSWORD or ~/.pgpass.")
    config = load_config(options)
    target = _target(config, to, to_url_file)
    require_database(config)
    result = or_fail(config, lambda: _copy(config, target))
    click.echo(
        f"{result.rows:,} rows of {len(result.tables)} tables are now in {_shown(target)}, compared one by one: both "
        f"have the digest {result.digest}."
    )
    _show_next(config, target)


@database.command()
@click.pass_obj
def reopen(options: Options) -> None:
    """Let a database be served again that was moved to another place.

    Everything since the move is missing in it: sessions, payments, revoked keys. It passes over many addresses, which
    the other place may have given out. Stop that one first.
    """
    import asyncio

    from crypto_checkout import log
    from crypto_checkout.app.clock import system_clock
    from crypto_checkout.app.urls import place
    from crypto_checkout.store.database import Database
    from crypto_checkout.store.moving import mark

    config = load_config(options)
    require_database(config)
    or_fail(config, lambda: apply_migrations(config))
    log.silence()

    async def run() -> bool:
        async with await Database.open(place(config), system_clock) as db:
            return await db.write(lambda unit: mark.reopen(unit, secrets.token_hex(8)))

    if not or_fail(config, lambda: asyncio.run(run())):
        click.echo(f"{shown_place(config)} was not moved: nothing is to be done.")
        return
    click.echo(
        f"{shown_place(config)} can be served again. What came since it was moved is not in it. At the next start many "
        "addresses are passed over, as after a restore."
    )


def _target(config: "Config", to: str | None, url_file: Path | None) -> "Path | DatabaseServer":
    """Return the place to copy to; end the command if it can't be one."""
    from crypto_checkout.store.place import DatabaseServer, refuse_without_driver

    if url_file is not None:
        to = url_file.read_text("utf-8").strip()
    if not to:
        raise click.UsageError(f"Name the place to copy to: --to, --to-url-file, or ${_TO}.")
    if not to.startswith(_SCHEMES):
        if not config.database.url:
            fail("Both places are files. Copy one with `crypto-checkout backup`, or move its folder as it is.")
        return Path(to)
    server = DatabaseServer(to, config.database.path.resolve().parent)
    if to == config.database.url:
        fail(f"{server} is the database itself: name another place.")
    or_fail(config, lambda: refuse_without_driver(server))
    return server


def _copy(config: "Config", target: "Path | DatabaseServer") -> "CopyResult":
    from crypto_checkout.app.clock import system_clock
    from crypto_checkout.app.urls import place
    from crypto_checkout.core.errors import FolderInUse
    from crypto_checkout.store import migrate
    from crypto_checkout.store.data_folder.lock import FolderLock
    from crypto_checkout.store.moving import copying, folders

    apply_migrations(config)
    source, folder = place(config), config.database.path.resolve().parent
    with ExitStack() as stack:
        try:
            stack.enter_context(FolderLock(folder))
        except FolderInUse:
            fail_while_served(config, "copy again")
        if isinstance(target, Path):
            stack.enter_context(folders.brought(folder, target.resolve().parent))
        copying.refuse_foreign(target)
        opened = stack.enter_context(copying.opened(source))
        migrate.migrate(target)
        arriving = stack.enter_context(copying.opened(target))
        report = stack.enter_context(progress.shown(""))
        return copying.copy(opened, arriving, system_clock(), report, lambda text: click.echo(text, err=True))


def _shown(place: "Path | DatabaseServer") -> str:
    return str(place.absolute() if isinstance(place, Path) else place)


def _show_next(config: "Config", target: "Path | DatabaseServer") -> None:
    """Say what to do now."""
    left, start = shown_place(config), f"and start the server: {this_program()} serve"
    if isinstance(target, Path):
        folder = target.resolve().parent
        name = f'[database] path = "{target.absolute()}", without url or url_file,'
        click.echo(f"Its secret.key and the records of addresses that were given out are beside it, in {folder}.")
    else:
        folder = target.folder
        name = "that URL as [database] url (or in $CHECKOUT__DATABASE__URL, or url_file)"
        click.echo(
            f"secret.key and the records of addresses that were given out stay in {folder}: keep that folder, and "
            "[database] path as it is."
        )
    click.echo(f"{left} is marked as moved, and no server starts on it. Keep it until you no longer need it.")
    click.echo(f"Next, configure {name} {start}")
