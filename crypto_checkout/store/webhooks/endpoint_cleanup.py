"""What endpoints that are switched off or deleted leave behind: given up or deleted in parts, however much it is.

The first part goes at once, and the endpoint's row says that there is more: so one write never takes long, and a kill
between two of them loses nothing. Until the last part an endpoint is sent nothing.
"""

from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.store.database import Parameters, ReadUnit, WriteUnit

PART = 500
"""How many deliveries one write gives up or deletes: some 25 ms."""


def give_up_waiting(unit: WriteUnit, endpoint_id: str) -> None:
    """Give up what waits for an endpoint that is switched off; a replay brings it back."""
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
    """Remove an endpoint and its deliveries; nothing shows it any more."""
    unit.run(
        "UPDATE webhook_endpoints SET active = 0, deleted_at = :now WHERE id = :id",
        {"id": endpoint_id, "now": unit.now_text},
    )
    clear(unit, endpoint_id)


def unfinished(unit: ReadUnit) -> list[str]:
    """Return the ids of the endpoints that have something left to clear."""
    rows = unit.all("SELECT id FROM webhook_endpoints WHERE given_up_to IS NOT NULL OR deleted_at IS NOT NULL")
    return [row["id"] for row in rows]


def clear(unit: WriteUnit, endpoint_id: str) -> bool:
    """Give up or delete the next part of what an endpoint left; return whether there may be more."""
    row = unit.one("SELECT given_up_to, deleted_at FROM webhook_endpoints WHERE id = :id", {"id": endpoint_id})
    if row is None:
        return False
    if row["deleted_at"] is not None:
        return _delete_part(unit, endpoint_id)
    return row["given_up_to"] is not None and _give_up_part(unit, endpoint_id, row["given_up_to"])


def clear_all(unit: WriteUnit, endpoint_id: str) -> None:
    """Clear what is left at once, before a replay: what that brings back is not to be given up again."""
    while clear(unit, endpoint_id):
        pass


def first_missed_at(unit: ReadUnit, endpoint_id: str, given_up_since: datetime) -> datetime | None:
    """Return when the oldest event happened that waits or was given up since a moment; None when there is none."""
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
