"""Operations on collections, which none of them makes: no call of this API moves money."""

from crypto_checkout.core.owner.api_key import Scope
from crypto_checkout.core.public import examples
from crypto_checkout.core.public.collection_types import CollectionResource
from crypto_checkout.core.public.envelopes import ListResource
from crypto_checkout.http.api import cursors, schemas
from crypto_checkout.http.api.fields import CollectionState
from crypto_checkout.http.api.operations import Call, Operation, Resource, list_example
from crypto_checkout.store.collect.collections import CollectionFilter

_LIST = "collections"


class CollectionsQuery(schemas.ListQuery):
    """The filters of `GET /collections`."""

    status: CollectionState | None = None
    """Only those with this status."""


async def show(call: Call) -> Resource:
    """Show one collection."""
    return await call.services.collections.get(call.livemode, call.path["id"])


async def list_(call: Call) -> Resource:
    """List collections."""
    query: CollectionsQuery = call.query
    window = cursors.window(_LIST, call.livemode, query.limit, query.starting_after, query.ending_before)
    page = await call.services.collections.listed(call.livemode, CollectionFilter(query.status), window)
    return cursors.list_answer(_LIST, call.livemode, page, window)


OPERATIONS = (
    Operation(
        id="listCollections",
        method="GET",
        path="/collections",
        scope=Scope.COLLECTIONS_READ,
        summary="List collections",
        description="The transactions that moved money from your payment addresses, whoever sent them.",
        read=list_,
        query=CollectionsQuery,
        answer=ListResource[CollectionResource],
        example=list_example(examples.shown_collection),
    ),
    Operation(
        id="getCollection",
        method="GET",
        path="/collections/{id}",
        scope=Scope.COLLECTIONS_READ,
        summary="Retrieve a collection",
        read=show,
        answer=CollectionResource,
        example=examples.shown_collection,
    ),
)
