"""Events, with the exact body that the API answers and webhooks carry. Events never change.

A body is text in the column `body`, and later in fewer bytes in `packed`: then `body` is empty
(`store.webhooks.packing`).
"""

from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.core.webhooks.events import Event
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.paging import ListPage, Window, begins_after, present, select_rows
from crypto_checkout.store.webhooks import bodies as packed_bodies


@dataclass(frozen=True, slots=True)
class EventFilter:
    """A filter of events; None matches any."""

    type: str | None = None
    resource_id: str | None = None
    created_after: datetime | None = None


def insert(unit: WriteUnit, event: Event, resource_id: str, body: str) -> None:
    """Store an event with its body."""
    created_at = moments.to_text(event.created_at)
    unit.put_row(
        "INSERT INTO events (id, livemode, type, resource_id, body, created_at) VALUES (?, ?, ?, ?, ?, ?)",
        (event.id, int(event.livemode), event.type, resource_id, body, created_at),
        table="events",
    )
    unit.event_id = event.id


def newest_at(unit: ReadUnit) -> datetime | None:
    """Return the latest time at which an event of either mode was recorded; a correct clock is never behind it.

    In a write, those of the transaction's other units may be missing.
    """
    (row,) = unit.lookup(
        """
        SELECT MAX(newest) FROM (
            SELECT MAX(created_at) AS newest FROM events WHERE livemode = 1
            UNION ALL
            SELECT MAX(created_at) FROM events WHERE livemode = 0
        ) AS of_each_mode
        """,
        table=None,
    )
    return moments.from_optional_text(row[0])


def type_of(unit: ReadUnit, event_id: str, livemode: bool) -> str | None:
    """Return the type of an event of this mode."""
    row = unit.one(
        "SELECT type FROM events WHERE id = :id AND livemode = :livemode",
        {"id": event_id, "livemode": int(livemode)},
    )
    return str(row["type"]) if row else None


def body(unit: ReadUnit, event_id: str, livemode: bool) -> str | None:
    """Return the body of an event of this mode."""
    row = unit.one(
        "SELECT body, packed FROM events WHERE id = :id AND livemode = :livemode",
        {"id": event_id, "livemode": int(livemode)},
    )
    return packed_bodies.read(row) if row else None


def bodies(unit: ReadUnit, livemode: bool, filters: EventFilter, window: Window) -> ListPage[str]:
    """Return a page of the bodies of events."""
    conditions, parameters = present(
        {
            "livemode = :livemode": int(livemode),
            "type = :type": filters.type,
            "resource_id = :resource_id": filters.resource_id,
            "created_at > :created_after": moments.to_optional_text(filters.created_after),
        }
    )
    first = begins_after(unit, "events", livemode, filters.created_after) if filters.created_after else 0
    rows = select_rows(unit, "events", "body, packed", conditions, parameters, window, first=first)
    return rows.map(packed_bodies.read)


def count_of(unit: ReadUnit, livemode: bool, resource_id: str, event_type: str) -> int:
    """Return the number of events of a type about a resource."""
    row = unit.one(
        """
        SELECT COUNT(*) AS number FROM events
        WHERE livemode = :livemode AND resource_id = :resource_id AND +type = :type
        """,
        {"livemode": int(livemode), "resource_id": resource_id, "type": event_type},
    )
    assert row is not None, "COUNT always returns a row"
    return int(row["number"])


def delete_before(unit: WriteUnit, livemode: bool, moment: datetime, limit: int) -> int:
    """Delete up to `limit` events of a mode from before a moment; return their number.

    Their deliveries and attempts go with them. Those with a waiting delivery stay, and so does the newest of the mode:
    it is a witness of the time (`newest_at`), and the place where a reader of the list goes on.
    """
    return unit.run(
        """
        DELETE FROM events
        WHERE seq IN (
            SELECT seq FROM events
            WHERE livemode = :livemode AND created_at < :moment
              AND seq < (SELECT MAX(seq) FROM events WHERE livemode = :livemode)
              AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event_seq = events.seq AND deliveries.status = 'pending')
            ORDER BY created_at
            LIMIT :limit
        )
        """,
        {"livemode": int(livemode), "moment": moments.to_text(moment), "limit": limit},
    )


def span(unit: ReadUnit) -> tuple[datetime | None, datetime | None]:
    """Return the times of the oldest and the newest event; None where there is none."""
    rows = [unit.one(f"SELECT created_at FROM events ORDER BY seq {order} LIMIT 1") for order in ("ASC", "DESC")]  # noqa: S608 - one of two words
    oldest, newest = (None if row is None else moments.from_text(row["created_at"]) for row in rows)
    return oldest, newest
