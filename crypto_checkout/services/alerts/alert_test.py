"""A test alert on request, to everyone who would get a real one."""

from collections.abc import Sequence
from dataclasses import dataclass

from crypto_checkout.core.moments import Clock
from crypto_checkout.core.shop import Shop
from crypto_checkout.services.alerts.channels import Channel
from crypto_checkout.services.alerts.notifier import try_channels


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
        problems = await try_channels(self._channels, self._shop, self._clock)
        return [AlertOutcome(name, target, problems[name]) for name, target in self.targets]
