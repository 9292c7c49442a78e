"""Tell a person what needs one: look every minute, and send each channel what it has not been told.

Nothing here can hold up a payment: the loop reads by indexes, writes only what changed, and talks to nobody within a
transaction. Where the database can't be written, alarms are sent all the same; then memory knows who was told.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from crypto_checkout.core.alerts import alerts
from crypto_checkout.core.alerts.alerts import Alert
from crypto_checkout.core.alerts.issues import IssueKind
from crypto_checkout.core.errors import AlertNotSent
from crypto_checkout.core.moments import Clock
from crypto_checkout.log import get_logger
from crypto_checkout.services.alerts.channels import Channel
from crypto_checkout.services.alerts.issues import IssueList, Issues
from crypto_checkout.services.loops import every
from crypto_checkout.store.alerts import alerts as store
from crypto_checkout.store.database import Database, ReadUnit

log = get_logger("alarms")

_LOOK_EVERY_SECONDS = 60.0
_TRY_PRICES_EVERY = timedelta(minutes=5)
_FIRST_PAUSE = timedelta(minutes=1)
_LONGEST_PAUSE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Shop:
    """How a message calls the shop, and where its dashboard is."""

    name: str
    public_url: str


@dataclass(slots=True)
class _ChannelState:
    """How a channel fares: when it was last used, how often it failed since, and when it may be used again."""

    failures: int = 0
    free_at: datetime | None = None


class Notifier:
    """The loop that sends alarms; without channels it only tries the prices, for those who look.

    Args:
        db: where it is kept who was told.
        attention: what there is to tell.
        channels: the ways to tell it.
        modes: of which modes, as values of `livemode`.
        every: how long after a message the next one waits, and collects.
        shop: for the messages.
        clock: the time.

    """

    def __init__(
        self,
        db: Database,
        issues: Issues,
        channels: Sequence[Channel],
        *,
        modes: Sequence[bool],
        every: timedelta,
        shop: Shop,
        clock: Clock,
    ) -> None:
        self._db = db
        self._issues = issues
        self._channels = channels
        self._modes = modes
        self._every = every
        self._shop = shop
        self._clock = clock
        self._alerts: Mapping[str, Alert] | None = None
        self._stored: Mapping[str, Alert] = {}
        self._lines = {channel.name: _ChannelState() for channel in channels}
        self._prices_at: datetime | None = None

    async def run(self) -> None:
        """Look now and every minute, until cancelled."""
        await every(_LOOK_EVERY_SECONDS, self.turn, log=log, failure="alarms could not be looked after")

    async def turn(self) -> None:
        """Look once, tell what is due, and store what changed."""
        await self._try_prices()
        if not self._channels:
            return
        known = await self._load() if self._alerts is None else self._alerts
        found = [await self._look(livemode) for livemode in self._modes]
        self._alerts = alerts.observe(
            known,
            [issue for each in found for issue in each.issues],
            unknown=frozenset(kind for each in found for kind in each.cut),
            channels=[*self._lines],
            now=self._clock(),
        )
        used = await asyncio.gather(*(self._tell(channel) for channel in self._channels))
        await self._save([name for name in used if name is not None])

    async def _load(self) -> Mapping[str, Alert]:
        """Read what was told before the last restart."""
        self._stored, sent_at = await self._db.read(_stored)
        for name, line in self._lines.items():
            line.free_at = sent_at[name] + self._every if name in sent_at else None
        return self._stored

    async def _try_prices(self) -> None:
        now = self._clock()
        if self._prices_at is None or abs(now - self._prices_at) >= _TRY_PRICES_EVERY:
            self._prices_at = now
            await self._issues.try_prices()

    async def _look(self, livemode: bool) -> IssueList:
        try:
            return await self._issues.found(livemode)
        except Exception as error:  # noqa: BLE001 - unreadable tables must not silence the rest  # a loop's boundary
            log.warning("what needs a person can't be read", error=str(error))
            return IssueList(tuple(await self._issues.of_server(livemode)), frozenset(IssueKind) - _SERVER_KINDS)

    async def _tell(self, channel: Channel) -> str | None:
        """Send a channel what is due to it; return its name if it was used."""
        assert self._alerts is not None, "loaded before"
        now, line = self._clock(), self._lines[channel.name]
        if line.free_at is not None and now < line.free_at <= now + max(self._every, _LONGEST_PAUSE):
            return None
        digest = alerts.due(self._alerts.values(), channel.name, now)
        if not digest:
            return None
        message = alerts.message(digest, shop=self._shop.name, public_url=self._shop.public_url, now=now)
        try:
            await channel.send(message)
        except AlertNotSent as error:
            line.failures += 1
            line.free_at = now + min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(line.failures - 1, 10))
            log.warning("an alert could not be sent", channel=channel.name, error=str(error))
            return None
        line.failures, line.free_at = 0, now + self._every
        self._alerts = alerts.mark_told(self._alerts, digest, channel.name)
        log.info("alert sent", channel=channel.name, alarms=len(digest.raised), cleared=len(digest.cleared))
        return channel.name

    async def _save(self, used: Sequence[str]) -> None:
        """Store what changed; without a change nothing is written. What fails is tried again with the next turn."""
        assert self._alerts is not None, "loaded before"
        current = self._alerts
        changed: dict[str, Alert | None] = {
            cause: alert for cause, alert in current.items() if not _is_same(alert, self._stored.get(cause))
        }
        changed |= {cause: None for cause in self._stored if cause not in current}
        if changed or used:
            sent_at = dict.fromkeys(used, self._clock())
            await self._db.write(lambda unit: store.save(unit, changed, sent_at))
            self._stored = current


_SERVER_KINDS = frozenset({IssueKind.CHAIN, IssueKind.PROVIDER, IssueKind.PRICE, IssueKind.DATABASE, IssueKind.DISK})


async def try_channels(channels: Sequence[Channel], shop: Shop, clock: Clock) -> dict[str, str | None]:
    """Send a test on each channel; return what was wrong with each by its name, None where it went well."""
    message = alerts.trial(shop=shop.name, public_url=shop.public_url, now=clock())

    async def attempt(channel: Channel) -> str | None:
        try:
            await channel.send(message)
        except AlertNotSent as error:
            return str(error)
        return None

    answers = await asyncio.gather(*(attempt(channel) for channel in channels))
    return {channel.name: answer for channel, answer in zip(channels, answers, strict=True)}


def _stored(unit: ReadUnit) -> tuple[Mapping[str, Alert], Mapping[str, datetime]]:
    return store.by_cause(unit), store.last_sent(unit)


def _is_same(alert: Alert, stored: Alert | None) -> bool:
    """Tell whether storing an alarm again would tell anything new: its words may change with each look."""
    return stored is not None and (alert.told, alert.gone_at) == (stored.told, stored.gone_at)
