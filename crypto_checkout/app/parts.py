"""The parts that most wiring needs; they are passed along while wiring, and never into a service."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from crypto_checkout.config import Config
from crypto_checkout.core.moments import Clock
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.database import Database


@dataclass(frozen=True, slots=True)
class Parts:
    """The configuration and the opened resources; `stack` closes at the end, the last entry first."""

    config: Config
    stack: AsyncExitStack
    db: Database
    events: Outbox
    clock: Clock
