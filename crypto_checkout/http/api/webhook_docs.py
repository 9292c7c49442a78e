"""The webhooks of the OpenAPI document: one for each type of event."""

from collections.abc import Mapping
from typing import Any

from crypto_checkout.core.public import examples
from crypto_checkout.core.public.collection_types import CollectionResource
from crypto_checkout.core.public.link_types import LinkResource
from crypto_checkout.core.public.refund_types import RefundResource
from crypto_checkout.core.public.types import (
    ApiKeyResource,
    CustomerResource,
    EndpointResource,
    EventResource,
    SessionResource,
)
from crypto_checkout.core.rows import one_row_each
from crypto_checkout.core.webhooks.events import EVENTS, EventType
from crypto_checkout.http.api.components import Json, Schemas
from crypto_checkout.http.api.operations import Example

_DATA: Mapping[str, tuple[str, Any, Example]] = one_row_each(
    "http.api.webhook_docs._DATA",
    {event_type.resource: None for event_type in EventType},
    {
        "session": ("SessionEvent", SessionResource, examples.shown_paid_session),
        "payment_link": ("LinkEvent", LinkResource, examples.shown_link),
        "webhook_endpoint": ("EndpointEvent", EndpointResource, examples.shown_endpoint),
        "customer": ("CustomerEvent", CustomerResource, examples.shown_customer),
        "refund": ("RefundEvent", RefundResource, examples.shown_paid_refund),
        "collection": ("CollectionEvent", CollectionResource, examples.shown_collection),
        "api_key": ("ApiKeyEvent", ApiKeyResource, examples.shown_key),
    },
)

SHAPES = (EventResource, *(shape for _, shape, _ in _DATA.values()))
"""Every type that webhooks carry."""

_HEADERS = {
    "X-Webhook-Signature": '`t=<Unix seconds>,v1=<hex HMAC-SHA256 of "{t}.{body}" with the endpoint\'s whole secret>`; '
    "one `v1` for each live secret.",
    "X-Webhook-Timestamp": "Unix seconds of this attempt.",
    "webhook-id": "The event's id, as Standard Webhooks wants it.",
    "webhook-timestamp": "As X-Webhook-Timestamp.",
    "webhook-signature": "The signature of Standard Webhooks.",
}


def events(shapes: Schemas) -> Json:
    """Return the schema of each kind of event: `Event` with its own types and its type of `data`."""
    return {name: _event(shapes, kind, shape) for kind, (name, shape, _) in _DATA.items()}


def _event(shapes: Schemas, kind: str, shape: Any) -> Json:
    event: Json = shapes.schemas["Event"]
    fields = event["properties"]
    types = {**fields["type"], "enum": [each.value for each in EventType if each.resource == kind]}
    data = {**shapes.ref(shape), "description": fields["data"]["description"]}
    return {
        **event,
        "description": f"An event whose `data` is a {kind.replace('_', ' ')}.",
        "properties": {**fields, "type": types, "data": data},
    }


def webhooks(public_url: str) -> Json:
    """Return the webhooks by type of event."""
    return {event_type.value: {"post": _webhook(event_type, public_url)} for event_type in EventType}


def _webhook(event_type: EventType, public_url: str) -> Json:
    name, _, example = _DATA[event_type.resource]
    event = {**examples.shown_event(public_url), "type": event_type.value, "data": example(public_url)}
    return {
        "operationId": "on" + event_type.replace(".", "_").title().replace("_", ""),
        "summary": event_type.value,
        "description": EVENTS[event_type].description,
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
