"""Cleaning up after disabled and deleted endpoints: their deliveries are abandoned or deleted in parts.

The first part is done at once, and the endpoint's row records that more is left: so no write takes long, and a kill
between two parts loses nothing. Until the last part is done, nothing is sent to the endpoint.
"""

from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.store.database import Parameters, ReadUnit, WriteUnit

PART = 500
"""The number of deliveries that one write abandons or deletes: about 25 ms."""


def give_up_waiting(unit: WriteUnit, endpoint_id: str) -> None:
    """Abandon the waiting deliveries of a disabled endpoint; a replay queues them again."""
    unit.run(
        """
        UPDATE webhook_endpoints
        SET given_up_to = (SELECT seq FROM deliveries WHERE endpoint_id = :id ORDER BY seq DESC LIMIT 1)
        WHERE id = :id
        """,
        {"id": endpoint_id},
    )
    clear(unit, endpoint_id)


def delete(unit: WriteUnit, endpoint_id: str) -> None:
    """Delete an endpoint and its deliveries; it disappears from all lists at once."""
    unit.run(
        "UPDATE webhook_endpoints SET active = 0, deleted_at = :now WHERE id = :id",
        {"id": endpoint_id, "now": unit.now_text},
    )
    clear(unit, endpoint_id)


def unfinished(unit: ReadUnit) -> list[str]:
    """Return the ids of the endpoints that still need cleaning up."""
    rows = unit.all("SELECT id FROM webhook_endpoints WHERE given_up_to IS NOT NULL OR deleted_at IS NOT NULL")
    return [row["id"] for row in rows]


def clear(unit: WriteUnit, endpoint_id: str) -> bool:
    """Abandon or delete the next part of an endpoint's deliveries; return whether there may be more."""
    row = unit.one("SELECT given_up_to, deleted_at FROM webhook_endpoints WHERE id = :id", {"id": endpoint_id})
    if row is None:
        return False
    if row["deleted_at"] is not None:
        return _delete_part(unit, endpoint_id)
    return row["given_up_to"] is not None and _give_up_part(unit, endpoint_id, row["given_up_to"])


def clear_all(unit: WriteUnit, endpoint_id: str) -> None:
    """Clean up completely, before a replay: deliveries that it queues again must not be abandoned."""
    while clear(unit, endpoint_id):
        pass


def first_missed_at(unit: ReadUnit, endpoint_id: str, given_up_since: datetime) -> datetime | None:
    """Return the time of the oldest event that waits or was abandoned since a moment; None if there is none."""
    waiting = _first_event(unit, "status = 'pending'", {"endpoint_id": endpoint_id})
    given_up = _first_event(
        unit,
        "status = 'abandoned' AND deliveries.updated_at >= :since",
        {"endpoint_id": endpoint_id, "since": moments.to_text(given_up_since)},
    )
    return min((moment for moment in (waiting, given_up) if moment is not None), default=None)


def _first_event(unit: ReadUnit, condition: str, parameters: Parameters) -> datetime | None:
    row = unit.one(
        f"""
        SELECT events.created_at
        FROM deliveries
        JOIN events ON events.seq = deliveries.event_seq
        WHERE endpoint_id = :endpoint_id AND {condition}
        ORDER BY deliveries.seq
        LIMIT 1
        """,  # noqa: S608 - the words above
        parameters,
    )
    return moments.from_text(row["created_at"]) if row else None


def _delete_part(unit: WriteUnit, endpoint_id: str) -> bool:
    deleted = unit.run(
        """
        DELETE FROM deliveries
        WHERE seq IN (SELECT seq FROM deliveries WHERE endpoint_id = :endpoint_id ORDER BY seq LIMIT :limit)
        """,
        {"endpoint_id": endpoint_id, "limit": PART},
    )
    if deleted < PART:
        unit.run("DELETE FROM webhook_endpoints WHERE id = :id", {"id": endpoint_id})
    return deleted == PART


def _give_up_part(unit: WriteUnit, endpoint_id: str, last_seq: int) -> bool:
    given_up = unit.run(
        """
        UPDATE deliveries
        SET status = 'abandoned', next_attempt_at = NULL, updated_at = :now
        WHERE seq IN (
            SELECT seq FROM deliveries
            WHERE endpoint_id = :endpoint_id AND status = 'pending' AND seq <= :last_seq
            ORDER BY seq
            LIMIT :limit
        )
        """,
        {"endpoint_id": endpoint_id, "last_seq": last_seq, "limit": PART, "now": unit.now_text},
    )
    if given_up < PART:
        unit.run("UPDATE webhook_endpoints SET given_up_to = NULL WHERE id = :id", {"id": endpoint_id})
    return given_up == PART
