"""Webhook endpoints. Deleted ones that still need cleaning up are in `store.webhooks.endpoint_cleanup`."""

import json
from collections.abc import Iterable
from functools import lru_cache

from crypto_checkout.core import moments
from crypto_checkout.core.webhooks.endpoint import Endpoint, FailureStreak, OldSecret, includes
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.paging import ListPage, Window, select
from crypto_checkout.store.table import Converter, Table


def _old_secrets_to_text(secrets: Iterable[OldSecret]) -> str:
    return json.dumps([(old.text, moments.to_text(old.until)) for old in secrets])


def _old_secrets_from_text(text: str) -> tuple[OldSecret, ...]:
    return tuple(OldSecret(secret, moments.from_text(until)) for secret, until in json.loads(text))


_ENDPOINTS = Table(
    "webhook_endpoints",
    Endpoint,
    converters={"old_secrets": Converter("TEXT", _old_secrets_to_text, _old_secrets_from_text)},
)
_UPDATE = _ENDPOINTS.update_all_but("livemode", "created_at")


def insert(unit: WriteUnit, endpoint: Endpoint) -> None:
    """Store a new endpoint."""
    unit.run(_ENDPOINTS.insert, _ENDPOINTS.values(endpoint))


def update(unit: WriteUnit, endpoint: Endpoint) -> None:
    """Store the fields of an endpoint that may change."""
    unit.run(_UPDATE, _ENDPOINTS.values(endpoint))


def set_failing(unit: WriteUnit, endpoint_id: str, failing: FailureStreak | None) -> None:
    """Store an endpoint's failure streak. None ends it, and writes nothing if there was none."""
    if failing is None and not unit.lookup(_FAILING, {"id": endpoint_id}, table="webhook_endpoints"):
        return
    unit.put(
        """
        UPDATE webhook_endpoints
        SET failing_since = :failing_since, failing_counted_at = :failing_counted_at, failing_days = :failing_days
        WHERE id = :id
        """,
        {
            "id": endpoint_id,
            "failing_since": moments.to_text(failing.since) if failing else None,
            "failing_counted_at": moments.to_text(failing.counted_at) if failing else None,
            "failing_days": failing.days if failing else None,
        },
    )


_FAILING = "SELECT 1 FROM webhook_endpoints WHERE id = :id AND failing_since IS NOT NULL"


def get(unit: ReadUnit, endpoint_id: str, livemode: bool | None = None) -> Endpoint | None:
    """Return an endpoint, of one mode or of either."""
    endpoint = _ENDPOINTS.one(unit, "WHERE id = :id AND deleted_at IS NULL", {"id": endpoint_id})
    return None if endpoint is None or livemode not in {None, endpoint.livemode} else endpoint


def listed(unit: ReadUnit, livemode: bool, window: Window) -> ListPage[Endpoint]:
    """Return a page of endpoints."""
    conditions = ["livemode = :livemode", "deleted_at IS NULL"]
    return select(unit, _ENDPOINTS, conditions, {"livemode": int(livemode)}, window)


def active(unit: ReadUnit, livemode: bool) -> list[Endpoint]:
    """Return the active endpoints of a mode."""
    return _ENDPOINTS.all(unit, "WHERE livemode = :livemode AND active = 1", {"livemode": int(livemode)})


def subscribed(unit: ReadUnit, livemode: bool, event_type: str) -> list[str]:
    """Return the ids of the active endpoints of a mode that receive events of a type."""
    rows = unit.lookup(
        "SELECT id, events FROM webhook_endpoints WHERE livemode = :livemode AND active = 1",
        {"livemode": int(livemode)},
        table="webhook_endpoints",
    )
    return [row["id"] for row in rows if includes(_events(row["events"]), event_type)]


@lru_cache(maxsize=256)
def _events(column: str) -> frozenset[str]:
    return frozenset(json.loads(column))


def all_of(unit: ReadUnit, livemode: bool) -> list[Endpoint]:
    """Return all endpoints of a mode, oldest first."""
    clauses = "WHERE livemode = :livemode AND deleted_at IS NULL ORDER BY seq"
    return _ENDPOINTS.all(unit, clauses, {"livemode": int(livemode)})


def count(unit: ReadUnit, livemode: bool) -> int:
    """Return the number of endpoints of a mode."""
    row = unit.one(
        "SELECT COUNT(*) AS found FROM webhook_endpoints WHERE livemode = :livemode AND deleted_at IS NULL",
        {"livemode": int(livemode)},
    )
    assert row is not None, "COUNT always returns a row"
    return int(row["found"])
