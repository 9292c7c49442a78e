"""The webhooks of the OpenAPI document: what is sent for each type of event."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from crypto_checkout.core.public import examples
from crypto_checkout.core.public.types import (
    ApiKeyResource,
    CustomerResource,
    EndpointResource,
    EventResource,
    LinkResource,
    SessionResource,
)
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.http.api.components import Json, Schemas
from crypto_checkout.http.api.operations import Example

DESCRIPTIONS: Mapping[EventType, str] = MappingProxyType(
    {
        EventType.SESSION_CREATED: "A session was made.",
        EventType.SESSION_DETECTED: "The whole amount is in blocks that aren't deep enough yet. Don't ship on it.",
        EventType.SESSION_PAID: "The whole amount has arrived, confirmed and on time. Ship on this one.",
        EventType.SESSION_PAID_LATE: "The whole amount has arrived, some of it after the price had expired.",
        EventType.SESSION_UNDERPAID: "Less than the amount has arrived and is confirmed. More may still come.",
        EventType.SESSION_OVERPAID: "More than the amount has arrived. Accept it, or pay the difference back.",
        EventType.SESSION_EXPIRED: "The time to pay is over.",
        EventType.SESSION_FAILED: "The chain took back a payment that had counted as paid.",
        EventType.SESSION_REORGED: "The chain dropped a block with a payment; the session was judged again.",
        EventType.SESSION_LATE_PAYMENT: "Money came when it was too late to count. It is yours to accept or pay back.",
        EventType.LINK_CREATED: "A payment link was made.",
        EventType.LINK_UPDATED: "A payment link was changed.",
        EventType.LINK_DELETED: "A payment link was deleted.",
        EventType.ENDPOINT_CREATED: "A webhook endpoint was made.",
        EventType.ENDPOINT_UPDATED: "A webhook endpoint was changed, or its secret was rotated.",
        EventType.ENDPOINT_DELETED: "A webhook endpoint was deleted.",
        EventType.ENDPOINT_DISABLED: "The server gave a webhook endpoint up.",
        EventType.CUSTOMER_CREATED: "A customer was made, by you or by paying.",
        EventType.CUSTOMER_UPDATED: "A customer was changed.",
        EventType.API_KEY_CREATED: "An API key was made.",
        EventType.API_KEY_REVOKED: "An API key was taken out of use.",
    }
)

_DATA: Mapping[str, tuple[str, Any, Example]] = MappingProxyType(
    {
        "session": ("SessionEvent", SessionResource, examples.shown_paid_session),
        "payment_link": ("LinkEvent", LinkResource, examples.shown_link),
        "webhook_endpoint": ("EndpointEvent", EndpointResource, examples.shown_endpoint),
        "customer": ("CustomerEvent", CustomerResource, examples.shown_customer),
        "api_key": ("ApiKeyEvent", ApiKeyResource, examples.shown_key),
    }
)

SHAPES = (EventResource, *(shape for _, shape, _ in _DATA.values()))
"""Every shape that webhooks carry."""

_HEADERS = {
    "X-Webhook-Signature": '`t=<Unix seconds>,v1=<hex HMAC-SHA256 of "{t}.{body}" with the endpoint\'s whole secret>`; '
    "one `v1` for each live secret.",
    "X-Webhook-Timestamp": "Unix seconds of this attempt.",
    "webhook-id": "The event's id, as Standard Webhooks wants it.",
    "webhook-timestamp": "As X-Webhook-Timestamp.",
    "webhook-signature": "The signature of Standard Webhooks.",
}


def events(shapes: Schemas) -> Json:
    """Return the schema of each kind of event: `Event` with its `data`."""
    return {
        name: {
            "description": f"An event whose `data` is a {kind.replace('_', ' ')}.",
            "allOf": [
                shapes.ref(EventResource),
                {
                    "type": "object",
                    "properties": {
                        "type": {"type": "string", "enum": [each for each in EventType if _kind(each) == kind]},
                        "data": shapes.ref(shape),
                    },
                },
            ],
        }
        for kind, (name, shape, _) in _DATA.items()
    }


def webhooks(public_url: str) -> Json:
    """Return what is sent for each type of event."""
    return {event_type.value: {"post": _hook(event_type, public_url)} for event_type in EventType}


def _hook(event_type: EventType, public_url: str) -> Json:
    name, _, example = _DATA[_kind(event_type)]
    event = {**examples.shown_event(public_url), "type": event_type.value, "data": example(public_url)}
    return {
        "operationId": f"on_{event_type.replace('.', '_')}",
        "summary": event_type.value,
        "description": DESCRIPTIONS[event_type],
        "tags": ["webhooks"],
        "security": [],
        "parameters": [
            {"name": header, "in": "header", "required": True, "description": text, "schema": {"type": "string"}}
            for header, text in _HEADERS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}, "example": event},
            },
        },
        "responses": {
            "2XX": {"description": "It is taken: any 2xx within 15 seconds."},
            "410": {"description": "It is wanted no more: the endpoint is switched off."},
            "default": {"description": "It is tried again, after 1 min, 10 min, 1 h, 6 h and 24 h."},
        },
    }


def _kind(event_type: EventType) -> str:
    return event_type.partition(".")[0]
