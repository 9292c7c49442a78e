"""Operations on events."""

from functools import partial

from crypto_checkout.core.errors import ResourceNotFound
from crypto_checkout.core.owner.api_key import Scope
from crypto_checkout.core.public import examples
from crypto_checkout.core.public.envelopes import ListResource
from crypto_checkout.core.public.types import EventResource
from crypto_checkout.http.api import cursors, schemas
from crypto_checkout.http.api.operations import Call, Operation, list_example
from crypto_checkout.store.webhooks import events as store

_LIST = "events"


async def list_(call: Call) -> bytes:
    """List events."""
    query: schemas.EventsQuery = call.query
    window = cursors.window(_LIST, call.livemode, query.limit, query.starting_after, query.ending_before)
    filters = store.EventFilter(type=query.type, resource_id=query.resourceId, created_after=query.createdAfter)
    page = await call.services.db.read(
        partial(store.bodies, livemode=call.livemode, filters=filters, window=window),
    )
    return cursors.list_body(_LIST, call.livemode, page.map(str.encode), window)


async def show(call: Call) -> bytes:
    """Show one event, byte for byte as webhooks send it."""
    body = await call.services.db.read(partial(store.body, event_id=call.path["id"], livemode=call.livemode))
    if body is None:
        raise ResourceNotFound(f"There is no event {call.path['id'][:40]} in this mode.")
    return body.encode()


OPERATIONS = (
    Operation(
        id="listEvents",
        method="GET",
        path="/events",
        scope=Scope.EVENTS_READ,
        summary="List events",
        read=list_,
        query=schemas.EventsQuery,
        answer=ListResource[EventResource],
        example=list_example(examples.shown_event),
    ),
    Operation(
        id="getEvent",
        method="GET",
        path="/events/{id}",
        scope=Scope.EVENTS_READ,
        summary="Retrieve an event",
        description="Byte for byte as webhooks carry it.",
        read=show,
        answer=EventResource,
        example=examples.shown_event,
    ),
)
