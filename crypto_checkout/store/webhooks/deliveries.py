"""The outbox: which event is still to be sent where, and what came of each attempt."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.core.webhooks.delivery import Attempt, Delivery, DeliveryStatus
from crypto_checkout.store.database import ReadUnit, Row, WriteUnit
from crypto_checkout.store.paging import ListPage, Window, given, select_rows
from crypto_checkout.store.table import Table

_ATTEMPTS = Table("delivery_attempts", Attempt)
_INSERT_ATTEMPT = _ATTEMPTS.insert_with("delivery_seq")
_COLUMNS = ", ".join(
    f"deliveries.{name}"
    for name in ("seq", "event_seq", "endpoint_id", "status", "next_attempt_at", "created_at", "updated_at")
)


@dataclass(frozen=True, slots=True)
class WaitingDelivery:
    """A delivery with an attempt to come."""

    seq: int
    endpoint_id: str
    next_attempt_at: datetime


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """A delivery whose next attempt is due: what is sent, where to, and how it is signed.

    Of its `attempts`, the schedule counts those since the last replay: all but `replayed_from`.
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


def enqueue(unit: WriteUnit, event_seq: int, endpoint_id: str) -> None:
    """Have an event sent to an endpoint, at once."""
    unit.run(
        """
        INSERT INTO deliveries (event_seq, endpoint_id, status, next_attempt_at, created_at, updated_at)
        VALUES (:event_seq, :endpoint_id, 'pending', :now, :now, :now)
        """,
        {"event_seq": event_seq, "endpoint_id": endpoint_id, "now": unit.now_text},
    )


def targets(unit: ReadUnit, livemode: bool) -> list[str]:
    """Return the ids of the endpoints of a mode that take deliveries: switched on, and cleared of what was given up."""
    rows = unit.all(
        """
        SELECT id FROM webhook_endpoints
        WHERE livemode = :livemode AND active = 1 AND given_up_to IS NULL
        """,
        {"livemode": int(livemode)},
    )
    return [row["id"] for row in rows]


def waiting(unit: ReadUnit, endpoint_id: str, without: Collection[int], limit: int) -> list[WaitingDelivery]:
    """Return the first deliveries to an endpoint by the time of their next attempt: a few, however many wait."""
    left_out = ", ".join(str(int(seq)) for seq in without) or "0"
    rows = unit.all(
        f"""
        SELECT seq, next_attempt_at
        FROM deliveries
        WHERE endpoint_id = :endpoint_id AND status = 'pending' AND seq NOT IN ({left_out})
        ORDER BY next_attempt_at, seq
        LIMIT :limit
        """,  # noqa: S608 - integers only
        {"endpoint_id": endpoint_id, "limit": limit},
    )
    return [WaitingDelivery(row["seq"], endpoint_id, moments.from_text(row["next_attempt_at"])) for row in rows]


def due(unit: ReadUnit, seq: int, now: datetime) -> DueDelivery:
    """Return all that an attempt at a waiting delivery takes; in the snapshot in which `waiting` named it."""
    row = unit.one(
        """
        SELECT deliveries.seq, deliveries.attempts, deliveries.replayed_from, events.id AS event_id,
            events.type AS event_type, events.body, endpoint_id, webhook_endpoints.url, webhook_endpoints.secret,
            webhook_endpoints.old_secrets
        FROM deliveries
        JOIN events ON events.seq = deliveries.event_seq
        JOIN webhook_endpoints ON webhook_endpoints.id = deliveries.endpoint_id
        WHERE deliveries.seq = :seq
        """,
        {"seq": seq},
    )
    assert row is not None, "read in the same snapshot"
    until = moments.to_text(now)
    return DueDelivery(
        seq=row["seq"],
        attempts=row["attempts"],
        replayed_from=row["replayed_from"],
        event_id=row["event_id"],
        event_type=row["event_type"],
        body=row["body"],
        endpoint_id=row["endpoint_id"],
        url=row["url"],
        secrets=(row["secret"], *(secret for secret, end in json.loads(row["old_secrets"]) if end > until)),
    )


def record_attempt(
    unit: WriteUnit, delivery: DueDelivery, attempt: Attempt, status: DeliveryStatus, next_attempt_at: datetime | None
) -> bool:
    """Store an attempt and where its delivery stands now.

    Return False, having stored nothing, when the delivery is gone with its endpoint, or was replayed meanwhile.
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
    unit.run(_INSERT_ATTEMPT, {**_ATTEMPTS.values(attempt), "delivery_seq": delivery.seq})
    return True


def delete_attempts_before(unit: WriteUnit, moment: datetime, limit: int) -> int:
    """Forget up to `limit` attempts that began before a moment; return how many. Their deliveries stay."""
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
    """Return how many deliveries wait, due or not."""
    row = unit.one("SELECT COUNT(*) AS pending FROM deliveries WHERE status = 'pending'")
    return int(row["pending"]) if row else 0


def failing(unit: ReadUnit, endpoint_id: str) -> int:
    """Return how many deliveries to an endpoint failed at least once and are to be tried again."""
    row = unit.one(
        """
        SELECT COUNT(*) AS failing FROM deliveries
        WHERE endpoint_id = :id AND status = 'pending' AND attempts > 0
        """,
        {"id": endpoint_id},
    )
    assert row is not None, "a count is always answered"
    return int(row["failing"])


def listed(unit: ReadUnit, endpoint_id: str, status: DeliveryStatus | None, window: Window) -> ListPage[Delivery]:
    """Return a page of an endpoint's deliveries."""
    conditions, parameters = given({"endpoint_id = :endpoint_id": endpoint_id, "status = :status": status})
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
    """Return the deliveries of a resource's events, those of the newest event first."""
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
"""How many attempts of a delivery are shown, the newest: replays have no bound."""


def _delivery(unit: ReadUnit, row: Row) -> Delivery:
    event = unit.one("SELECT id, type FROM events WHERE seq = :seq", {"seq": row["event_seq"]})
    assert event is not None, "deliveries go with their event"
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
