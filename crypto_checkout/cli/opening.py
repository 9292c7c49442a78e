"""What commands share: read the configuration, open the database, and end with a sentence instead of a traceback."""

import asyncio
import contextlib
import json
import shlex
import shutil
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from .options import Options

if TYPE_CHECKING:
    from crypto_checkout.config import Config
    from crypto_checkout.store.database import Database

T = TypeVar("T")

INVALID_CONFIGURATION = 2


def load_config(options: Options) -> "Config":
    """Read the configuration, or print every mistake and end with exit code 2."""
    from crypto_checkout.config import ConfigInvalid, find_file, load

    try:
        return load(find_file(options.config_path, options.environ), options.environ)
    except ConfigInvalid as error:
        click.echo(str(error), err=True)
        sys.exit(INVALID_CONFIGURATION)


def with_database(
    options: Options, work: "Callable[[Database], Awaitable[T]]", *, make: bool = False, otherwise: "T | None" = None
) -> T:
    """Run work over the database of the configuration, which may be served at the same time.

    Where there is none, `make` has it made; else `otherwise` is the answer, or the command ends with a sentence.
    """
    from crypto_checkout.store.database import Database
    from crypto_checkout.store.migrate import migrate

    config = load_config(options)

    async def run() -> T:
        async with await Database.open(config.database.path, lambda: datetime.now(UTC)) as db:
            return await work(db)

    if not make and not config.database.path.exists():
        if otherwise is not None:
            return otherwise
        fail_without_database(config)

    def migrated() -> T:
        migrate(config.database.path)
        return asyncio.run(run())

    return or_sentence(config, migrated)


def or_sentence(config: "Config", work: Callable[[], T]) -> T:
    """Return what the work returns, or end with a sentence where it can't be done."""
    from crypto_checkout.core.errors import CheckoutError, DatabaseFailed, FatalError

    try:
        return work()
    except (FatalError, CheckoutError, DatabaseFailed) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or config.database.path} can't be opened: {error.strerror or error}.")


def fail_without_database(config: "Config") -> NoReturn:
    """Say that there is no database where the configuration has it."""
    fail(
        f"There is no database at {config.database.path.absolute()}. Run this in the server's folder, or name its "
        "configuration with --config FILE."
    )


def this_program() -> str:
    """Return how a person calls this program from here: by its name where the shell finds it, else by its path."""
    if shutil.which("crypto-checkout"):
        return "crypto-checkout"
    path = Path(sys.argv[0])
    if path.name != "crypto-checkout":
        return f"{shlex.quote(sys.executable)} -m crypto_checkout"
    with contextlib.suppress(ValueError):
        path = path.absolute().relative_to(Path.cwd())
    return shlex.quote(str(path))


def fail(sentence: str) -> NoReturn:
    """End with a sentence and exit code 1."""
    raise click.ClickException(sentence)


def print_json(value: Any) -> None:
    """Print a value for programs."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))
