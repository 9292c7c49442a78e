"""Webhook endpoints. Deleted ones that still have something to clear are in `store.webhooks.endpoint_cleanup`."""

import json

from crypto_checkout.core import moments
from crypto_checkout.core.webhooks.endpoint import Endpoint, FailureStreak, OldSecret
from crypto_checkout.store.database import ReadUnit, Row, WriteUnit
from crypto_checkout.store.paging import ListPage, Window, select


def insert(unit: WriteUnit, endpoint: Endpoint) -> None:
    """Store a new endpoint."""
    unit.run(
        """
        INSERT INTO webhook_endpoints (
            id, livemode, url, events, description, active, disabled_reason, secret, created_at, updated_at
        )
        VALUES (
            :id, :livemode, :url, :events, :description, :active, :disabled_reason, :secret, :created_at, :updated_at
        )
        """,
        {
            "livemode": int(endpoint.livemode),
            "created_at": moments.to_text(endpoint.created_at),
            **_writable(endpoint),
        },
    )


def update(unit: WriteUnit, endpoint: Endpoint) -> None:
    """Store what may change of an endpoint."""
    unit.run(
        """
        UPDATE webhook_endpoints
        SET url = :url, events = :events, description = :description, active = :active,
            disabled_reason = :disabled_reason, secret = :secret, old_secrets = :old_secrets,
            failing_since = :failing_since, failing_counted_at = :failing_counted_at, failing_days = :failing_days,
            missed_since = :missed_since, updated_at = :updated_at
        WHERE id = :id
        """,
        _writable(endpoint),
    )


def set_failing(unit: WriteUnit, endpoint_id: str, failing: FailureStreak | None) -> None:
    """Note what its attempts came to. With None, once one has succeeded, nothing is written where nothing stands."""
    unit.run(
        """
        UPDATE webhook_endpoints
        SET failing_since = :failing_since, failing_counted_at = :failing_counted_at, failing_days = :failing_days
        WHERE id = :id AND NOT (failing_since IS NULL AND :failing_since IS NULL)
        """,
        {"id": endpoint_id, **_failing_columns(failing)},
    )


def get(unit: ReadUnit, endpoint_id: str, livemode: bool | None = None) -> Endpoint | None:
    """Return an endpoint, of one mode or of either."""
    row = unit.one("SELECT * FROM webhook_endpoints WHERE id = :id AND deleted_at IS NULL", {"id": endpoint_id})
    if row is None or (livemode is not None and bool(row["livemode"]) is not livemode):
        return None
    return _endpoint(row)


def listed(unit: ReadUnit, livemode: bool, window: Window) -> ListPage[Endpoint]:
    """Return a page of endpoints."""
    conditions = ["livemode = :livemode", "deleted_at IS NULL"]
    return select(unit, "webhook_endpoints", conditions, {"livemode": int(livemode)}, window).map(_endpoint)


def active(unit: ReadUnit, livemode: bool) -> list[Endpoint]:
    """Return the endpoints of a mode that take events."""
    rows = unit.all(
        "SELECT * FROM webhook_endpoints WHERE livemode = :livemode AND active = 1", {"livemode": int(livemode)}
    )
    return [_endpoint(row) for row in rows]


def all_of(unit: ReadUnit, livemode: bool) -> list[Endpoint]:
    """Return all endpoints of a mode, the oldest first."""
    rows = unit.all(
        "SELECT * FROM webhook_endpoints WHERE livemode = :livemode AND deleted_at IS NULL ORDER BY seq",
        {"livemode": int(livemode)},
    )
    return [_endpoint(row) for row in rows]


def count(unit: ReadUnit, livemode: bool) -> int:
    """Return how many endpoints a mode has."""
    row = unit.one(
        "SELECT COUNT(*) AS found FROM webhook_endpoints WHERE livemode = :livemode AND deleted_at IS NULL",
        {"livemode": int(livemode)},
    )
    assert row is not None, "a count is always answered"
    return int(row["found"])


def _writable(endpoint: Endpoint) -> dict[str, str | int | None]:
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "events": json.dumps(endpoint.events),
        "description": endpoint.description,
        "active": int(endpoint.active),
        "disabled_reason": endpoint.disabled_reason,
        "secret": endpoint.secret,
        "old_secrets": json.dumps([(old.text, moments.to_text(old.until)) for old in endpoint.old_secrets]),
        "missed_since": moments.to_optional_text(endpoint.missed_since),
        "updated_at": moments.to_text(endpoint.updated_at),
        **_failing_columns(endpoint.failing),
    }


def _failing_columns(failing: FailureStreak | None) -> dict[str, str | int | None]:
    return {
        "failing_since": moments.to_text(failing.since) if failing else None,
        "failing_counted_at": moments.to_text(failing.counted_at) if failing else None,
        "failing_days": failing.days if failing else None,
    }


def _endpoint(row: Row) -> Endpoint:
    return Endpoint(
        id=row["id"],
        livemode=bool(row["livemode"]),
        url=row["url"],
        events=tuple(json.loads(row["events"])),
        description=row["description"],
        active=bool(row["active"]),
        disabled_reason=row["disabled_reason"],
        secret=row["secret"],
        old_secrets=_old_secrets(row["old_secrets"]),
        missed_since=moments.from_optional_text(row["missed_since"]),
        failing=_failing(row),
        created_at=moments.from_text(row["created_at"]),
        updated_at=moments.from_text(row["updated_at"]),
    )


def _old_secrets(text: str) -> tuple[OldSecret, ...]:
    return tuple(OldSecret(secret, moments.from_text(until)) for secret, until in json.loads(text))


def _failing(row: Row) -> FailureStreak | None:
    if row["failing_since"] is None:
        return None
    since, counted_at = moments.from_text(row["failing_since"]), moments.from_text(row["failing_counted_at"])
    return FailureStreak(since, counted_at, row["failing_days"])
