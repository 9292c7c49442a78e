"""Shared steps of commands: read the configuration, open the database, and fail with a sentence, not a traceback."""

import asyncio
import contextlib
import json
import os
import re
import shlex
import shutil
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from crypto_checkout.app.clock import system_clock
from crypto_checkout.cli.support.options import Options
from crypto_checkout.program import is_one_file

if TYPE_CHECKING:
    from crypto_checkout.config import Config
    from crypto_checkout.store.database import Database
    from crypto_checkout.store.migrate import Migration

T = TypeVar("T")

INVALID_CONFIGURATION = 2

_PASSWORD = re.compile(r"^[a-z0-9+.-]+://([^/?#@:]*:[^/?#@]+@|.*[?&](password|secret[a-z-]*)=)", re.IGNORECASE)
"""A URL with a password of its user, or with one among its parameters."""


def load_config(options: Options, *, root_may: bool = False) -> "Config":
    """Read the configuration, or print every mistake and end with exit code 2."""
    from crypto_checkout.config import ConfigInvalid, find_file, load

    file = find_file(options.config_path, options.environ)
    if not root_may:
        refuse_root(file)
    try:
        return load(file, options.environ)
    except ConfigInvalid as error:
        click.echo(str(error), err=True)
        if file is not None and file.exists() and not os.access(file, os.R_OK):
            click.echo(permission_advice(file), err=True)
        sys.exit(INVALID_CONFIGURATION)


def refuse_root(file: Path | None) -> None:
    """Refuse to run as root beside the installed server: what root writes there is closed to the server's user."""
    from crypto_checkout.cli.install.places import CONFIG, USER

    if os.geteuid() == 0 and file is not None and file.absolute() == CONFIG:
        command = " ".join(click.get_current_context().command_path.split()[1:])
        fail(
            "What root writes into the server's folder is closed to the server. Run this as its user: "
            f"sudo -u {USER} {this_program()} {command} …"
        )


def with_database(options: Options, work: "Callable[[Database], Awaitable[T]]") -> T:
    """Run work on the database of the configuration, which a server may be using; fail with a sentence without one."""
    from crypto_checkout import log
    from crypto_checkout.app.urls import place
    from crypto_checkout.store.database import Database
    from crypto_checkout.store.moving import mark

    config = load_config(options)
    log.silence()

    async def run() -> T:
        async with await Database.open(place(config), system_clock) as db:
            await db.read(mark.refuse_left)
            return await work(db)

    require_database(config)

    def migrate_and_run() -> T:
        apply_migrations(config)
        return asyncio.run(run())

    return or_fail(config, migrate_and_run)


def apply_migrations(config: "Config") -> "list[Migration]":
    """Apply pending migrations and return them; never under a running server, which doesn't know the new tables.

    Raises as `store.migrate.migrate` does.
    """
    from crypto_checkout.app.urls import place
    from crypto_checkout.core.errors import FolderInUse
    from crypto_checkout.store import migrate
    from crypto_checkout.store.data_folder.lock import FolderLock

    database = place(config)
    if not migrate.pending(database):
        return []
    try:
        with FolderLock(config.database.path.resolve().parent):
            return migrate.migrate(database)
    except FolderInUse:
        fail_while_served(config, "run this again: the database needs an update")


def fail_while_served(config: "Config", then: str) -> NoReturn:
    """Fail with how to stop the server first: as a service, or the process that serves."""
    from crypto_checkout.cli.install.places import CONFIG, UNIT, USER

    pid = (config.database.path.resolve().parent / "lock").read_text("ascii").strip()
    if config.path is not None and config.path.absolute() == CONFIG and UNIT.exists():
        stop = f"it (sudo systemctl stop {USER})"
        then += f". Start it when that is done (sudo systemctl start {USER})"
    else:
        stop = f"process {pid} (kill {pid})" if pid else "the server"
    fail(f"{shown_place(config)} is being served. Stop {stop} first, then {then}.")


def or_fail(config: "Config", work: Callable[[], T]) -> T:
    """Return the result of the work, or turn its error into a sentence."""
    from crypto_checkout.core.errors import CheckoutError, DatabaseFailed, FatalError

    try:
        return work()
    except BrokenPipeError:
        raise  # who reads the output has heard enough: no fault of the storage
    except (FatalError, CheckoutError) as error:
        fail(str(error))
    except (DatabaseFailed, sqlite3.Error, OSError) as error:
        fail(storage_failure(config, error))


def storage_failure(config: "Config", error: Exception) -> str:
    """Return a failure of the storage as sentences: the place, the cause, and what to do."""
    from crypto_checkout.store.faults import advice

    path = config.database.path
    if config.database.url and not isinstance(error, OSError):
        from crypto_checkout.store.postgresql import faults

        return f"{shown_place(config)} can't be used: {faults.explained(error.__cause__ or error)}"
    if isinstance(error, OSError):
        return f"{error.filename or path} can't be used: {error.strerror or error}. {advice(error, path.absolute())}"
    return f"{path} can't be used: {error.__cause__ or error}. {advice(error, path.absolute())}"


def permission_advice(path: Path) -> str:
    """Return what to do where this user may not read or write a path."""
    from crypto_checkout.store.faults import way_of_the_owner

    return way_of_the_owner(path.absolute()) or f"Give user {os.geteuid()} the right to read and write it."


def require_database(config: "Config") -> None:
    """Fail where the configured database doesn't exist: in a wrong folder, a new one would only look like success.

    What remains of a lost one is left to whoever opens it, and says so.
    """
    from crypto_checkout.store.migrate import log_of_emptied

    if or_fail(config, lambda: has_database(config)) or log_of_emptied(config.database.path) is not None:
        return
    command = " ".join(click.get_current_context().command_path.split()[1:])
    fail(
        f"There is no database at {shown_place(config)}. Run this in the folder of your server, or name its "
        f"configuration: {this_program()} --config FILE {command}. Starting a server creates one: "
        f"{this_program()} serve."
    )


def has_database(config: "Config") -> bool:
    """Tell whether the configured database exists: a file, or a server's with tables. Raises DatabaseFailed."""
    from crypto_checkout.app.urls import place

    database = place(config)
    if isinstance(database, Path):
        return database.exists()
    from crypto_checkout.store.postgresql import schema

    return not schema.is_empty(database)


def require_file(config: "Config", instead: str) -> None:
    """Fail where the database is a server's, with what to do instead."""
    if config.database.url:
        fail(f"{shown_place(config)} is a PostgreSQL database: {instead}")


def chain_names(config: "Config") -> dict[int, str]:
    """Return the names of the configured chains and of the sandbox, by id."""
    from crypto_checkout.chain.sandbox.chain import CHAIN_ID, NAME

    return {CHAIN_ID: NAME, **{each.id: each.name for each in config.chains}}


def shown_place(config: "Config") -> str:
    """Return the place of the configured database, without secrets."""
    from crypto_checkout.app.urls import shown

    return shown(config)


def show_place(config: "Config") -> None:
    """Name the database that a list is from, beside the list: in a wrong folder it is another one."""
    click.echo(f"In {shown_place(config)}.", err=True)


def this_program() -> str:
    """Return the command that starts this program from here: its name if the shell finds it, else its path."""
    if shutil.which("crypto-checkout"):
        return "crypto-checkout"
    path = Path(sys.executable if is_one_file() else sys.argv[0])
    if path.name != "crypto-checkout" and not is_one_file():
        return f"{shlex.quote(sys.executable)} -m crypto_checkout"
    with contextlib.suppress(ValueError):
        path = path.absolute().relative_to(Path.cwd())
    return shlex.quote(str(path) if len(path.parts) > 1 else f"./{path}")


def warn_of_seen_password(parameter: str, url: str | None, instead: str) -> None:
    """Warn where a URL on the command line has a password: every user of the machine sees it there, with `ps`."""
    from click.core import ParameterSource

    source = click.get_current_context().get_parameter_source(parameter)
    if source is ParameterSource.COMMANDLINE and url and _PASSWORD.search(url):
        click.echo(f"Every user of this machine can read the password in this command (ps). {instead}", err=True)


def fail(sentence: str) -> NoReturn:
    """End the command with a sentence and exit code 1."""
    raise click.ClickException(sentence)


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))
