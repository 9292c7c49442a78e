"""What commands share: read the configuration, open the database, and end with a sentence instead of a traceback."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
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


def with_database(options: Options, work: "Callable[[Database], Awaitable[T]]") -> T:
    """Run work over the database of the configuration, which may be served at the same time; make it if missing."""
    from crypto_checkout.core.errors import CheckoutError, DatabaseFailed, FatalError
    from crypto_checkout.store.database import Database
    from crypto_checkout.store.migrate import migrate

    config = load_config(options)

    async def run() -> T:
        from crypto_checkout.app import system_clock

        async with await Database.open(config.database.path, system_clock) as db:
            return await work(db)

    try:
        migrate(config.database.path)
        return asyncio.run(run())
    except (FatalError, CheckoutError, DatabaseFailed) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{config.database.path} can't be opened: {error.strerror or error}.")


def fail(sentence: str) -> NoReturn:
    """End with a sentence and exit code 1."""
    raise click.ClickException(sentence)


def print_json(value: Any) -> None:
    """Print a value for programs."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))
