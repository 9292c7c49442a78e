"""`crypto-checkout listen`: forward the running server's events to a server on the developer's own machine.

The event log is read from the database itself, so nothing is missed while the server restarts, and no key is needed.
"""

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import Coroutine
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crypto_checkout.app.clock import system_clock
from crypto_checkout.cli.support import tables
from crypto_checkout.cli.support.options import MODES, Options, event_types, mode_filter, since_option
from crypto_checkout.cli.support.setup import load_config, or_fail, require_database, this_program

if TYPE_CHECKING:
    from crypto_checkout.config import Config
    from crypto_checkout.services.webhooks.forwarder import EventFeed, ForwardedEvent, Forwarder
    from crypto_checkout.store.place import DatabaseServer
    from crypto_checkout.webhooks.send import AttemptOutcome

_POLL_SECONDS = 0.2
_SECRET_FILE = "listen-secret"  # noqa: S105 - a name, not a secret
_ALL = "*"


@click.command()
@click.option(
    "--forward-to", "url", required=True, metavar="URL", help="The target, for example localhost:3000/webhooks."
)
@click.option("--events", "types", multiple=True, metavar="TYPES", help="Only these types, separated by commas.")
@mode_filter
@since_option("Start with events after this time")
@click.pass_obj
def listen(options: Options, *, url: str, types: tuple[str, ...], mode: str | None, since: datetime | None) -> None:
    """Forward events to your own server as they happen.

    For development: configure your server with the printed secret, which stays the same. An event is sent again until
    your server responds. Ctrl-C stops it.
    """
    from crypto_checkout.services.webhooks.forwarder import EventFeed

    config = load_config(options)
    url = _parse_url(url)
    feed = EventFeed(MODES[mode], _types(types))
    require_database(config)
    or_fail(config, lambda: asyncio.run(_until_stopped(_listen(config, feed, url, since))))


async def _listen(config: "Config", feed: "EventFeed", url: str, since: datetime | None) -> None:
    from crypto_checkout.app.urls import place
    from crypto_checkout.services.webhooks.forwarder import Forwarder
    from crypto_checkout.store.data_folder import server_notes
    from crypto_checkout.store.database import Database
    from crypto_checkout.webhooks.networks import Reach
    from crypto_checkout.webhooks.send import Sender

    path, database = config.database.path, place(config)
    secret = _secret(path.parent)
    screen = _Screen(url)
    # The developer chose the address, which is usually this machine.
    async with Sender(timeout_seconds=config.webhooks.timeout_seconds, reach=Reach.ANY) as sender:
        forwarder = Forwarder(sender, url, secret, system_clock, screen.show)
        async with await Database.open(database, system_clock) as db:
            await feed.begin(db, since)
        screen.greet(secret)
        if server_notes.url(path.parent) is None:
            screen.miss_server(path)
        while True:
            await _follow(database, feed, forwarder)


async def _follow(database: "Path | DatabaseServer", feed: "EventFeed", forwarder: "Forwarder") -> None:
    """Forward events until another database takes this one's place; wait a moment while there is none."""
    from crypto_checkout.store.database import Database

    file = _identity(database)
    if file is None:
        await asyncio.sleep(_POLL_SECONDS)
        return
    async with await Database.open(database, system_clock) as db:
        while _identity(database) == file:
            for event in await feed.read(db):
                await forwarder.forward(event)
            await asyncio.sleep(_POLL_SECONDS)


def _identity(database: "Path | DatabaseServer") -> tuple[int, int] | None:
    """Return the identity of the file behind a path, None if there is no file; a server's database stays the same."""
    if not isinstance(database, Path):
        return 0, 0
    try:
        status = database.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


async def _until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Run the work until Ctrl-C or SIGTERM, which end it normally."""
    task = asyncio.ensure_future(work)
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
    click.echo("Stopped.")


class _Screen:
    """The output for the developer."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._waits_for: str | None = None

    def greet(self, secret: str) -> None:
        """Show the URL that events go to, and the secret that they are signed with."""
        click.echo(
            f"Events go to {self._url}, signed with\n\n  {secret}\n\n"
            "The secret stays the same; configure your server with it. Ctrl-C stops this.\n"
        )

    def miss_server(self, path: Path) -> None:
        """Say that no server runs: in a wrong folder none ever will."""
        click.echo(
            f"No server is running on {path.absolute()}. Start it: {this_program()} serve. Or name the configuration "
            f"of the one you mean: {this_program()} --config FILE listen …\n"
        )

    def show(self, event: "ForwardedEvent", outcome: "AttemptOutcome", again: bool) -> None:
        """Show an attempt in a line; of attempts without an answer, only the first."""
        if again and self._waits_for == event.id:
            return
        self._waits_for = event.id if again else None
        line = f"{system_clock().astimezone():%H:%M:%S %Z}  {tables.mode(event.livemode)}  {event.type:<25}  {event.id}"
        click.echo(f"{line}  {_result(outcome, again=again)}")


def _result(outcome: "AttemptOutcome", *, again: bool) -> str:
    if again:
        return f"{(outcome.detail or '').rstrip('.')}; trying again"
    if outcome.status_code is None:
        return f"{(outcome.detail or '').rstrip('.')}; not sent again"
    return f"{outcome.status_code}  {outcome.duration_ms} ms"


def _secret(folder: Path) -> str:
    """Return the signing secret: made at the first run, and the same from then on."""
    from crypto_checkout.webhooks import signing

    path = folder / _SECRET_FILE
    with contextlib.suppress(FileNotFoundError):
        return path.read_text("ascii").strip()
    secret = signing.new_secret(secrets.token_bytes(signing.ENTROPY_BYTES))
    with open(path, "x", encoding="ascii", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(f"{secret}\n")
    return secret


# --- options ---------------------------------------------------------------------------------------------------------


def _parse_url(text: str) -> str:
    from crypto_checkout.webhooks.guard import parse_url

    url = text if "://" in text else f"http://{text}"
    try:
        parse_url(url)
    except ValueError as error:
        raise click.UsageError(f"--forward-to: {error}") from None
    return url


def _types(texts: tuple[str, ...]) -> frozenset[str] | None:
    """Return the selected types, None for all."""
    selected = frozenset(each.strip() for text in texts for each in text.split(",") if each.strip())
    unknown = sorted(selected - {*event_types(), _ALL})
    if unknown:
        known = ", ".join(event_types())
        raise click.UsageError(f'--events: there is no type "{unknown[0][:40]}". There are {known}.')
    return None if not selected or _ALL in selected else selected
