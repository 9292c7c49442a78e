"""Operations on webhook endpoints."""

from crypto_checkout.core.key import Scope
from crypto_checkout.services.endpoints import NewEndpoint

from . import cursors, schemas
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
        method="DELETE",
        path="/webhook_endpoints/{id}",
        scope=Scope.WEBHOOKS_WRITE,
        summary="Delete a webhook endpoint",
        write=delete,
    ),
)
