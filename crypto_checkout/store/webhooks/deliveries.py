"""The outbox: deliveries of events to endpoints, and their attempts."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.core.webhooks.delivery import Attempt, Delivery, DeliveryStatus
from crypto_checkout.store.database import ReadUnit, Row, WriteUnit, batched, placeholders
from crypto_checkout.store.paging import ListPage, Window, present, select_rows
from crypto_checkout.store.table import Table
from crypto_checkout.store.webhooks import bodies

_ATTEMPTS = Table("delivery_attempts", Attempt)
_INSERT_ATTEMPT = _ATTEMPTS.insert_with("delivery_seq")
_COLUMNS = ", ".join(
    f"deliveries.{name}"
    for name in ("seq", "event_seq", "endpoint_id", "status", "next_attempt_at", "created_at", "updated_at")
)


@dataclass(frozen=True, slots=True)
class WaitingDelivery:
    """A delivery with another attempt to come."""

    seq: int
    endpoint_id: str
    next_attempt_at: datetime


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """A delivery whose next attempt is due, with the body, the URL and the signing secrets.

    The schedule counts only attempts since the last replay: `attempts` minus `replayed_from`.
    """

    seq: int
    attempts: int
    replayed_from: int
    event_id: str
    event_type: str
    body: str
    endpoint_id: str
    url: str
    secrets: tuple[str, ...]


def enqueue(unit: WriteUnit, event_id: str, endpoint_id: str) -> None:
    """Queue an event, which this unit has stored, for an endpoint, due at once."""
    now = unit.now_text
    unit.put_row(
        """
        INSERT INTO deliveries (event_seq, endpoint_id, status, next_attempt_at, created_at, updated_at)
        SELECT seq, ?, 'pending', ?, ?, ? FROM events WHERE id = ?
        """,
        (endpoint_id, now, now, now, event_id),
        table="deliveries",
    )


def targets(unit: ReadUnit, livemode: bool) -> list[str]:
    """Return the ids of the mode's endpoints that take deliveries: active, and not being cleaned up."""
    rows = unit.all(
        """
        SELECT id FROM webhook_endpoints
        WHERE livemode = :livemode AND active = 1 AND given_up_to IS NULL
        """,
        {"livemode": int(livemode)},
    )
    return [row["id"] for row in rows]


def waiting(unit: ReadUnit, endpoint_id: str, without: Collection[int], limit: int) -> list[WaitingDelivery]:
    """Return an endpoint's waiting deliveries in order of their next attempt, at most `limit`, except `without`."""
    rows = unit.all(
        """
        SELECT seq, next_attempt_at
        FROM deliveries
        WHERE endpoint_id = :endpoint_id AND status = 'pending'
        ORDER BY next_attempt_at, seq
        LIMIT :limit
        """,
        {"endpoint_id": endpoint_id, "limit": limit + len(without)},
    )
    found = [row for row in rows if row["seq"] not in without][:limit]
    return [WaitingDelivery(row["seq"], endpoint_id, moments.from_text(row["next_attempt_at"])) for row in found]


def answered_since(unit: ReadUnit, endpoint_id: str, moment: datetime) -> bool:
    """Tell whether an endpoint's newest accepted delivery is no older than a moment, and nothing has failed since."""
    row = unit.one(
        """
        SELECT updated_at
        FROM deliveries
        WHERE endpoint_id = :endpoint_id AND status = 'succeeded'
            AND EXISTS (SELECT 1 FROM webhook_endpoints WHERE id = :endpoint_id AND failing_since IS NULL)
        ORDER BY seq DESC
        LIMIT 1
        """,
        {"endpoint_id": endpoint_id},
    )
    return row is not None and row["updated_at"] >= moments.to_text(moment)


def waiting_types(unit: ReadUnit, endpoint_id: str) -> list[str]:
    """Return the types of the events whose deliveries to an endpoint wait for an attempt, each once, sorted."""
    rows = unit.all(
        """
        SELECT DISTINCT events.type
        FROM deliveries
        JOIN events ON events.seq = deliveries.event_seq
        WHERE endpoint_id = :endpoint_id AND status = 'pending'
        ORDER BY events.type
        """,
        {"endpoint_id": endpoint_id},
    )
    return [row["type"] for row in rows]


def make_due(unit: WriteUnit, endpoint_id: str, limit: int) -> int:
    """Make up to `limit` deliveries due that were scheduled in the future, by a clock ahead; return their number."""
    return unit.run(
        """
        UPDATE deliveries
        SET next_attempt_at = :now, updated_at = :now
        WHERE seq IN (
            SELECT seq FROM deliveries
            WHERE endpoint_id = :endpoint_id AND status = 'pending' AND next_attempt_at > :now AND updated_at > :now
            LIMIT :limit
        )
        """,
        {"endpoint_id": endpoint_id, "limit": limit, "now": unit.now_text},
    )


def due(unit: ReadUnit, seqs: Sequence[int], now: datetime) -> list[DueDelivery]:
    """Return waiting deliveries in this order, with all that an attempt needs; call it in the snapshot of `waiting`."""
    found: dict[int, Row] = {}
    for batch in batched(map(str, seqs)):
        names, parameters = placeholders(batch)
        found |= {row["seq"]: row for row in unit.all(f"{_SELECT_DUE} WHERE deliveries.seq IN ({names})", parameters)}
    until = moments.to_text(now)
    return [_due(found[seq], until) for seq in seqs]


_SELECT_DUE = """
SELECT deliveries.seq, deliveries.attempts, deliveries.replayed_from, events.id AS event_id,
    events.type AS event_type, events.body, events.packed, endpoint_id, webhook_endpoints.url,
    webhook_endpoints.secret, webhook_endpoints.old_secrets
FROM deliveries
JOIN events ON events.seq = deliveries.event_seq
JOIN webhook_endpoints ON webhook_endpoints.id = deliveries.endpoint_id
"""


def _due(row: Row, until: str) -> DueDelivery:
    return DueDelivery(
        seq=row["seq"],
        attempts=row["attempts"],
        replayed_from=row["replayed_from"],
        event_id=row["event_id"],
        event_type=row["event_type"],
        body=bodies.read(row),
        endpoint_id=row["endpoint_id"],
        url=row["url"],
        secrets=(row["secret"], *(secret for secret, end in json.loads(row["old_secrets"]) if end > until)),
    )


def record_attempt(
    unit: WriteUnit, delivery: DueDelivery, attempt: Attempt, status: DeliveryStatus, next_attempt_at: datetime | None
) -> bool:
    """Store an attempt and the new status of its delivery.

    Return False, having stored nothing, if the delivery was deleted with its endpoint or replayed meanwhile.
    """
    changed = unit.run(
        """
        UPDATE deliveries
        SET status = :status, attempts = :number, next_attempt_at = :next_attempt_at, updated_at = :now
        WHERE seq = :seq AND attempts = :number - 1 AND replayed_from = :replayed_from
        """,
        {
            "seq": delivery.seq,
            "number": attempt.number,
            "replayed_from": delivery.replayed_from,
            "status": status,
            "next_attempt_at": moments.to_optional_text(next_attempt_at),
            "now": unit.now_text,
        },
    )
    if not changed:
        return False
    row = {**_ATTEMPTS.values(attempt), "delivery_seq": delivery.seq}
    unit.put_row(_INSERT_ATTEMPT, row, table="delivery_attempts")
    return True


def delete_attempts_before(unit: WriteUnit, moment: datetime, limit: int) -> int:
    """Delete up to `limit` attempts that began before a moment; return their number. Deliveries stay."""
    return unit.run(
        """
        DELETE FROM delivery_attempts
        WHERE (delivery_seq, number) IN (
            SELECT delivery_seq, number FROM delivery_attempts
            WHERE started_at < :moment
            ORDER BY started_at
            LIMIT :limit
        )
        """,
        {"moment": moments.to_text(moment), "limit": limit},
    )


def count_pending(unit: ReadUnit) -> int:
    """Return the number of waiting deliveries, due or not."""
    # Each of them has a next attempt. Counting those takes the index of the waiting ones, not that of all.
    row = unit.one("SELECT COUNT(next_attempt_at) AS pending FROM deliveries WHERE status = 'pending'")
    return int(row["pending"]) if row else 0


def failing(unit: ReadUnit, endpoint_id: str) -> int:
    """Return the number of an endpoint's deliveries that have failed and will be retried."""
    row = unit.one(
        """
        SELECT COUNT(*) AS failing FROM deliveries
        WHERE endpoint_id = :id AND status = 'pending' AND attempts > 0
        """,
        {"id": endpoint_id},
    )
    assert row is not None, "COUNT always returns a row"
    return int(row["failing"])


def listed(unit: ReadUnit, endpoint_id: str, status: DeliveryStatus | None, window: Window) -> ListPage[Delivery]:
    """Return a page of an endpoint's deliveries."""
    conditions, parameters = present({"endpoint_id = :endpoint_id": endpoint_id, "status = :status": status})
    rows = select_rows(unit, "deliveries", _COLUMNS, conditions, parameters, window)
    return rows.map(lambda row: _delivery(unit, row))


def of_event(unit: ReadUnit, endpoint_id: str, event_id: str) -> Delivery | None:
    """Return the delivery of an event to an endpoint."""
    row = unit.one(
        f"""
        SELECT {_COLUMNS}
        FROM deliveries
        JOIN events ON events.seq = deliveries.event_seq
        WHERE events.id = :event_id AND endpoint_id = :endpoint_id
        """,  # noqa: S608 - the columns above
        {"event_id": event_id, "endpoint_id": endpoint_id},
    )
    return _delivery(unit, row) if row else None


def of_resource(unit: ReadUnit, livemode: bool, resource_id: str, limit: int) -> list[Delivery]:
    """Return the deliveries of a resource's events, newest event first."""
    rows = unit.all(
        f"""
        SELECT {_COLUMNS}
        FROM events
        JOIN deliveries ON deliveries.event_seq = events.seq
        WHERE events.livemode = :livemode AND events.resource_id = :resource_id
        ORDER BY events.seq DESC
        LIMIT :limit
        """,  # noqa: S608 - the columns above
        {"livemode": int(livemode), "resource_id": resource_id, "limit": limit},
    )
    return [_delivery(unit, row) for row in rows]


MOST_SHOWN = 20
"""The number of attempts that a delivery shows, newest ones: replays add attempts without bound."""


def _delivery(unit: ReadUnit, row: Row) -> Delivery:
    event = unit.one("SELECT id, type FROM events WHERE seq = :seq", {"seq": row["event_seq"]})
    assert event is not None, "deliveries are deleted with their event"
    attempts = _ATTEMPTS.all(
        unit,
        "WHERE delivery_seq = :seq ORDER BY number DESC LIMIT :limit",
        {"seq": row["seq"], "limit": MOST_SHOWN},
    )
    return Delivery(
        event_id=event["id"],
        event_type=event["type"],
        endpoint_id=row["endpoint_id"],
        status=DeliveryStatus(row["status"]),
        next_attempt_at=moments.from_optional_text(row["next_attempt_at"]),
        created_at=moments.from_text(row["created_at"]),
        updated_at=moments.from_text(row["updated_at"]),
        attempts=tuple(reversed(attempts)),
    )
