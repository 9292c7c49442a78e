"""Operations on customers."""

from crypto_checkout.core import errors
from crypto_checkout.core.owner.api_key import Scope
from crypto_checkout.core.public import examples, render
from crypto_checkout.core.public.envelopes import NumberedPageResource
from crypto_checkout.core.public.types import CustomerResource
from crypto_checkout.http.api import schemas, values
from crypto_checkout.http.api.operations import Call, Operation, Resource, Unit
from crypto_checkout.services.checkout.customers import CustomerRequest


async def create(call: Call) -> Unit:
    """Create a customer."""
    body: schemas.CustomerCreate = call.body
    return call.services.customers.create(call.livemode, CustomerRequest(body.email, body.name, body.metadata))


async def show(call: Call) -> Resource:
    """Show one customer."""
    return await call.services.customers.get(call.livemode, call.path["id"])


async def change(call: Call) -> Unit:
    """Update a customer."""
    changes = values.changes(call.body)
    return call.services.customers.update(call.livemode, call.path["id"], changes)


async def list_(call: Call) -> Resource:
    """List customers in numbered pages."""
    query: schemas.CustomersQuery = call.query
    page = await call.services.customers.page(call.livemode, query.email, query.page, query.limit)
    return {
        "object": "list",
        "data": [render.customer(customer) for customer in page.customers],
        "total": page.total,
        "page": query.page,
        "limit": query.limit,
    }


OPERATIONS = (
    Operation(
        id="createCustomer",
        method="POST",
        path="/customers",
        scope=Scope.CUSTOMERS_WRITE,
        summary="Create a customer",
        description="A paid session with a `customerEmail` creates one automatically.",
        write=create,
        body=schemas.CustomerCreate,
        sent={"email": "ada@example.com", "name": "Ada Lovelace"},
        status=201,
        answer=CustomerResource,
        example=examples.shown_customer,
        raises=(errors.CustomerExists,),
    ),
    Operation(
        id="listCustomers",
        method="GET",
        path="/customers",
        scope=Scope.CUSTOMERS_READ,
        summary="List customers",
        read=list_,
        query=schemas.CustomersQuery,
        answer=NumberedPageResource[CustomerResource],
        example=lambda public_url: {
            "object": "list",
            "data": [examples.shown_customer(public_url)],
            "total": 1,
            "page": 1,
            "limit": 25,
        },
    ),
    Operation(
        id="getCustomer",
        method="GET",
        path="/customers/{id}",
        scope=Scope.CUSTOMERS_READ,
        summary="Retrieve a customer",
        read=show,
        answer=CustomerResource,
        example=examples.shown_customer,
    ),
    Operation(
        id="updateCustomer",
        method="PATCH",
        path="/customers/{id}",
        scope=Scope.CUSTOMERS_WRITE,
        summary="Update a customer",
        write=change,
        body=schemas.CustomerUpdate,
        sent={"name": "Ada, Countess of Lovelace"},
        answer=CustomerResource,
        example=lambda public_url: {**examples.shown_customer(public_url), "name": "Ada, Countess of Lovelace"},
        raises=(errors.CustomerExists,),
    ),
)
