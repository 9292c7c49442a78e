"""Webhook endpoints."""

import json

from crypto_checkout.core import moments
from crypto_checkout.core.endpoint import Endpoint

from .database import ReadUnit, Row, WriteUnit
from .lists import Page, Window, page


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
            disabled_reason = :disabled_reason, secret = :secret, old_secret = :old_secret,
            old_secret_until = :old_secret_until, updated_at = :updated_at
        WHERE id = :id
        """,
        _writable(endpoint),
    )


def get(unit: ReadUnit, endpoint_id: str, livemode: bool | None = None) -> Endpoint | None:
    """Return an endpoint, of one mode or of either."""
    row = unit.one("SELECT * FROM webhook_endpoints WHERE id = :id", {"id": endpoint_id})
    if row is None or (livemode is not None and bool(row["livemode"]) is not livemode):
        return None
    return _endpoint(row)


def listed(unit: ReadUnit, livemode: bool, window: Window) -> Page[Endpoint]:
    """Return a page of endpoints."""
    return page(unit, "webhook_endpoints", {"livemode": int(livemode)}, window).map(_endpoint)


def active(unit: ReadUnit, livemode: bool) -> list[Endpoint]:
    """Return the endpoints of a mode that take events."""
    rows = unit.all(
        "SELECT * FROM webhook_endpoints WHERE livemode = :livemode AND active = 1", {"livemode": int(livemode)}
    )
    return [_endpoint(row) for row in rows]


def all_of(unit: ReadUnit, livemode: bool) -> list[Endpoint]:
    """Return all endpoints of a mode, the oldest first."""
    rows = unit.all(
        "SELECT * FROM webhook_endpoints WHERE livemode = :livemode ORDER BY seq", {"livemode": int(livemode)}
    )
    return [_endpoint(row) for row in rows]


def count(unit: ReadUnit, livemode: bool) -> int:
    """Return how many endpoints a mode has."""
    row = unit.one(
        "SELECT COUNT(*) AS found FROM webhook_endpoints WHERE livemode = :livemode", {"livemode": int(livemode)}
    )
    assert row is not None, "a count is always answered"
    return int(row["found"])


def delete(unit: WriteUnit, endpoint_id: str) -> None:
    """Remove an endpoint and its deliveries."""
    unit.run("DELETE FROM webhook_endpoints WHERE id = :id", {"id": endpoint_id})


def _writable(endpoint: Endpoint) -> dict[str, str | int | None]:
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "events": json.dumps(endpoint.events),
        "description": endpoint.description,
        "active": int(endpoint.active),
        "disabled_reason": endpoint.disabled_reason,
        "secret": endpoint.secret,
        "old_secret": endpoint.old_secret,
        "old_secret_until": moments.to_optional_text(endpoint.old_secret_until),
        "updated_at": moments.to_text(endpoint.updated_at),
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
        old_secret=row["old_secret"],
        old_secret_until=moments.from_optional_text(row["old_secret_until"]),
        created_at=moments.from_text(row["created_at"]),
        updated_at=moments.from_text(row["updated_at"]),
    )
