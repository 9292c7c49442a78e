"""What everything is made of: passed on while wiring, and never further."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from crypto_checkout.config import Config
from crypto_checkout.core.moments import Clock
from crypto_checkout.services.events import Events
from crypto_checkout.store.database import Database


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that most others need; what is pushed on `stack` is closed at the end, the last first."""

    config: Config
    stack: AsyncExitStack
    db: Database
    events: Events
    clock: Clock
