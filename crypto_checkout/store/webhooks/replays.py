"""Replays: send one event again, or all that an endpoint has missed since a moment."""

from collections.abc import Collection
from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.store.database import WriteUnit, placeholders
from crypto_checkout.store.paging import begins_after
from crypto_checkout.store.webhooks.endpoint_cleanup import clear_all

_SENT_AGAIN = """
    ON CONFLICT (event_seq, endpoint_id) DO UPDATE
    SET status = 'pending', next_attempt_at = :now, updated_at = :now, replayed_from = deliveries.attempts
"""


def replay_event(unit: WriteUnit, endpoint_id: str, event_id: str) -> int:
    """Queue an event for an endpoint again, delivered or not; return the number of queued deliveries."""
    clear_all(unit, endpoint_id)
    event = unit.one("SELECT seq FROM events WHERE id = :id", {"id": event_id})
    if event is None:
        return 0
    return unit.run(
        f"""
        INSERT INTO deliveries (event_seq, endpoint_id, status, next_attempt_at, created_at, updated_at)
        VALUES (:event_seq, :endpoint_id, 'pending', :now, :now, :now)
        {_SENT_AGAIN}
        """,  # noqa: S608 - the words above
        {"event_seq": event["seq"], "endpoint_id": endpoint_id, "now": unit.now_text},
    )


MOST_REPLAYED = 5_000
"""The most events that one replay queues: it is a single write, and other writers wait for it."""


def replay_since(
    unit: WriteUnit, endpoint_id: str, livemode: bool, types: Collection[str] | None, since: datetime
) -> tuple[int, bool]:
    """Queue the mode's events since a moment that an endpoint has not accepted, oldest first.

    Failed deliveries that wait for a retry become due now too. `types` of None means all types. Return the number of
    queued deliveries, at most `MOST_REPLAYED`, and whether there are more.
    """
    clear_all(unit, endpoint_id)
    names, type_parameters = placeholders(sorted(types or ()))
    missed = f"""
        FROM events
        LEFT JOIN deliveries ON deliveries.event_seq = events.seq AND deliveries.endpoint_id = :endpoint_id
        WHERE events.livemode = :livemode AND events.seq >= :first AND events.created_at >= :since
          AND (
            deliveries.status IS NULL OR deliveries.status = 'abandoned'
            OR deliveries.status = 'pending' AND deliveries.attempts > deliveries.replayed_from
              AND deliveries.next_attempt_at > :now
          )
          {f"AND events.type IN ({names})" if names else ""}
    """
    parameters: dict[str, str | int] = {
        "endpoint_id": endpoint_id,
        "livemode": int(livemode),
        "first": begins_after(unit, "events", livemode, since),
        "since": moments.to_text(since),
        "now": unit.now_text,
        "limit": MOST_REPLAYED,
        **type_parameters,
    }
    queued = unit.run(
        f"""
        INSERT INTO deliveries (event_seq, endpoint_id, status, next_attempt_at, created_at, updated_at)
        SELECT events.seq, :endpoint_id, 'pending', :now, :now, :now
        {missed}
        ORDER BY events.seq
        LIMIT :limit
        {_SENT_AGAIN}
        """,
        parameters,
    )
    more = unit.one(f"SELECT events.seq {missed} LIMIT 1", parameters) if queued == MOST_REPLAYED else None
    return queued, more is not None
