"""A test alert on request, to everyone who would get a real one."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from crypto_checkout.core.alerts import alerts
from crypto_checkout.core.alerts.alerts import Message
from crypto_checkout.core.errors import MessageNotSent
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.shop import Shop
from crypto_checkout.services.alerts.channels import Channel


@dataclass(frozen=True, slots=True)
class AlertOutcome:
    """The outcome of a test on one channel; `problem` is None if it was taken."""

    channel: str
    target: str
    problem: str | None


class AlertTest:
    """Sends test alerts on the configured channels."""

    def __init__(self, channels: Sequence[Channel], shop: Shop, clock: Clock) -> None:
        self._channels = channels
        self._shop = shop
        self._clock = clock

    @property
    def targets(self) -> list[tuple[str, str]]:
        """The channels by name, each with its receivers."""
        return [(each.name, each.target) for each in self._channels]

    async def send(self) -> list[AlertOutcome]:
        """Send a test on each channel, and return the outcomes."""
        message = alerts.sample_message(self._shop, self._clock())
        return await asyncio.gather(*(_attempt(each, message) for each in self._channels))


async def _attempt(channel: Channel, message: Message) -> AlertOutcome:
    problem = None
    try:
        await channel.send(message)
    except MessageNotSent as error:
        problem = str(error)
    return AlertOutcome(channel.name, channel.target, problem)
