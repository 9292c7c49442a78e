"""What everything is made of: passed on while wiring, and never further."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from crypto_checkout.config import Config
from crypto_checkout.core.moments import Clock
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.database import Database
from crypto_checkout.webhooks.networks import Reach


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that most others need; what is pushed on `stack` is closed at the end, the last first."""

    config: Config
    stack: AsyncExitStack
    db: Database
    events: Outbox
    clock: Clock


def webhook_reach(config: Config) -> Reach:
    """Return which networks webhooks may go to: without a configuration file this machine, too."""
    if config.webhooks.allow_private_networks:
        return Reach.ANY
    return Reach.LOOPBACK if config.local_only else Reach.PUBLIC
