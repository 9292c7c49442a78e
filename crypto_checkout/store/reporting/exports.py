"""Payments and unmatched payments with their sessions, read in parts for exports of any size."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.core.checkout.session import Session
from crypto_checkout.core.collect.collection import Collection
from crypto_checkout.core.ledger.payment import Payment
from crypto_checkout.store.checkout import sessions
from crypto_checkout.store.collect import collections
from crypto_checkout.store.database import ReadUnit, Row
from crypto_checkout.store.ledger import payments, unmatched
from crypto_checkout.store.ledger.unmatched import UnmatchedPayment


@dataclass(frozen=True, slots=True)
class ExportedPayment:
    """A payment with its `seq` and its session."""

    seq: int
    session: Session
    payment: Payment


@dataclass(frozen=True, slots=True)
class ExportedUnmatched:
    """An unmatched payment with its `seq`, and the session that has its address, if any has."""

    seq: int
    session: Session | None
    unmatched: UnmatchedPayment


@dataclass(frozen=True, slots=True)
class ExportedCollection:
    """A collection with its `seq`, and sessions by their ids, those of its addresses among them."""

    seq: int
    collection: Collection
    sessions: Mapping[str, Session]


@dataclass(frozen=True, slots=True)
class ExportStretch:
    """At most `limit` rows with a `seq` beyond `after` up to `until`, in blocks from `since` on and before `before`."""

    after: int
    until: int
    since: datetime | None
    before: datetime | None
    limit: int


def last_seq(unit: ReadUnit, livemode: bool) -> int:
    """Return the `seq` of a mode's newest payment, 0 if there is none."""
    row = unit.one("SELECT MAX(seq) AS last FROM payments WHERE livemode = :livemode", {"livemode": int(livemode)})
    return int(row["last"] or 0) if row else 0


def last_unmatched_seq(unit: ReadUnit) -> int:
    """Return the `seq` of the newest unmatched payment of both modes, 0 if there is none."""
    row = unit.one("SELECT MAX(seq) AS last FROM unmatched_payments", {})
    return int(row["last"] or 0) if row else 0


def part(unit: ReadUnit, livemode: bool, stretch: ExportStretch) -> list[ExportedPayment]:
    """Return payments of a mode in the order of their recording."""
    rows = _rows(unit, livemode, stretch, f"SELECT seq, session_id, {payments.COLUMNS} FROM payments")  # noqa: S608 - constants
    owners = sessions.by_ids(unit, {row["session_id"] for row in rows})
    return [_recorded(row, owners[row["session_id"]]) for row in rows]


def unmatched_part(unit: ReadUnit, livemode: bool, stretch: ExportStretch) -> list[ExportedUnmatched]:
    """Return unmatched payments of a mode in the order of their recording."""
    rows = _rows(unit, livemode, stretch, unmatched.SELECT)
    owners = sessions.by_ids(unit, {row["session_id"] for row in rows if row["session_id"]})
    return [ExportedUnmatched(row["seq"], owners.get(row["session_id"]), unmatched.read(row)) for row in rows]


def collected_part(unit: ReadUnit, livemode: bool, stretch: ExportStretch) -> list[ExportedCollection]:
    """Return collections of a mode in the order of their recording."""
    rows = _rows(unit, livemode, stretch, collections.SELECT)
    found = [(row["seq"], collections.read(row)) for row in rows]
    owners = sessions.by_ids(unit, {item.session_id for _, each in found for item in each.items if item.session_id})
    return [ExportedCollection(seq, each, owners) for seq, each in found]


def _rows(unit: ReadUnit, livemode: bool, stretch: ExportStretch, select: str) -> list[Row]:
    bounds = {
        "since": moments.to_optional_text(stretch.since),
        "before": moments.to_optional_text(stretch.before),
    }
    conditions = {"since": "AND block_time >= :since", "before": "AND block_time < :before"}
    clauses = " ".join(conditions[name] for name, value in bounds.items() if value is not None)
    return unit.all(
        f"{select} WHERE livemode = :livemode AND seq > :after AND seq <= :until {clauses} ORDER BY seq LIMIT :limit",
        {
            "livemode": int(livemode),
            "after": stretch.after,
            "until": stretch.until,
            "limit": stretch.limit,
            **bounds,
        },
    )


def _recorded(row: Row, owner: Session) -> ExportedPayment:
    return ExportedPayment(row["seq"], owner, payments.read(row, owner.address))
