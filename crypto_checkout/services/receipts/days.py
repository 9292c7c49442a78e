"""Have one mail a day tell the owner of its payments: a row in the outbox at the hour, written when it is sent.

A day ends at that hour in the shop's time zone, and begins where the last one ended, so that nothing falls between two
mails, however long the server was off.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from crypto_checkout.core.moments import Clock
from crypto_checkout.core.receipts import notices
from crypto_checkout.core.receipts.mail import Mail, MailKind, MailStatus, MailText
from crypto_checkout.core.receipts.notices import DayReport
from crypto_checkout.core.shop import Shop
from crypto_checkout.log import get_logger
from crypto_checkout.services.loops import every
from crypto_checkout.store.checkout import sessions
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.receipts import mails, receipts

log = get_logger("mail")

_EVERY_SECONDS = 60.0
_MOST = 10_000


class DailyMail:
    """The loop that makes the daily mails of some modes, and the writer of their text.

    `issues` returns the sentences of a mode's open issues, `wake` wakes the sender.
    """

    def __init__(
        self,
        db: Database,
        *,
        recipients: Sequence[str],
        modes: Sequence[bool],
        hour: int,
        zone_name: str,
        shop: Shop,
        issues: Callable[[bool], Awaitable[Sequence[str]]],
        wake: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._db = db
        self._recipients = recipients
        self._modes = modes
        self._hour = hour
        self._zone_name = zone_name
        self._zone = ZoneInfo(zone_name)
        self._shop = shop
        self._issues = issues
        self._wake = wake
        self._clock = clock

    async def run(self) -> None:
        """Look every minute, until cancelled."""
        if self._modes and self._recipients:
            await every(_EVERY_SECONDS, self.turn, log=log, failure="the daily mail could not be made")

    async def turn(self) -> None:
        """Put the mail of the day that has ended into the outbox, unless it is there. The first day only begins one."""
        day = self._last_day()

        def add(unit: WriteUnit) -> None:
            for livemode in self._modes:
                if mails.find(unit, MailKind.DAY, livemode, day.isoformat()) is not None:
                    continue
                is_first = mails.last_day_before(unit, livemode, day.isoformat()) is None
                status = MailStatus.EMPTY if is_first else MailStatus.PENDING
                recipients = ",".join(self._recipients)
                mails.add(
                    unit, Mail(livemode, MailKind.DAY, day.isoformat(), recipients, unit.now, unit.now, status=status)
                )
                unit.after_commit(self._wake)

        known = await self._db.read(lambda unit: all(self._has(unit, each, day) for each in self._modes))
        if not known:
            await self._db.write(add)

    async def write(self, mail: Mail) -> MailText | None:
        """Write the mail of a day; None where nothing was paid and nothing needs attention."""
        until = self._end(date.fromisoformat(mail.subject_id))

        issues = await self._issues(mail.livemode)

        def read(unit: ReadUnit) -> DayReport:
            earlier = mails.last_day_before(unit, mail.livemode, mail.subject_id)
            since = until - timedelta(days=1) if earlier is None else self._end(date.fromisoformat(earlier))
            issued = receipts.issued_between(unit, mail.livemode, since, until, _MOST + 1)
            found = sessions.by_ids(unit, [each.session_id for each in issued[:_MOST]])
            return DayReport(
                mail.livemode,
                since.astimezone(self._zone),
                until.astimezone(self._zone),
                self._zone_name,
                [(each, found[each.session_id]) for each in issued[:_MOST]],
                more=len(issued) > _MOST,
                issues=issues,
            )

        report = await self._db.read(read)
        return notices.day(report, self._shop) if report else None

    @staticmethod
    def _has(unit: ReadUnit, livemode: bool, day: date) -> bool:
        return mails.find(unit, MailKind.DAY, livemode, day.isoformat()) is not None

    def _last_day(self) -> date:
        local = self._clock().astimezone(self._zone)
        return local.date() if local.hour >= self._hour else local.date() - timedelta(days=1)

    def _end(self, day: date) -> datetime:
        return datetime.combine(day, time(self._hour), self._zone).astimezone(UTC)
