"""Operations on webhook endpoints."""

from crypto_checkout.core.errors import InvalidBody
from crypto_checkout.core.owner.api_key import Scope
from crypto_checkout.core.public import examples, render
from crypto_checkout.core.public.envelopes import ListResource
from crypto_checkout.core.public.types import DeletedResource, EndpointResource
from crypto_checkout.core.public.webhook_types import AttemptedResource, DeliveryResource, ReplayResource
from crypto_checkout.http.api import cursors, schemas, values
from crypto_checkout.http.api.operations import Call, Operation, Resource, Unit, list_example
from crypto_checkout.services.webhooks.endpoints import EndpointRequest

_LIST = "webhook_endpoints"


async def create(call: Call) -> Unit:
    """Create an endpoint; only this answer has its secret."""
    body: schemas.EndpointCreate = call.body
    new = EndpointRequest(url=body.url, events=tuple(body.events), description=body.description, active=body.active)
    return call.services.endpoints.create(call.livemode, new, call.key.scopes)


async def show(call: Call) -> Resource:
    """Show one endpoint."""
    return await call.services.endpoints.get(call.livemode, call.path["id"])


async def list_(call: Call) -> Resource:
    """List endpoints."""
    query: schemas.ListQuery = call.query
    window = cursors.window(_LIST, call.livemode, query.limit, query.starting_after, query.ending_before)
    page = await call.services.endpoints.listed(call.livemode, window)
    return cursors.list_answer(_LIST, call.livemode, page, window)


async def change(call: Call) -> Unit:
    """Update an endpoint."""
    given = values.changes(call.body)
    if "events" in given:
        given["events"] = tuple(given["events"])
    return call.services.endpoints.update(call.livemode, call.path["id"], given, call.key.scopes)


async def rotate(call: Call) -> Unit:
    """Create a new secret; the old one keeps signing for a while."""
    body: schemas.SecretRotation = call.body
    return call.services.endpoints.rotate_secret(call.livemode, call.path["id"], body.overlap_seconds)


async def test(call: Call) -> Unit:
    """Send a made-up event, and return the attempt."""
    attempted = await call.services.deliveries.test(call.livemode, call.path["id"])
    return lambda _: attempted


async def replay(call: Call) -> Unit:
    """Send one event again, or all that were not delivered since a moment."""
    body: schemas.ReplayCreate = call.body
    if (body.event_id is None) is (body.since is None):
        raise InvalidBody("Give exactly one of eventId and since.", param="eventId")
    deliveries, endpoint_id = call.services.deliveries, call.path["id"]
    if body.event_id is not None:
        return deliveries.replay_event(call.livemode, endpoint_id, body.event_id, call.key.scopes)
    assert body.since is not None, "one of the two is given"
    return deliveries.replay_since(call.livemode, endpoint_id, body.since)


async def list_deliveries(call: Call) -> Resource:
    """List the deliveries to an endpoint."""
    query: schemas.DeliveriesQuery = call.query
    endpoint_id = call.path["id"]
    name = f"deliveries of {endpoint_id}"
    window = cursors.window(name, call.livemode, query.limit, query.starting_after, query.ending_before)
    page = await call.services.deliveries.listed(call.livemode, endpoint_id, query.status, window)
    return cursors.list_answer(name, call.livemode, page, window)


async def delete(call: Call) -> Unit:
    """Delete an endpoint and its deliveries."""
    return call.services.endpoints.delete(call.livemode, call.path["id"])


OPERATIONS = (
    Operation(
        id="createWebhookEndpoint",
        method="POST",
        path="/webhook_endpoints",
        scope=Scope.WEBHOOKS_WRITE,
        summary="Create a webhook endpoint",
        description="The response contains its `secret`, only this once: deliveries are signed with it. The key "
        "needs the scope "
        "to read what its `events` are about, such as `sessions:read` for `session.paid`; `events:read` covers all.",
        write=create,
        body=schemas.EndpointCreate,
        sent={"url": "https://shop.example.com/webhooks", "events": ["session.paid", "session.overpaid"]},
        status=201,
        answer=EndpointResource,
        example=examples.shown_new_endpoint,
    ),
    Operation(
        id="listWebhookEndpoints",
        method="GET",
        path="/webhook_endpoints",
        scope=Scope.WEBHOOKS_READ,
        summary="List webhook endpoints",
        read=list_,
        query=schemas.ListQuery,
        answer=ListResource[EndpointResource],
        example=list_example(examples.shown_endpoint),
    ),
    Operation(
        id="getWebhookEndpoint",
        method="GET",
        path="/webhook_endpoints/{id}",
        scope=Scope.WEBHOOKS_READ,
        summary="Retrieve a webhook endpoint",
        read=show,
        answer=EndpointResource,
        example=examples.shown_endpoint,
    ),
    Operation(
        id="updateWebhookEndpoint",
        method="PATCH",
        path="/webhook_endpoints/{id}",
        scope=Scope.WEBHOOKS_WRITE,
        summary="Update a webhook endpoint",
        description="A new `url` or more `events` require the scopes to read them, as a new endpoint does; a new `url` "
        "also those to read its waiting deliveries. `active: true` enables a disabled endpoint; a "
        "replay since its `missedSince` sends what it missed.",
        write=change,
        body=schemas.EndpointUpdate,
        sent={"events": ["*"], "description": "everything"},
        answer=EndpointResource,
        example=lambda public_url: {
            **examples.shown_endpoint(public_url),
            "events": ["*"],
            "description": "everything",
        },
    ),
    Operation(
        id="deleteWebhookEndpoint",
        method="DELETE",
        path="/webhook_endpoints/{id}",
        scope=Scope.WEBHOOKS_WRITE,
        summary="Delete a webhook endpoint",
        description="Deletes its deliveries, too.",
        write=delete,
        answer=DeletedResource,
        example=lambda public_url: render.deleted(examples.shown_endpoint(public_url)["id"], "webhook_endpoint"),
    ),
    Operation(
        id="testWebhookEndpoint",
        method="POST",
        path="/webhook_endpoints/{id}/test",
        scope=Scope.WEBHOOKS_WRITE,
        summary="Test a webhook endpoint",
        description="Sends a sample `session.paid` with `livemode: false`, once, and returns the attempt.",
        write=test,
        answer=AttemptedResource,
        example=examples.shown_attempted,
    ),
    Operation(
        id="rotateWebhookEndpointSecret",
        method="POST",
        path="/webhook_endpoints/{id}/rotate_secret",
        scope=Scope.WEBHOOKS_WRITE,
        summary="Rotate an endpoint's secret",
        description="The response contains the new `secret`, only this once. During the overlap deliveries "
        "carry signatures of both, and of up "
        "to five old secrets. Without an overlap only the new one signs.",
        write=rotate,
        body=schemas.SecretRotation,
        sent={"overlapSeconds": 3600},
        answer=EndpointResource,
        example=examples.shown_new_endpoint,
    ),
    Operation(
        id="listWebhookEndpointDeliveries",
        method="GET",
        path="/webhook_endpoints/{id}/deliveries",
        scope=Scope.WEBHOOKS_READ,
        summary="List the deliveries to an endpoint",
        description="Each has its attempts: status, duration, the beginning of the response, and what went wrong.",
        read=list_deliveries,
        query=schemas.DeliveriesQuery,
        answer=ListResource[DeliveryResource],
        example=list_example(examples.shown_delivery),
    ),
    Operation(
        id="replayEvents",
        method="POST",
        path="/webhook_endpoints/{id}/replay",
        scope=Scope.WEBHOOKS_WRITE,
        summary="Replay events",
        description="With `eventId`, sends that event, whatever its earlier deliveries. With `since`, sends all "
        "subscribed events that were "
        "not delivered since then, including those while it was disabled. An event that the endpoint doesn't "
        "subscribe to needs "
        "the scope to read it.",
        write=replay,
        body=schemas.ReplayCreate,
        sent={"since": "2026-01-31T12:00:00Z"},
        answer=ReplayResource,
        example=examples.shown_replay,
    ),
)
