"""What pages call a session's status, an event, a payment and a delivery: words, each with its colour. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from crypto_checkout.core.checkout.session import ACCEPTED, CLOSED, SETTLED, Status
from crypto_checkout.core.public.types import DeliveryResource, PaymentResource, SessionResource
from crypto_checkout.core.webhooks.delivery import DeliveryStatus
from crypto_checkout.core.webhooks.events import EventType


@dataclass(frozen=True, slots=True)
class Label:
    """A word or two for a badge; `kind` is good, warn, bad, or empty. `meaning` says more, where there is more."""

    text: str
    kind: str = ""
    meaning: str = ""


STATUSES: Mapping[Status, Label] = {
    Status.PENDING: Label("Waiting", "", "Nothing that counts has arrived yet."),
    Status.DETECTED: Label("Confirming", "", "The money was seen, and is not yet deep enough in the chain."),
    Status.UNDERPAID: Label("Underpaid", "warn", "Some money has arrived, less than the price."),
    Status.OVERPAID: Label("Overpaid", "warn", "More money has arrived than the price."),
    Status.PAID: Label("Paid", "good", "The whole price has arrived, and is safe."),
    Status.PAID_LATE: Label("Paid late", "good", "The whole price has arrived, some of it in the time of grace."),
    Status.EXPIRED: Label("Expired", "", "The time to pay is over, and the price has not arrived."),
    Status.FAILED: Label("Taken back", "bad", "It was paid, and then the chain took the money back."),
}

_REASONS: Mapping[str, Label] = {
    ACCEPTED: Label("Accepted", "good", "You took what had arrived as the whole payment."),
    CLOSED: Label("Closed", "", "You closed it before it was paid."),
}

EVENTS: Mapping[EventType, str] = {
    EventType.SESSION_CREATED: "Session made",
    EventType.SESSION_DETECTED: "Payment seen",
    EventType.SESSION_PAID: "Paid",
    EventType.SESSION_PAID_LATE: "Paid late",
    EventType.SESSION_UNDERPAID: "Underpaid",
    EventType.SESSION_OVERPAID: "Overpaid",
    EventType.SESSION_EXPIRED: "Session expired",
    EventType.SESSION_FAILED: "Payment taken back for good",
    EventType.SESSION_REORGED: "Chain reorganised",
    EventType.SESSION_LATE_PAYMENT: "Money came too late",
    EventType.LINK_CREATED: "Link made",
    EventType.LINK_UPDATED: "Link changed",
    EventType.LINK_DELETED: "Link deleted",
    EventType.ENDPOINT_CREATED: "Webhook made",
    EventType.ENDPOINT_UPDATED: "Webhook changed",
    EventType.ENDPOINT_DELETED: "Webhook deleted",
    EventType.ENDPOINT_DISABLED: "Webhook switched off",
    EventType.CUSTOMER_CREATED: "Customer made",
    EventType.CUSTOMER_UPDATED: "Customer changed",
    EventType.API_KEY_CREATED: "API key made",
    EventType.API_KEY_REVOKED: "API key revoked",
}

_DELIVERIES: Mapping[str, Label] = {
    DeliveryStatus.PENDING: Label("Waiting"),
    DeliveryStatus.SUCCEEDED: Label("Delivered", "good"),
    DeliveryStatus.ABANDONED: Label("Given up", "bad"),
}


def of_session(session: SessionResource) -> Label:
    """Say where a session stands."""
    return _REASONS.get(session["statusReason"] or "") or STATUSES[Status(session["status"])]


def came_late(session: SessionResource) -> bool:
    """Tell whether money has come to a session that doesn't count."""
    return any(not payment["counted"] for payment in session["payments"])


def of_payment(session: SessionResource, payment: PaymentResource) -> Label:
    """Say whether a payment counts."""
    if not payment["counted"]:
        return Label("Too late", "warn")
    had, needed = payment["confirmations"], session["requiredConfirmations"]
    is_deep = had >= needed or Status(session["status"]) in SETTLED
    return Label("Counts", "good") if is_deep else Label(f"{had} of {needed} confirmations")


def of_event(event_type: str) -> str:
    """Say what an event tells."""
    return EVENTS[EventType(event_type)]


def of_delivery(delivery: DeliveryResource) -> Label:
    """Say where a delivery stands."""
    is_retried = delivery["status"] == DeliveryStatus.PENDING and delivery["attempts"]
    return Label("Trying again", "warn") if is_retried else _DELIVERIES[delivery["status"]]


def outcome(delivery: DeliveryResource) -> str:
    """Say what came of a delivery's last attempt."""
    if not delivery["attempts"]:
        return "not tried yet"
    last = delivery["attempts"][-1]
    code, count = last["statusCode"], len(delivery["attempts"])
    said = f"answered {code}" if code is not None else (last["detail"] or f"no answer ({last['error']})")
    return said if count == 1 else f"{said}; attempt {last['number']}"
