"""The shop's revenue by day and asset, in fiat at payment time, and the number of paid sessions.

Days are in UTC. A payment counts on the day of its block, for as long as it counts for its session; its worth is its
share of the session's price (`Session.fiat_minor`).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial

from crypto_checkout.core.errors import DatabaseFailed
from crypto_checkout.core.moments import Clock
from crypto_checkout.log import get_logger
from crypto_checkout.store.checkout import sessions
from crypto_checkout.store.checkout import totals as store
from crypto_checkout.store.checkout.totals import MoneyIn, SessionsPerDay
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.refunds import refunds as refund_store

log = get_logger("totals")

_SESSIONS_AT_ONCE = 200
_RETRY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Overview:
    """A range of days: revenue by day, chain, asset and currency, and the sessions made on each day.

    Days without either are left out.
    """

    first: date
    last: date
    money_in: tuple[MoneyIn, ...]
    made: tuple[SessionsPerDay, ...]
    refunded: Mapping[str, int] = field(default_factory=dict)
    """The part of the paid refunds that had counted as revenue, by currency, in its smallest unit."""
    earlier: tuple[MoneyIn, ...] = ()
    """The revenue of the days just before, where it was asked for."""

    def taken(self, currency: str, first: date, last: date) -> int:
        """Return the revenue in a currency of some days, in its smallest unit; those before the range count too."""
        return sum(
            each.fiat_minor
            for each in (*self.earlier, *self.money_in)
            if each.currency == currency and first <= each.day <= last
        )

    @property
    def created(self) -> int:
        """The number of sessions made."""
        return sum(day.created for day in self.made)

    @property
    def paid(self) -> int:
        """The number of these sessions that are paid now."""
        return sum(day.paid for day in self.made)


class Totals:
    """The totals of both modes."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def today(self) -> date:
        """Return today's date, in UTC."""
        return self._clock().date()

    async def overview(self, livemode: bool, first: date, last: date, *, since: date | None = None) -> Overview:
        """Return the totals of a range of days, the first and last included.

        With `since`, the revenue from that day on is read too, to compare with.
        """
        begin = first if since is None else min(first, since)

        def read(unit: ReadUnit) -> Overview:
            money = store.money_in(unit, livemode, begin, last)
            return Overview(
                first,
                last,
                money_in=tuple(each for each in money if each.day >= first),
                made=tuple(store.sessions_per_day(unit, livemode, first, last)),
                refunded=_refunded(unit, livemode, first, last),
                earlier=tuple(each for each in money if each.day < first),
            )

        return await self._db.read(read)

    async def catch_up(self) -> None:
        """Add payments recorded before totals existed, in small parts in the background."""
        counted = 0
        while (added := await self._add_some()) != 0:
            if added is None:
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                counted += added
        if counted:
            log.info("old payments were added to the totals", sessions=counted)

    async def _add_some(self) -> int | None:
        """Add those of some sessions, and return their number; None if the database failed."""
        try:
            waiting = await self._db.read(partial(store.untallied, limit=_SESSIONS_AT_ONCE))
            if waiting:
                await self._db.write(partial(_count, session_ids=waiting))
        except DatabaseFailed:
            return None
        return len(waiting)


def _refunded(unit: ReadUnit, livemode: bool, first: date, last: date) -> Mapping[str, int]:
    refunds = refund_store.paid_between(unit, livemode, first, last)
    owners = sessions.by_ids(unit, {each.session_id for each in refunds})
    found: dict[str, int] = {}
    for refund in refunds:
        session = owners[refund.session_id]
        currency = session.fiat.currency
        found[currency] = found.get(currency, 0) + session.fiat_minor(refund.counted_units)
    return found


def _count(unit: WriteUnit, session_ids: Sequence[str]) -> None:
    for session_id in session_ids:
        session = sessions.get(unit, session_id)
        assert session is not None, "sessions are never deleted"
        store.tally(unit, session)
