"""Wire webhooks: their endpoints, the dispatcher of each mode, and the merchant's tests and replays."""

import asyncio
import secrets
from collections.abc import Callable

from crypto_checkout.app.parts import Parts
from crypto_checkout.config import Config
from crypto_checkout.core import ids
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.public import examples
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.services.webhooks.deliveries import Deliveries
from crypto_checkout.services.webhooks.dispatcher import AttemptSender, Dispatcher
from crypto_checkout.services.webhooks.endpoints import Endpoints
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.database import Database
from crypto_checkout.webhooks.networks import Reach
from crypto_checkout.webhooks.send import Sender


def reach(config: Config) -> Reach:
    """Return the networks that webhooks may reach; without a configuration file, this machine too."""
    if config.webhooks.allow_private_networks:
        return Reach.ANY
    return Reach.LOOPBACK if config.local_only else Reach.PUBLIC


def sender(config: Config) -> Sender:
    """Make the sender of webhooks, to be entered."""
    return Sender(timeout_seconds=config.webhooks.timeout_seconds, reach=reach(config))


def endpoints(config: Config, db: Database, events: Outbox) -> Endpoints:
    """Wire the webhook endpoints."""
    return Endpoints(db, events, reach=reach(config))


def deliveries(
    config: Config, db: Database, sender: AttemptSender, wake: Callable[[bool], None], clock: Clock
) -> Deliveries:
    """Wire test deliveries and replays."""

    def example() -> SessionResource:
        entropy = secrets.token_bytes(ids.ENTROPY_BYTES)
        # A number could be that of a real order, and a shop that overlooks `livemode` would take it as paid.
        return {**examples.paid_session(clock(), config.server.public_url, entropy), "metadata": {"order": "test"}}

    return Deliveries(db, sender, wake, clock, example)


def dispatcher(parts: Parts, sender: AttemptSender, livemode: bool, woken: asyncio.Event) -> Dispatcher:
    """Make a mode's dispatcher; test mode gets a quarter of the concurrent attempts."""
    webhooks = parts.config.webhooks
    return Dispatcher(
        parts.db,
        sender,
        parts.events,
        woken,
        livemode=livemode,
        retry_seconds=webhooks.retry_seconds,
        concurrency=webhooks.concurrency if livemode else max(1, webhooks.concurrency // 4),
        clock=parts.clock,
    )
