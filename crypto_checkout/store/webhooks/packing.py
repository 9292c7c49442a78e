"""The place up to which the bodies of events are packed, and the parts in which the rest of them is.

New events are written as text: their deliveries and readers want them at once, and packing takes longer than writing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.store.database import ReadUnit, WriteUnit


@dataclass(frozen=True, slots=True)
class PlainBody:
    """The body of an event that isn't packed."""

    seq: int
    text: str


@dataclass(frozen=True, slots=True)
class PackedBody:
    """The packed body of an event."""

    seq: int
    data: bytes


def plain_bodies(unit: ReadUnit, before: datetime, limit: int) -> list[PlainBody]:
    """Return the next bodies to pack, up to `limit`, in the order of their events and none of `before` or later.

    An event that is dated after `now`, by a clock that was ahead, is as old as the one before it.
    """
    rows = unit.all(
        """
        SELECT seq, created_at, body FROM events
        WHERE seq > (SELECT done_seq FROM event_packing) AND packed IS NULL
        ORDER BY seq
        LIMIT :limit
        """,
        {"limit": limit},
    )
    found, recent = [], moments.to_text(before)
    for row in rows:
        if recent <= row["created_at"] <= unit.now_text:
            break
        found.append(PlainBody(row["seq"], row["body"]))
    return found


def store_packed(unit: WriteUnit, bodies: Sequence[PackedBody], done_seq: int) -> None:
    """Store packed bodies in place of their texts, and that all events up to `done_seq` are done.

    Events that were deleted meanwhile stay deleted. Repeating is safe.
    """
    # Rows that shrink where they are leave their pages half empty for good: SQLite joins pages only where rows leave.
    # So these leave for numbers below zero, and come back into as few pages as they need now. References to them are
    # whole again before anybody looks.
    unit.run("PRAGMA defer_foreign_keys = ON")
    unit.run_many(
        "UPDATE events SET seq = -seq, body = '', packed = :data WHERE seq = :seq AND packed IS NULL",
        [{"seq": body.seq, "data": body.data} for body in bodies],
    )
    unit.run("UPDATE events SET seq = -seq WHERE seq < 0")
    unit.run("PRAGMA defer_foreign_keys = OFF")
    unit.run("UPDATE event_packing SET done_seq = :done_seq WHERE done_seq < :done_seq", {"done_seq": done_seq})


def count_plain(unit: ReadUnit) -> int:
    """Return the number of events behind the place, from two looks into the table; deleted ones may be among them."""
    row = unit.one("SELECT (SELECT MAX(seq) FROM events) AS newest, done_seq FROM event_packing")
    assert row is not None, "made by the migration"
    return max(0, int(row["newest"] or 0) - int(row["done_seq"]))
