"""Tell the merchant that a process can't reach its database server: while none can, nobody leads who would send alerts.

Every process does so by itself, because without the database they don't know of each other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from crypto_checkout.core.alerts import alerts, issues
from crypto_checkout.core.alerts.alerts import Alert, Digest
from crypto_checkout.core.alerts.issues import IssueKind
from crypto_checkout.core.errors import MessageNotSent
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.shop import Shop
from crypto_checkout.log import get_logger
from crypto_checkout.services.alerts.channels import Channel
from crypto_checkout.services.ledger.health import Readiness
from crypto_checkout.services.loops import every

log = get_logger("alarms")

_EVERY_SECONDS = 10.0
_PATIENCE = timedelta(minutes=1)
_ADVICE = (
    "No payment is lost, but none is credited and no webhook is sent until it is back. Check that its server runs, has "
    "room and can be reached from there, or promote the standby. The process goes on by itself, without a restart."
)


@dataclass(slots=True)
class _Outage:
    """An outage: when it began, since when it is over, and the channels that know of it."""

    since: datetime
    over_since: datetime | None = None
    is_logged: bool = False
    told: frozenset[str] = frozenset()


class OutageAlert:
    """The loop of each process on a server's database that tells of its outage once, and once when it is over.

    `process` names this process in the messages.
    """

    def __init__(
        self, readiness: Readiness, channels: Sequence[Channel], shop: Shop, clock: Clock, *, process: str
    ) -> None:
        self._readiness = readiness
        self._channels = channels
        self._shop = shop
        self._clock = clock
        self._process = process
        self._outage: _Outage | None = None

    async def run(self) -> None:
        """Look every few seconds, until cancelled."""
        await every(_EVERY_SECONDS, self.turn, log=log, failure="an outage of the database could not be told")

    async def turn(self) -> None:
        """Look whether the database takes writes, and send what is due; what a channel refuses is tried again."""
        checks = await self._readiness.checks()
        problem = next(check.problem for check in checks if check.name == "database")
        now = self._clock()
        if problem is not None:
            self._outage = self._outage or _Outage(now)
            self._outage.over_since = None
            if abs(now - self._outage.since) >= _PATIENCE:
                await self._tell(self._outage, now)
        elif self._outage is not None:
            self._outage.over_since = self._outage.over_since or now
            if not self._outage.is_logged or abs(now - self._outage.over_since) >= _PATIENCE:
                await self._tell_end(self._outage, now)

    async def _tell(self, outage: _Outage, now: datetime) -> None:
        if not outage.is_logged:
            outage.is_logged = True
            log.critical(
                "the database has been out of reach for a minute. Nothing is credited or sent until it is back: check "
                "that its server runs and can be reached from here"
            )
        outage.told |= await self._sent(outage, now, lambda channel: channel.name not in outage.told, is_over=False)

    async def _tell_end(self, outage: _Outage, now: datetime) -> None:
        if outage.is_logged:
            outage.is_logged = False
            log.info("the database can be reached again")
        outage.told -= await self._sent(outage, now, lambda channel: channel.name in outage.told, is_over=True)
        if not outage.told:
            self._outage = None

    async def _sent(
        self, outage: _Outage, now: datetime, concerns: Callable[[Channel], bool], *, is_over: bool
    ) -> frozenset[str]:
        """Send a message on the channels that it concerns; return the names of those that took it."""
        words = f"{self._process} can't reach its database, or it takes no writes."
        issue = issues.of_server(IssueKind.DATABASE, self._process, words, outage.since, livemode=None, advice=_ADVICE)
        alert = (Alert(issue, outage.since),)
        message = alerts.message(Digest((), alert) if is_over else Digest(alert, ()), self._shop, now)
        took = set()
        for channel in self._channels:
            if concerns(channel):
                try:
                    await channel.send(message)
                except MessageNotSent as error:
                    log.warning("an alert could not be sent", channel=channel.name, error=str(error))
                else:
                    took.add(channel.name)
        return frozenset(took)
