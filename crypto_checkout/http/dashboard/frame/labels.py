"""Labels of sessions, events, payments and deliveries: a text with its colour. Pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass

from crypto_checkout.core.checkout.session import ACCEPTED, CLOSED, SETTLED, STATUSES, Status
from crypto_checkout.core.owner.audit import ACTIONS
from crypto_checkout.core.public.render import is_dust
from crypto_checkout.core.public.types import PaymentResource, SessionResource
from crypto_checkout.core.public.webhook_types import DeliveryResource
from crypto_checkout.core.webhooks.delivery import DeliveryStatus
from crypto_checkout.core.webhooks.events import EVENTS, EventType


@dataclass(frozen=True, slots=True)
class Label:
    """The text of a badge; `kind` is good, warn, bad, or empty, and `meaning` an explanation, or empty."""

    text: str
    kind: str = ""
    meaning: str = ""


_REASONS: Mapping[str, Label] = {
    ACCEPTED: Label("Accepted", "good", "You accepted the amount received as full payment."),
    CLOSED: Label("Closed", "", "You closed it before it was paid."),
}

_DELIVERIES: Mapping[str, Label] = {
    DeliveryStatus.PENDING: Label("Pending"),
    DeliveryStatus.SUCCEEDED: Label("Delivered", "good"),
    DeliveryStatus.ABANDONED: Label("Abandoned", "bad"),
}

_ACTIONS: Mapping[str, str] = {
    **{action.value: title for action, title in ACTIONS.items()},
    **{event.value: info.title for event, info in EVENTS.items()},
}


def of_session(session: SessionResource) -> Label:
    """Return the label of a session's status."""
    info = STATUSES[Status(session["status"])]
    return _REASONS.get(session["statusReason"] or "") or Label(info.title, info.tone, info.meaning)


def has_late_payment(session: SessionResource) -> bool:
    """Tell whether a session received a payment too late to count, dust apart."""
    return any(not payment["counted"] and not is_dust(session, payment) for payment in session["payments"])


def of_payment(session: SessionResource, payment: PaymentResource) -> Label:
    """Return the label of a payment: too late, counted, or its confirmations."""
    if not payment["counted"]:
        return Label("Too late", "warn")
    had, needed = payment["confirmations"], session["requiredConfirmations"]
    is_deep = had >= needed or Status(session["status"]) in SETTLED
    return Label("Confirmed", "good") if is_deep else Label(f"{had} of {needed} confirmations")


def of_event(event_type: str) -> str:
    """Return an event's title."""
    return EVENTS[EventType(event_type)].title


def of_action(action: str) -> str:
    """Return the title of an action of the audit trail: its own, or that of the event it is named after."""
    return _ACTIONS.get(action, action)


def of_delivery(delivery: DeliveryResource) -> Label:
    """Return the label of a delivery's status."""
    is_retried = delivery["status"] == DeliveryStatus.PENDING.value and delivery["attempts"]
    return Label("Retrying", "warn") if is_retried else _DELIVERIES[delivery["status"]]


def outcome(delivery: DeliveryResource) -> str:
    """Describe the outcome of a delivery's last attempt."""
    if not delivery["attempts"]:
        return "not sent yet"
    last = delivery["attempts"][-1]
    code, count = last["statusCode"], len(delivery["attempts"])
    text = f"answered {code}" if code is not None else (last["detail"] or f"no answer ({last['error']})").rstrip(".")
    return text if count == 1 else f"{text}; attempt {last['number']}"
