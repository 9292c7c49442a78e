"""Events: their types, their record, and which event a change of status is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from crypto_checkout.core.checkout.session import Status


class EventType(StrEnum):
    """Every type of event, as `GET /api/v1/events` and webhooks name it."""

    SESSION_CREATED = "session.created"
    SESSION_DETECTED = "session.detected"
    SESSION_PAID = "session.paid"
    SESSION_PAID_LATE = "session.paid_late"
    SESSION_UNDERPAID = "session.underpaid"
    SESSION_OVERPAID = "session.overpaid"
    SESSION_EXPIRED = "session.expired"
    SESSION_FAILED = "session.failed"
    SESSION_REORGED = "session.reorged"
    SESSION_LATE_PAYMENT = "session.late_payment"
    LINK_CREATED = "payment_link.created"
    LINK_UPDATED = "payment_link.updated"
    LINK_DELETED = "payment_link.deleted"
    ENDPOINT_CREATED = "webhook_endpoint.created"
    ENDPOINT_UPDATED = "webhook_endpoint.updated"
    ENDPOINT_DELETED = "webhook_endpoint.deleted"
    ENDPOINT_DISABLED = "webhook_endpoint.disabled"
    CUSTOMER_CREATED = "customer.created"
    CUSTOMER_UPDATED = "customer.updated"
    API_KEY_CREATED = "api_key.created"
    API_KEY_REVOKED = "api_key.revoked"


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it is stored; `data` is the resource as of its moment. Never changed once written."""

    id: str
    livemode: bool
    type: str
    created_at: datetime
    data: Mapping[str, object] = field(hash=False)


def of_status(status: Status) -> EventType | None:
    """Return the event that tells of a session's arrival in a status; None for `pending`, where all begins."""
    if status is Status.PENDING:
        return None
    return EventType(f"session.{status}")
