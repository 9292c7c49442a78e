"""Send alerts: gather the issues every minute, and send each channel those that it hasn't been sent.

Nothing here can hold up a payment: the loop reads by indexes, writes only changes, and sends outside of transactions.
Alerts are sent even if the database can't be written; the sent ones are then remembered in memory only.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from crypto_checkout.core.alerts import alerts
from crypto_checkout.core.alerts.alerts import Alert
from crypto_checkout.core.alerts.issues import SERVER_KINDS, IssueKind
from crypto_checkout.core.errors import DatabaseFailed, MessageNotSent
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.shop import Shop
from crypto_checkout.log import get_logger
from crypto_checkout.services.alerts.channels import Channel
from crypto_checkout.services.alerts.issues import IssueList, Issues
from crypto_checkout.services.loops import every, not_cut_off
from crypto_checkout.store.alerts import alerts as store
from crypto_checkout.store.database import Database, ReadUnit

log = get_logger("alarms")

_EVERY_SECONDS = 60.0
_TRY_PRICES_EVERY = timedelta(minutes=5)
_FIRST_PAUSE = timedelta(minutes=1)
_LONGEST_PAUSE = timedelta(hours=1)


@dataclass(slots=True)
class _ChannelState:
    """A channel's failures since it last succeeded, and the time from which it may be used again."""

    failures: int = 0
    free_at: datetime | None = None


class Notifier:
    """The loop that sends alerts; without channels it only tries the prices, for the dashboard.

    Args:
        db: remembers the alerts that were sent.
        issues: the issues to report.
        channels: the channels to send on.
        modes: the modes whose issues are reported, as values of `livemode`.
        every: the least time between two messages on a channel; alerts in between are collected.
        shop: named in the messages.
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
        self._states = {channel.name: _ChannelState() for channel in channels}
        self._prices_at: datetime | None = None
        self._woken = asyncio.Event()
        db.faults.on_damage(self._woken.set)

    async def run(self) -> None:
        """Take a turn now and every minute, until cancelled; this may begin again, after another process's turns."""
        self._alerts = None
        await every(_EVERY_SECONDS, self.turn, log=log, failure="alarms could not be looked after", woken=self._woken)

    async def turn(self) -> None:
        """Gather the issues, send the alerts that are due, and store the changes."""
        await self._try_prices()
        if not self._channels:
            return
        known = await self._load() if self._alerts is None else self._alerts
        found = [await self._gather(livemode) for livemode in self._modes]
        self._alerts = alerts.observe(
            known,
            [issue for each in found for issue in each.issues],
            unknown=frozenset(kind for each in found for kind in each.cut),
            channels=[*self._states],
            now=self._clock(),
        )
        await not_cut_off(self._notify())

    async def _load(self) -> Mapping[str, Alert]:
        """Read the alerts that were sent before the loop began."""
        self._stored, sent_at = await self._db.read(_stored)
        for name, state in self._states.items():
            state.free_at = sent_at[name] + self._every if name in sent_at else None
        return self._stored

    async def _try_prices(self) -> None:
        now = self._clock()
        if self._prices_at is None or abs(now - self._prices_at) >= _TRY_PRICES_EVERY:
            self._prices_at = now
            await self._issues.try_prices()

    async def _gather(self, livemode: bool) -> IssueList:
        try:
            return await self._issues.gather(livemode)
        except Exception as error:  # noqa: BLE001 - unreadable tables must not silence the server's own  # a loop's boundary
            if not isinstance(error, DatabaseFailed):  # the database logs its failures itself
                log.warning("what needs a person can't be read", error=str(error))
            return IssueList(tuple(await self._issues.of_server(livemode)), frozenset(IssueKind) - SERVER_KINDS)

    async def _notify(self) -> None:
        """Send what is due, and store what was sent."""
        used = await asyncio.gather(*(self._send(channel) for channel in self._channels))
        await self._save([name for name in used if name is not None])

    async def _send(self, channel: Channel) -> str | None:
        """Send the alerts that are due on a channel; return its name if a message was sent."""
        assert self._alerts is not None, "loaded before"
        now, state = self._clock(), self._states[channel.name]
        if state.free_at is not None and now < state.free_at <= now + max(self._every, _LONGEST_PAUSE):
            return None
        digest = alerts.due(self._alerts.values(), channel.name, now)
        if not digest:
            return None
        message = alerts.message(digest, self._shop, now)
        try:
            await channel.send(message)
        except MessageNotSent as error:
            state.failures += 1
            state.free_at = now + min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(state.failures - 1, 10))
            log.warning("an alert could not be sent", channel=channel.name, error=str(error))
            return None
        state.failures, state.free_at = 0, now + self._every
        self._alerts = alerts.mark_notified(self._alerts, digest, channel.name)
        log.info("alert sent", channel=channel.name, alarms=len(digest.raised), cleared=len(digest.cleared))
        return channel.name

    async def _save(self, used: Sequence[str]) -> None:
        """Store the alerts that changed and the channels used, if any. A failed write is repeated by the next turn."""
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


def _stored(unit: ReadUnit) -> tuple[Mapping[str, Alert], Mapping[str, datetime]]:
    return store.by_cause(unit), store.last_sent(unit)


def _is_same(alert: Alert, stored: Alert | None) -> bool:
    """Tell whether an alert needs no storing: its words may change with each turn and don't count."""
    return stored is not None and (alert.notified, alert.gone_at) == (stored.notified, stored.gone_at)
