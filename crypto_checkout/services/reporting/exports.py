"""Payments for accounting, as a stream of CSV or JSON: any size, in constant memory, while the server goes on writing.

An export contains every payment recorded before it began. It is read in small parts, each in a snapshot of its own, so
a payment that the chain takes back meanwhile appears in the state it has when its part is read.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from crypto_checkout.core.public import exports
from crypto_checkout.core.public.exports import BOM, COLUMNS, ExportEntry
from crypto_checkout.store.database import Database, ReadUnit
from crypto_checkout.store.ledger import cursors
from crypto_checkout.store.reporting import exports as store

_AT_ONCE = 250
"""The number of payments in a part: about 30 ms of work, so that no other reader waits long."""


class Format(StrEnum):
    """The format of an export."""

    CSV = "csv"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Period:
    """Payments in blocks from `since` on and before `before`; None leaves an end open. `zone` is for local times."""

    since: datetime | None = None
    before: datetime | None = None
    zone: tzinfo = UTC
    zone_name: str = "UTC"

    @classmethod
    def of_days(cls, first: date | None, last: date | None, zone_name: str) -> "Period":
        """Return the period of some days, the first and last included, in one of the `zones`.

        Raises ValueError for days in the wrong order or at the end of time.
        """
        if first is not None and last is not None and last < first:
            raise ValueError(f"the last day, {last}, is before the first, {first}")
        zone = ZoneInfo(zone_name)
        try:
            return cls(
                since=None if first is None else _midnight(first, zone),
                before=None if last is None else _midnight(last + timedelta(days=1), zone),
                zone=zone,
                zone_name=zone_name,
            )
        except OverflowError:
            raise ValueError("a day within the years 2 to 9998 is wanted") from None


@dataclass(slots=True)
class _ExportPart:
    """Some payments as text, with their number and the `seq` of the last."""

    text: str
    count: int
    last_seq: int


class Exports:
    """The exports of both modes; `chain_names` are the chains' names by their ids."""

    def __init__(self, db: Database, chain_names: Mapping[int, str]) -> None:
        self._db = db
        self._chain_names = chain_names

    async def payments(
        self, livemode: bool, period: Period, file_format: Format, *, bom: bool = False
    ) -> AsyncIterator[bytes]:
        """Yield the payments of a mode in the order in which they were recorded, UTF-8, in parts.

        `bom` puts a byte order mark in front of CSV. A reader that stops early leaves nothing behind.
        """
        until = await self._db.read(lambda unit: store.last_seq(unit, livemode))
        names = self._chain_names
        yield _head(file_format, bom=bom).encode()
        after, is_first = 0, True
        while after < until:
            part = await self._db.read(lambda unit: _read(unit, livemode, period, file_format, names, (after, until)))  # noqa: B023
            if not part.count:
                break
            # JSON objects need a comma between them; lines of CSV have their own ends.
            comma = ",\n" if file_format is Format.JSON and not is_first else ""
            yield (comma + part.text).encode()
            after, is_first = part.last_seq, False
        yield ("\n]\n" if file_format is Format.JSON else "").encode()


@cache
def zones() -> frozenset[str]:
    """Return the names of all known time zones."""
    return frozenset(available_timezones())


def _head(file_format: Format, *, bom: bool) -> str:
    if file_format is Format.JSON:
        return "[\n"
    return (BOM if bom else "") + exports.csv_line(COLUMNS)


def _read(
    unit: ReadUnit,
    livemode: bool,
    period: Period,
    file_format: Format,
    names: Mapping[int, str],
    between: tuple[int, int],
) -> _ExportPart:
    """Read a part and format it, both on the reader's thread, so that the event loop only passes it on."""
    after, until = between
    found = store.part(
        unit, livemode, after=after, until=until, since=period.since, before=period.before, limit=_AT_ONCE
    )
    tips = {chain_id: cursors.tip(unit, chain_id) for chain_id in {each.session.asset.chain_id for each in found}}
    rows = [
        exports.row(
            ExportEntry(each.session, each.payment, tips[chain_id], names.get(chain_id, "")),
            period.zone,
            period.zone_name,
        )
        for each in found
        for chain_id in (each.session.asset.chain_id,)
    ]
    if file_format is Format.JSON:
        text = ",\n".join(exports.json_object(row) for row in rows)
    else:
        text = "".join(exports.csv_line([row[column] for column in COLUMNS]) for row in rows)
    return _ExportPart(text, len(found), found[-1].seq if found else until)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
