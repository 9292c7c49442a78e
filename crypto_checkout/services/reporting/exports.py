"""Payments, unmatched payments, collected amounts and refunds for accounting, as a stream of CSV or JSON.

An export is of any size, in constant memory, and has every payment recorded before it began. It is read in small parts,
each in a snapshot of its own: a payment that the chain takes back meanwhile appears in the state it has when its part
is read.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from crypto_checkout.core.assets import Asset
from crypto_checkout.core.public import exports
from crypto_checkout.core.public.exports import (
    BOM,
    COLLECTED_COLUMNS,
    COLUMNS,
    REFUND_COLUMNS,
    UNMATCHED_COLUMNS,
    ExportEntry,
    Row,
    UnmatchedEntry,
)
from crypto_checkout.store.checkout import sessions
from crypto_checkout.store.collect import collections
from crypto_checkout.store.collect.collections import CollectedFrom
from crypto_checkout.store.database import Database, ReadUnit
from crypto_checkout.store.ledger import cursors
from crypto_checkout.store.refunds import refunds as refund_store
from crypto_checkout.store.reporting import exports as store
from crypto_checkout.store.reporting.exports import ExportedPayment, ExportedUnmatched, ExportStretch

_AT_ONCE = 250
"""The number of payments in a part: about 30 ms of work, so that no other reader waits long."""

_COLLECTIONS_AT_ONCE = 10
"""Likewise for collections, each of a hundred amounts perhaps."""


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


@dataclass(frozen=True, slots=True)
class Layout:
    """The look of an export: `bom` puts a byte order mark in front of CSV, `metadata_keys` are columns of it."""

    format: Format
    bom: bool = False
    metadata_keys: tuple[str, ...] = ()


@dataclass(slots=True)
class _ExportPart:
    """Some rows with the `seq` of the last."""

    rows: list[Row]
    last_seq: int


class Exports:
    """The exports of both modes; `chain_names` are the chains' names by their ids, `assets` those configured."""

    def __init__(self, db: Database, chain_names: Mapping[int, str], assets: Iterable[Asset]) -> None:
        self._db = db
        self._chain_names = chain_names
        self._assets = {(asset.chain_id, asset.contract): asset for asset in assets}

    async def payments(self, livemode: bool, period: Period, layout: Layout) -> AsyncIterator[bytes]:
        """Yield the payments of a mode in the order in which they were recorded, UTF-8, in parts.

        A reader that stops early leaves nothing behind.
        """
        until = await self._db.read(lambda unit: store.last_seq(unit, livemode))

        def read(unit: ReadUnit, after: int) -> _ExportPart:
            return self._payments(unit, livemode, period, _stretch(period, after, until))

        async for text in self._stream(COLUMNS, layout, until, read):
            yield text

    async def unmatched(self, livemode: bool, period: Period, layout: Layout) -> AsyncIterator[bytes]:
        """Yield the unmatched payments of a mode as `payments` does."""
        until = await self._db.read(store.last_unmatched_seq)

        def read(unit: ReadUnit, after: int) -> _ExportPart:
            return self._unmatched(unit, livemode, period, _stretch(period, after, until))

        async for text in self._stream(UNMATCHED_COLUMNS, layout, until, read):
            yield text

    async def collected(self, livemode: bool, period: Period, layout: Layout) -> AsyncIterator[bytes]:
        """Yield the amounts that were collected in a mode, as `payments` does."""
        until = await self._db.read(lambda unit: collections.last_seq(unit, livemode))

        def read(unit: ReadUnit, after: int) -> _ExportPart:
            stretch = replace(_stretch(period, after, until), limit=_COLLECTIONS_AT_ONCE)
            found = store.collected_part(unit, livemode, stretch)
            rows = [
                row
                for each in found
                for row in exports.collected_rows(
                    each.collection,
                    each.sessions,
                    self._chain_names.get(each.collection.chain_id, ""),
                    period.zone,
                    period.zone_name,
                )
            ]
            return _ExportPart(rows, found[-1].seq if found else until)

        async for text in self._stream(COLLECTED_COLUMNS, layout, until, read):
            yield text

    async def refunds(self, livemode: bool, period: Period, layout: Layout) -> AsyncIterator[bytes]:
        """Yield the paid refunds of a mode as `payments` does; the period is that of their payment."""
        until = await self._db.read(lambda unit: refund_store.last_seq(unit, livemode))

        def read(unit: ReadUnit, after: int) -> _ExportPart:
            return self._refunds(unit, livemode, period, (after, until))

        async for text in self._stream(REFUND_COLUMNS, layout, until, read):
            yield text

    async def _stream(
        self, columns: Sequence[str], layout: Layout, until: int, read: Callable[[ReadUnit, int], _ExportPart]
    ) -> AsyncIterator[bytes]:
        is_json = layout.format is Format.JSON
        head = "[\n" if is_json else exports.csv_head(columns, layout.metadata_keys)
        yield ((BOM if layout.bom and not is_json else "") + head).encode()
        after, is_first = 0, True
        while after < until:
            # Formatted on the reader's thread too, so that the event loop only passes it on.
            text, after = await self._db.read(lambda unit: _formatted(read(unit, after), columns, layout))  # noqa: B023
            if not text:
                break
            # JSON objects need a comma between them; lines of CSV have their own ends.
            comma = ",\n" if is_json and not is_first else ""
            yield (comma + text).encode()
            is_first = False
        yield ("\n]\n" if is_json else "").encode()

    def _payments(self, unit: ReadUnit, livemode: bool, period: Period, stretch: ExportStretch) -> _ExportPart:
        found = store.part(unit, livemode, stretch)
        tips = {chain_id: cursors.tip(unit, chain_id) for chain_id in {each.session.asset.chain_id for each in found}}
        taken = collections.from_addresses(unit, {each.session.address for each in found})
        rows = [
            exports.row(
                ExportEntry(
                    each.session,
                    each.payment,
                    tips[chain_id],
                    self._chain_names.get(chain_id, ""),
                    _collection_of(each, taken),
                ),
                period.zone,
                period.zone_name,
            )
            for each in found
            for chain_id in (each.session.asset.chain_id,)
        ]
        return _ExportPart(rows, found[-1].seq if found else stretch.until)

    def _unmatched(self, unit: ReadUnit, livemode: bool, period: Period, stretch: ExportStretch) -> _ExportPart:
        found = store.unmatched_part(unit, livemode, stretch)
        rows = [exports.unmatched_row(self._unmatched_entry(each), period.zone, period.zone_name) for each in found]
        return _ExportPart(rows, found[-1].seq if found else stretch.until)

    def _refunds(self, unit: ReadUnit, livemode: bool, period: Period, between: tuple[int, int]) -> _ExportPart:
        found = refund_store.paid_part(unit, livemode, between, (period.since, period.before), _AT_ONCE)
        owners = sessions.by_ids(unit, {refund.session_id for _, refund in found})
        rows = [
            exports.refund_row(
                refund,
                owners[refund.session_id],
                self._chain_names.get(refund.asset.chain_id, ""),
                period.zone,
                period.zone_name,
            )
            for _, refund in found
        ]
        return _ExportPart(rows, found[-1][0] if found else between[1])

    def _unmatched_entry(self, each: ExportedUnmatched) -> UnmatchedEntry:
        owner, found = each.session, each.unmatched
        return UnmatchedEntry(
            session=owner,
            payment=found.payment,
            chain_id=found.chain_id,
            chain_name=self._chain_names.get(found.chain_id, ""),
            asset=self._assets.get((found.chain_id, found.payment.transfer.contract)),
            address_index=found.derivation_index if owner is None else owner.derivation_index,
            address_path=found.path if owner is None else owner.address_path,
        )


def _collection_of(exported: ExportedPayment, taken: Sequence[CollectedFrom]) -> str | None:
    """Return the first collection of a payment's asset from its address since; None for a payment taken back."""
    transfer, chain_id = exported.payment.transfer, exported.session.asset.chain_id
    since = (
        each.collection_id
        for each in taken
        if (each.address, each.chain_id, each.contract) == (transfer.to, chain_id, transfer.contract)
        and each.block_number >= transfer.block_number
    )
    return next(since, None) if exported.payment.canonical else None


@cache
def zones() -> frozenset[str]:
    """Return the names of all known time zones."""
    return frozenset(available_timezones())


def _stretch(period: Period, after: int, until: int) -> ExportStretch:
    return ExportStretch(after, until, period.since, period.before, _AT_ONCE)


def _formatted(part: _ExportPart, columns: Sequence[str], layout: Layout) -> tuple[str, int]:
    if layout.format is Format.JSON:
        text = ",\n".join(exports.json_object(row) for row in part.rows)
    else:
        text = "".join(exports.csv_row(row, columns, layout.metadata_keys) for row in part.rows)
    return text, part.last_seq


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
