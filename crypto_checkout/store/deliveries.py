"""The outbox: which event is still to be sent where, and what came of each attempt."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.core.delivery import Attempt, Delivery, DeliveryStatus

from .database import ReadUnit, Row, WriteUnit
from .lists import Page, Window, page


@dataclass(frozen=True, slots=True)
class Due:
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


def due(
    unit: ReadUnit, livemode: bool, in_flight: Mapping[int, str], slots: Callable[[str], int], limit: int
) -> list[Due]:
    """Return deliveries of a mode whose time has come, oldest first.

    Args:
        unit: reads them.
        livemode: the mode.
        in_flight: the endpoint ids of the deliveries that are under way, by `seq`; those are left out.
        slots: how many may be under way for an endpoint, those in flight counted.
        limit: how many are wanted at most.

    """
    waiting = [
        row for endpoint in _active(unit, livemode) for row in _due_at(unit, endpoint, in_flight, slots(endpoint))
    ]
    waiting.sort(key=lambda row: (row["next_attempt_at"], row["seq"]))
    return [_due(unit, row) for row in waiting[:limit]]


def _active(unit: ReadUnit, livemode: bool) -> list[str]:
    rows = unit.all(
        "SELECT id FROM webhook_endpoints WHERE livemode = :livemode AND active = 1", {"livemode": int(livemode)}
    )
    return [row["id"] for row in rows]


def _due_at(unit: ReadUnit, endpoint_id: str, in_flight: Mapping[int, str], slots: int) -> list[Row]:
    """Return what is due at one endpoint and may be started: a few rows, however many wait."""
    here = [seq for seq, endpoint in in_flight.items() if endpoint == endpoint_id]
    without = ", ".join(str(int(seq)) for seq in here) or "0"
    return unit.all(
        f"""
        SELECT seq, next_attempt_at
        FROM deliveries
        WHERE endpoint_id = :endpoint_id AND status = 'pending' AND next_attempt_at <= :now AND seq NOT IN ({without})
        ORDER BY next_attempt_at, seq
        LIMIT :free
        """,  # noqa: S608 - integers only
        {"endpoint_id": endpoint_id, "now": unit.now_text, "free": max(0, slots - len(here))},
    )


def _due(unit: ReadUnit, waiting: Row) -> Due:
    row = unit.one(
        """
        SELECT deliveries.seq, deliveries.attempts, deliveries.replayed_from, events.id AS event_id,
            events.type AS event_type, events.body, endpoint_id, webhook_endpoints.url, webhook_endpoints.secret,
            CASE WHEN old_secret_until > :now THEN old_secret END AS old_secret
        FROM deliveries
        JOIN events ON events.seq = deliveries.event_seq
        JOIN webhook_endpoints ON webhook_endpoints.id = deliveries.endpoint_id
        WHERE deliveries.seq = :seq
        """,
        {"seq": waiting["seq"], "now": unit.now_text},
    )
    assert row is not None, "read in the same snapshot"
    return Due(
        seq=row["seq"],
        attempts=row["attempts"],
        replayed_from=row["replayed_from"],
        event_id=row["event_id"],
        event_type=row["event_type"],
        body=row["body"],
        endpoint_id=row["endpoint_id"],
        url=row["url"],
        secrets=tuple(secret for secret in (row["secret"], row["old_secret"]) if secret is not None),
    )


def next_due_at(unit: ReadUnit) -> datetime | None:
    """Return when the next attempt that isn't due yet will be; None when there is none."""
    row = unit.one(
        """
        SELECT MIN(next_attempt_at) AS at
        FROM deliveries
        WHERE status = 'pending' AND next_attempt_at > :now
        """,
        {"now": unit.now_text},
    )
    return moments.from_optional_text(row["at"]) if row else None


def record_attempt(
    unit: WriteUnit, delivery: Due, attempt: Attempt, status: DeliveryStatus, next_attempt_at: datetime | None
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
            "number": delivery.attempts + 1,
            "replayed_from": delivery.replayed_from,
            "status": status,
            "next_attempt_at": moments.to_optional_text(next_attempt_at),
            "now": unit.now_text,
        },
    )
    if not changed:
        return False
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
    return True


def abandon_pending(unit: WriteUnit, endpoint_id: str) -> None:
    """Give up what waits for an endpoint that is switched off; a replay brings it back."""
    unit.run(
        """
        UPDATE deliveries
        SET status = 'abandoned', next_attempt_at = NULL, updated_at = :now
        WHERE endpoint_id = :endpoint_id AND status = 'pending'
        """,
        {"endpoint_id": endpoint_id, "now": unit.now_text},
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


def listed(unit: ReadUnit, endpoint_id: str, status: DeliveryStatus | None, window: Window) -> Page[Delivery]:
    """Return a page of an endpoint's deliveries."""
    where = {"endpoint_id": endpoint_id, "status": status}
    return page(unit, "deliveries", where, window).map(lambda row: _delivery(unit, row))


def replay_event(unit: WriteUnit, endpoint_id: str, event_id: str) -> int:
    """Have an event sent to an endpoint again, whatever came of it before; return how many deliveries wait now."""
    event = unit.one("SELECT seq FROM events WHERE id = :id", {"id": event_id})
    if event is None:
        return 0
    return unit.run(
        """
        INSERT INTO deliveries (event_seq, endpoint_id, status, next_attempt_at, created_at, updated_at)
        VALUES (:event_seq, :endpoint_id, 'pending', :now, :now, :now)
        ON CONFLICT (event_seq, endpoint_id) DO UPDATE
        SET status = 'pending', next_attempt_at = :now, updated_at = :now, replayed_from = deliveries.attempts
        """,
        {"event_seq": event["seq"], "endpoint_id": endpoint_id, "now": unit.now_text},
    )


MOST_REPLAYED = 10_000
"""How many events one replay sends again: all of it is one write, and others wait for the writer."""


def undelivered(unit: ReadUnit, endpoint_id: str, livemode: bool, since: datetime) -> list[tuple[str, str]]:
    """Return the ids and types of a mode's events since a moment that an endpoint did not take, oldest first.

    What still waits for it is left out; the oldest `MOST_REPLAYED` are returned.
    """
    rows = unit.all(
        """
        SELECT events.id, events.type
        FROM events
        LEFT JOIN deliveries ON deliveries.event_seq = events.seq AND deliveries.endpoint_id = :endpoint_id
        WHERE events.livemode = :livemode AND events.created_at >= :since
          AND (deliveries.status IS NULL OR deliveries.status = 'abandoned')
        ORDER BY events.seq
        LIMIT :limit
        """,
        {
            "endpoint_id": endpoint_id,
            "livemode": int(livemode),
            "since": moments.to_text(since),
            "limit": MOST_REPLAYED,
        },
    )
    return [(row["id"], row["type"]) for row in rows]


def _delivery(unit: ReadUnit, row: Row) -> Delivery:
    event = unit.one("SELECT id, type FROM events WHERE seq = :seq", {"seq": row["event_seq"]})
    assert event is not None, "deliveries go with their event"
    attempts = unit.all(
        "SELECT * FROM delivery_attempts WHERE delivery_seq = :seq ORDER BY number", {"seq": row["seq"]}
    )
    return Delivery(
        event_id=event["id"],
        event_type=event["type"],
        endpoint_id=row["endpoint_id"],
        status=DeliveryStatus(row["status"]),
        next_attempt_at=moments.from_optional_text(row["next_attempt_at"]),
        created_at=moments.from_text(row["created_at"]),
        updated_at=moments.from_text(row["updated_at"]),
        attempts=tuple(_attempt(attempt) for attempt in attempts),
    )


def _attempt(row: Row) -> Attempt:
    return Attempt(
        started_at=moments.from_text(row["started_at"]),
        duration_ms=row["duration_ms"],
        status_code=row["status_code"],
        error=row["error"],
        excerpt=row["excerpt"],
    )
