"""Operations on webhook endpoints."""

from crypto_checkout.core.errors import InvalidBody
from crypto_checkout.core.key import Scope
from crypto_checkout.services.endpoints import NewEndpoint

from . import cursors, schemas, values
from .operations import Call, Operation, Resource, Unit

_LIST = "webhook_endpoints"


async def create(call: Call) -> Unit:
    """Make an endpoint; the answer holds its secret, this once."""
    body: schemas.NewEndpoint = call.body
    new = NewEndpoint(url=body.url, events=tuple(body.events), description=body.description, active=body.active)
    return call.services.endpoints.create(call.livemode, new)


async def show(call: Call) -> Resource:
    """Show one endpoint."""
    return await call.services.endpoints.get(call.livemode, call.path["id"])


async def listed(call: Call) -> Resource:
    """List endpoints."""
    query: schemas.ListQuery = call.query
    window = cursors.window(_LIST, call.livemode, query.limit, query.starting_after, query.ending_before)
    page = await call.services.endpoints.listed(call.livemode, window)
    return cursors.listed(_LIST, call.livemode, page, window)


async def change(call: Call) -> Unit:
    """Change an endpoint."""
    given = values.changes(call.body)
    if "events" in given:
        given["events"] = tuple(given["events"])
    return call.services.endpoints.update(call.livemode, call.path["id"], given)


async def rotate(call: Call) -> Unit:
    """Make a new secret; the old one signs beside it for a while."""
    body: schemas.Rotation = call.body
    return call.services.endpoints.rotate_secret(call.livemode, call.path["id"], body.overlap_seconds)


async def test(call: Call) -> Unit:
    """Send a made-up event, and answer with the attempt."""
    attempted = await call.services.deliveries.test(call.livemode, call.path["id"])
    return lambda _: attempted


async def replay(call: Call) -> Unit:
    """Send again one event, or all that was missed since a moment."""
    body: schemas.Replay = call.body
    if (body.event_id is None) is (body.since is None):
        raise InvalidBody("Give exactly one of eventId and since.", param="eventId")
    deliveries, endpoint_id = call.services.deliveries, call.path["id"]
    if body.event_id is not None:
        return deliveries.replay_event(call.livemode, endpoint_id, body.event_id)
    assert body.since is not None, "one of the two is given"
    return deliveries.replay_since(call.livemode, endpoint_id, body.since)


async def list_deliveries(call: Call) -> Resource:
    """List the deliveries to an endpoint."""
    query: schemas.DeliveriesQuery = call.query
    endpoint_id = call.path["id"]
    name = f"deliveries of {endpoint_id}"
    window = cursors.window(name, call.livemode, query.limit, query.starting_after, query.ending_before)
    page = await call.services.deliveries.listed(call.livemode, endpoint_id, query.status, window)
    return cursors.listed(name, call.livemode, page, window)


async def delete(call: Call) -> Unit:
    """Delete an endpoint and its deliveries."""
    return call.services.endpoints.delete(call.livemode, call.path["id"])


OPERATIONS = (
    Operation(
        method="POST",
        path="/webhook_endpoints",
        scope=Scope.WEBHOOKS_WRITE,
        summary="Make a webhook endpoint",
        write=create,
        body=schemas.NewEndpoint,
        status=201,
    ),
    Operation(
        method="GET",
        path="/webhook_endpoints",
        scope=Scope.WEBHOOKS_READ,
        summary="List webhook endpoints",
        read=listed,
        query=schemas.ListQuery,
    ),
    Operation(
        method="GET",
        path="/webhook_endpoints/{id}",
        scope=Scope.WEBHOOKS_READ,
        summary="Show a webhook endpoint",
        read=show,
    ),
    Operation(
        method="PATCH",
        path="/webhook_endpoints/{id}",
        scope=Scope.WEBHOOKS_WRITE,
        summary="Change a webhook endpoint",
        write=change,
        body=schemas.ChangedEndpoint,
    ),
    Operation(
        method="POST",
        path="/webhook_endpoints/{id}/test",
        scope=Scope.WEBHOOKS_WRITE,
        summary="Try a webhook endpoint",
        write=test,
    ),
    Operation(
        method="POST",
        path="/webhook_endpoints/{id}/rotate_secret",
        scope=Scope.WEBHOOKS_WRITE,
        summary="Rotate an endpoint's secret",
        write=rotate,
        body=schemas.Rotation,
    ),
    Operation(
        method="GET",
        path="/webhook_endpoints/{id}/deliveries",
        scope=Scope.WEBHOOKS_READ,
        summary="List deliveries",
        read=list_deliveries,
        query=schemas.DeliveriesQuery,
    ),
    Operation(
        method="POST",
        path="/webhook_endpoints/{id}/replay",
        scope=Scope.WEBHOOKS_WRITE,
        summary="Send again",
        write=replay,
        body=schemas.Replay,
    ),
    Operation(
        method="DELETE",
        path="/webhook_endpoints/{id}",
        scope=Scope.WEBHOOKS_WRITE,
        summary="Delete a webhook endpoint",
        write=delete,
    ),
)
