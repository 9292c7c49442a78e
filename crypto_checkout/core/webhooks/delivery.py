"""Deliveries of events to endpoints, and their attempts."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class DeliveryStatus(StrEnum):
    """The state of a delivery; `abandoned` when no attempt is left."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt and its outcome (see `webhooks.send.AttemptOutcome`); `number` counts from 1 within a delivery."""

    number: int
    started_at: datetime
    duration_ms: int
    status_code: int | None
    error: str | None
    detail: str | None
    excerpt: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as merchants see it; attempts are oldest first."""

    event_id: str
    event_type: str
    endpoint_id: str
    status: DeliveryStatus
    next_attempt_at: datetime | None
    created_at: datetime
    updated_at: datetime
    attempts: tuple[Attempt, ...]
