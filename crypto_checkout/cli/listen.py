"""`crypto-checkout listen`: forward the running instance's events to a server on the developer's own machine.

It follows the event log in the database itself, so it misses nothing while the server restarts, and needs no key.
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

from crypto_checkout.core.events import EventType

from . import tables
from .beside import clock
from .opening import fail_without_database, load_config, or_sentence
from .options import MODES, Options, mode_filter

if TYPE_CHECKING:
    from crypto_checkout.config import Config
    from crypto_checkout.services.listening import Feed, Forwarder, Told
    from crypto_checkout.webhooks.send import Outcome

_LOOK_SECONDS = 0.2
_SECRET_FILE = "listen-secret"  # noqa: S105 - a name, not a secret
_ALL = "*"


@click.command()
@click.option("--forward-to", "url", required=True, metavar="URL", help="Where to, like localhost:3000/webhooks.")
@click.option("--events", "types", multiple=True, metavar="TYPES", help="Only these types, separated by commas.")
@mode_filter
@click.option("--since", metavar="TIME", help="Begin with what happened after then: 2026-01-31T12:00:00Z.")
@click.pass_obj
def listen(options: Options, *, url: str, types: tuple[str, ...], mode: str | None, since: str | None) -> None:
    """Forward events to a server of yours, signed, as they happen.

    For development: give your server the secret that is printed, which stays the same. An event is sent again until
    something answers there. Ctrl-C ends it.
    """
    from crypto_checkout.services.listening import Feed

    config = load_config(options)
    url = _checked_url(url)
    feed = Feed(MODES[mode], _types(types))
    moment = None if since is None else _moment(since)
    if not config.database.path.exists():
        fail_without_database(config)
    or_sentence(config, lambda: asyncio.run(_until_stopped(_listen(config, feed, url, moment))))


async def _listen(config: "Config", feed: "Feed", url: str, since: datetime | None) -> None:
    from crypto_checkout.services.listening import Forwarder
    from crypto_checkout.webhooks.send import Sender

    secret = _secret(config.database.path.parent)
    screen = _Screen(url)
    # The address is the developer's own word, and usually this machine.
    async with Sender(timeout_seconds=config.webhooks.timeout_seconds, allow_private_networks=True) as sender:
        forwarder = Forwarder(sender, url, secret, clock, screen.show)
        is_first = True
        while True:
            is_first = await _follow(config.database.path, feed, forwarder, since if is_first else None, is_first)


async def _until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Run the work until Ctrl-C or SIGTERM, which are its ordinary end."""
    task = asyncio.ensure_future(work)
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
    click.echo("Stopped.")
