"""Events: their types, the one table of facts about each, and their record.

To add a type, give it a member in `EventType` and a row in `EVENTS`; the API, its documentation, the dashboard and the
command line read both. A type `refund.created` about a new kind of resource also needs that resource's shape in
`http.api.webhook_docs`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from crypto_checkout.core.checkout.session import STATUSES, Status
from crypto_checkout.core.rows import one_row_each


class EventType(StrEnum):
    """The types of events, as `GET /api/v1/events` and webhooks name them: a resource, a dot, and the occurrence."""

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
    SESSION_REFUNDED = "session.refunded"
    SESSION_UPDATED = "session.updated"
    LINK_CREATED = "payment_link.created"
    LINK_UPDATED = "payment_link.updated"
    LINK_DELETED = "payment_link.deleted"
    ENDPOINT_CREATED = "webhook_endpoint.created"
    ENDPOINT_UPDATED = "webhook_endpoint.updated"
    ENDPOINT_DELETED = "webhook_endpoint.deleted"
    ENDPOINT_DISABLED = "webhook_endpoint.disabled"
    CUSTOMER_CREATED = "customer.created"
    CUSTOMER_UPDATED = "customer.updated"
    REFUND_CREATED = "refund.created"
    REFUND_ADDRESS_GIVEN = "refund.address_given"
    REFUND_APPROVED = "refund.approved"
    REFUND_PAID = "refund.paid"
    REFUND_REORGED = "refund.reorged"
    REFUND_CANCELED = "refund.canceled"
    COLLECTION_CREATED = "collection.created"
    COLLECTION_CONFIRMED = "collection.confirmed"
    COLLECTION_FAILED = "collection.failed"
    COLLECTION_REORGED = "collection.reorged"
    API_KEY_CREATED = "api_key.created"
    API_KEY_REVOKED = "api_key.revoked"

    @property
    def resource(self) -> str:
        """The kind of resource that the event carries as its `data`."""
        return self.partition(".")[0]

    @property
    def occurrence(self) -> str:
        """The part after the resource."""
        return self.partition(".")[2]


ALIASES: Mapping[str, EventType] = MappingProxyType({"session.pending": EventType.SESSION_CREATED})
"""Other names that requests may use for a type; events and answers never do."""


@dataclass(frozen=True, slots=True)
class EventInfo:
    """The words of a type of event: its `title` in the dashboard, its `description` in the documentation of the API."""

    title: str
    description: str


EVENTS: Mapping[EventType, EventInfo] = one_row_each(
    "core.webhooks.events.EVENTS",
    EventType,
    {
        EventType.SESSION_CREATED: EventInfo("Session created", "A session was created."),
        EventType.SESSION_DETECTED: EventInfo(
            "Payment detected", "The whole amount has arrived but isn't confirmed yet. Don't ship on it."
        ),
        EventType.SESSION_PAID: EventInfo(
            "Paid", "The whole amount has arrived, confirmed and on time. Ship on this one."
        ),
        EventType.SESSION_PAID_LATE: EventInfo(
            "Paid late", "The whole amount has arrived, some of it after the price had expired."
        ),
        EventType.SESSION_UNDERPAID: EventInfo(
            "Underpaid", "Less than the amount has arrived and is confirmed. More may still come."
        ),
        EventType.SESSION_OVERPAID: EventInfo(
            "Overpaid", "More than the amount has arrived. Accept it, or refund the excess."
        ),
        EventType.SESSION_EXPIRED: EventInfo("Session expired", "The time to pay has run out."),
        EventType.SESSION_FAILED: EventInfo(
            "Payment reversed", "The network reversed a payment that had counted as paid."
        ),
        EventType.SESSION_REORGED: EventInfo(
            "Chain reorganized",
            "The network dropped a block with a payment; the session's status was determined again.",
        ),
        EventType.SESSION_LATE_PAYMENT: EventInfo(
            "Late payment",
            "A payment arrived too late to count. Accept it or refund it. Sent at most once an hour for a "
            "session, and not for dust.",
        ),
        EventType.SESSION_REFUNDED: EventInfo(
            "Session refunded",
            "A refund of this session is paid, in whole or in part: `amountRefunded` says how much in all.",
        ),
        EventType.SESSION_UPDATED: EventInfo(
            "Session updated",
            "The payer filled in what `payerFields` and `customFields` ask for, or corrected it. This is no payment.",
        ),
        EventType.LINK_CREATED: EventInfo("Link created", "A payment link was created."),
        EventType.LINK_UPDATED: EventInfo("Link updated", "A payment link was updated."),
        EventType.LINK_DELETED: EventInfo("Link deleted", "A payment link was deleted."),
        EventType.ENDPOINT_CREATED: EventInfo("Webhook created", "A webhook endpoint was created."),
        EventType.ENDPOINT_UPDATED: EventInfo(
            "Webhook updated", "A webhook endpoint was updated, or its secret was rotated."
        ),
        EventType.ENDPOINT_DELETED: EventInfo("Webhook deleted", "A webhook endpoint was deleted."),
        EventType.ENDPOINT_DISABLED: EventInfo("Webhook disabled", "The server disabled a webhook endpoint."),
        EventType.CUSTOMER_CREATED: EventInfo("Customer created", "A customer was created, by you or by a payment."),
        EventType.CUSTOMER_UPDATED: EventInfo("Customer updated", "A customer was updated."),
        EventType.REFUND_CREATED: EventInfo(
            "Refund created", "A refund was created, by you or at the payer's request."
        ),
        EventType.REFUND_ADDRESS_GIVEN: EventInfo(
            "Refund address given", "An address for a refund was given. The owner has to approve it in the dashboard."
        ),
        EventType.REFUND_APPROVED: EventInfo(
            "Refund approved", "The owner approved a refund and its address. Pay it from your wallet."
        ),
        EventType.REFUND_PAID: EventInfo("Refund paid", "The payment of a refund is confirmed on the chain."),
        EventType.REFUND_REORGED: EventInfo(
            "Refund reversed", "The network dropped the block with a refund's payment; it has to be paid again."
        ),
        EventType.REFUND_CANCELED: EventInfo("Refund canceled", "A refund was canceled."),
        EventType.COLLECTION_CREATED: EventInfo(
            "Money collected",
            "Money left your payment addresses, in a block that isn't confirmed yet, or the server has just sent it.",
        ),
        EventType.COLLECTION_CONFIRMED: EventInfo(
            "Collection confirmed", "The transaction of a collection is confirmed on the chain."
        ),
        EventType.COLLECTION_FAILED: EventInfo(
            "Collection failed", "A transaction that the server sent moved nothing: the money is where it was."
        ),
        EventType.COLLECTION_REORGED: EventInfo(
            "Collection reversed",
            "The network dropped the block of a collection: the money is back where it was, unless it is moved again.",
        ),
        EventType.API_KEY_CREATED: EventInfo("API key created", "An API key was created."),
        EventType.API_KEY_REVOKED: EventInfo("API key revoked", "An API key was revoked."),
    },
)


@dataclass(frozen=True, slots=True)
class Event:
    """An event as stored, which never changes; `data` is the resource as it was then."""

    id: str
    livemode: bool
    type: str
    created_at: datetime
    data: Mapping[str, object] = field(hash=False)


def _announcements() -> Mapping[Status, EventType]:
    announced = {status: info.event for status, info in STATUSES.items() if info.event is not None}
    unknown = sorted(set(announced.values()) - set(EventType))
    if unknown:
        raise ValueError(f"core.checkout.session.STATUSES names {', '.join(unknown)}, which isn't an EventType.")
    return {status: EventType(event) for status, event in announced.items()}


_ANNOUNCEMENTS = _announcements()


def of_status(status: Status) -> EventType | None:
    """Return the event that announces a session's arrival in a status; None for `pending`, the first."""
    return _ANNOUNCEMENTS.get(status)
