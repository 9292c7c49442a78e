"""The outbox: which event is still to be sent where, and what came of each attempt."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from crypto_checkout.core import moments

from .database import ReadUnit, WriteUnit


class DeliveryStatus(StrEnum):
    """Where a delivery stands; `abandoned` when no attempt is left."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery whose next attempt is due: what is sent, where to, and how it is signed."""

    seq: int
    attempts: int
    event_id: str
    event_type: str
    body: str
    endpoint_id: str
    url: str
    secret: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt and what came of it; see `webhooks.send.Outcome`."""

    started_at: datetime
    duration_ms: int
    status_code: int | None
    error: str | None
    excerpt: str


def enqueue(unit: WriteUnit, event_seq: int, endpoint_id: str) -> None:
    """Have an event sent to an endpoint, at once."""
    unit.run(
        """
        INSERT INTO deliveries (event_seq, endpoint_id, status, next_attempt_at, created_at, updated_at)
        VALUES (:event_seq, :endpoint_id, 'pending', :now, :now, :now)
        """,
        {"event_seq": event_seq, "endpoint_id": endpoint_id, "now": unit.now_text},
    )


def due(unit: ReadUnit, in_flight: Collection[int], per_endpoint: int, limit: int) -> list[Due]:
    """Return deliveries whose time has come and that aren't in flight, oldest first, at most so many per endpoint."""
    without = ", ".join(str(int(seq)) for seq in in_flight) or "0"
    rows = unit.all(
        f"""
        SELECT * FROM (
            SELECT deliveries.seq, deliveries.attempts, deliveries.next_attempt_at, events.id AS event_id,
                events.type AS event_type, events.body, endpoint_id, webhook_endpoints.url, webhook_endpoints.secret,
                ROW_NUMBER() OVER (PARTITION BY endpoint_id ORDER BY next_attempt_at, deliveries.seq) AS place
            FROM deliveries
            JOIN events ON events.seq = deliveries.event_seq
            JOIN webhook_endpoints ON webhook_endpoints.id = deliveries.endpoint_id
            WHERE deliveries.status = 'pending' AND deliveries.next_attempt_at <= :now
              AND webhook_endpoints.active = 1 AND deliveries.seq NOT IN ({without})
        ) AS waiting
        WHERE place <= :per_endpoint
        ORDER BY next_attempt_at, seq
        LIMIT :limit
        """,  # noqa: S608 - integers only
        {"now": unit.now_text, "per_endpoint": per_endpoint, "limit": limit},
    )
    return [
        Due(
            seq=row["seq"],
            attempts=row["attempts"],
            event_id=row["event_id"],
            event_type=row["event_type"],
            body=row["body"],
            endpoint_id=row["endpoint_id"],
            url=row["url"],
            secret=row["secret"],
        )
        for row in rows
    ]


def next_due_at(unit: ReadUnit) -> datetime | None:
    """Return when the next attempt is due; None when nothing waits."""
    row = unit.one(
        """
        SELECT MIN(next_attempt_at) AS at
        FROM deliveries
        JOIN webhook_endpoints ON webhook_endpoints.id = deliveries.endpoint_id
        WHERE status = 'pending' AND webhook_endpoints.active = 1
        """
    )
    return moments.from_optional_text(row["at"]) if row else None


def record_attempt(
    unit: WriteUnit, delivery: Due, attempt: Attempt, status: DeliveryStatus, next_attempt_at: datetime | None
) -> None:
    """Store an attempt and where its delivery stands now; nothing when the delivery is gone with its endpoint."""
    changed = unit.run(
        """
        UPDATE deliveries
        SET status = :status, attempts = :number, next_attempt_at = :next_attempt_at, updated_at = :now
        WHERE seq = :seq AND attempts = :number - 1
        """,
        {
            "seq": delivery.seq,
            "number": delivery.attempts + 1,
            "status": status,
            "next_attempt_at": moments.to_optional_text(next_attempt_at),
            "now": unit.now_text,
        },
    )
    if not changed:
        return
    unit.run(
        """
        INSERT INTO delivery_attempts (delivery_seq, number, started_at, duration_ms, status_code, error, excerpt)
        VALUES (:seq, :number, :started_at, :duration_ms, :status_code, :error, :excerpt)
        """,
        {
            "seq": delivery.seq,
            "number": delivery.attempts + 1,
            "started_at": moments.to_text(attempt.started_at),
            "duration_ms": attempt.duration_ms,
            "status_code": attempt.status_code,
            "error": attempt.error,
            "excerpt": attempt.excerpt,
        },
    )


def count_pending(unit: ReadUnit) -> int:
    """Return how many deliveries wait, due or not."""
    row = unit.one("SELECT COUNT(*) AS pending FROM deliveries WHERE status = 'pending'")
    return int(row["pending"]) if row else 0
