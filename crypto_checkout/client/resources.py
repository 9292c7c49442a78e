"""The methods of both clients, in the words of the API. Each makes a call and sends nothing; see `methods`.

Every method that writes takes an `idempotency_key`. Without one it makes its own, so that its retries are safe; give
one to be safe across processes too, as in `idempotency_key=f"order-{order_id}"`.
"""

from typing import Any, TypeVar, Unpack

from crypto_checkout.client.calls import ApiCall, identified
from crypto_checkout.core.public.types import (
    CustomerResource,
    DeletedResource,
    EndpointResource,
    EventResource,
    LinkResource,
    SessionResource,
)

from . import arguments
from .methods import Resource, list_method, method
from .pages import Page, listed

C = TypeVar("C")

Json = dict[str, Any]
"""An answer without a type of its own, as it came."""

_LINK = "/payment_links/{id}"
_SESSION = "/checkout_sessions/{id}"
_ENDPOINT = "/webhook_endpoints/{id}"
_CUSTOMER = "/customers/{id}"


class PaymentLinksApi(Resource[C]):
    """Links that anyone may open, each time for a new session at the link's price."""

    @method
    def create(
        self, *, idempotency_key: str | None = None, **fields: Unpack[arguments.LinkParams]
    ) -> ApiCall[LinkResource]:
        """Make a link."""
        return ApiCall("POST", "/payment_links", body=fields, idempotency_key=idempotency_key)

    @method
    def retrieve(self, link_id: str) -> ApiCall[LinkResource]:
        """Return a link."""
        return ApiCall("GET", identified(_LINK, link_id))

    @method
    def update(
        self, link_id: str, *, idempotency_key: str | None = None, **changes: Unpack[arguments.LinkChanges]
    ) -> ApiCall[LinkResource]:
        """Change a link and return it; sessions already made keep their price."""
        return ApiCall("PATCH", identified(_LINK, link_id), body=changes, idempotency_key=idempotency_key)

    @method
    def delete(self, link_id: str, *, idempotency_key: str | None = None) -> ApiCall[DeletedResource]:
        """Delete a link; its sessions stay."""
        return ApiCall("DELETE", identified(_LINK, link_id), idempotency_key=idempotency_key)

    @list_method
    def list(self, **query: Unpack[arguments.LinkListParams]) -> ApiCall[Page[LinkResource]]:
        """List links."""
        return listed("/payment_links", query)


class CheckoutSessionsApi(Resource[C]):
    """Single payments, each with its own address and price."""

    @method
    def create(
        self, *, idempotency_key: str | None = None, **fields: Unpack[arguments.SessionParams]
    ) -> ApiCall[SessionResource]:
        """Make a session at an `amount` or from a `link_id`; send the payer to its `checkoutUrl`."""
        return ApiCall("POST", "/checkout_sessions", body=fields, idempotency_key=idempotency_key)

    @method
    def retrieve(self, session_id: str) -> ApiCall[SessionResource]:
        """Return a session."""
        return ApiCall("GET", identified(_SESSION, session_id))

    @list_method
    def list(self, **query: Unpack[arguments.SessionListParams]) -> ApiCall[Page[SessionResource]]:
        """List sessions."""
        return listed("/checkout_sessions", query)

    @method
    def expire(self, session_id: str, *, idempotency_key: str | None = None) -> ApiCall[SessionResource]:
        """Close a pending or underpaid session. Raises Conflict for any other."""
        return ApiCall("POST", identified(f"{_SESSION}/expire", session_id), idempotency_key=idempotency_key)

    @method
    def accept(self, session_id: str, *, idempotency_key: str | None = None) -> ApiCall[SessionResource]:
        """Settle an underpaid, overpaid or late session: it becomes paid. Raises Conflict for any other."""
        return ApiCall("POST", identified(f"{_SESSION}/accept", session_id), idempotency_key=idempotency_key)


class WebhookEndpointsApi(Resource[C]):
    """Where events are sent to; see `verify_webhook` for the other end."""

    @method
    def create(
        self, *, idempotency_key: str | None = None, **fields: Unpack[arguments.EndpointParams]
    ) -> ApiCall[EndpointResource]:
        """Make an endpoint; only this answer holds its `secret`."""
        return ApiCall("POST", "/webhook_endpoints", body=fields, idempotency_key=idempotency_key)

    @method
    def retrieve(self, endpoint_id: str) -> ApiCall[EndpointResource]:
        """Return an endpoint, without its secret."""
        return ApiCall("GET", identified(_ENDPOINT, endpoint_id))

    @method
    def update(
        self, endpoint_id: str, *, idempotency_key: str | None = None, **changes: Unpack[arguments.EndpointChanges]
    ) -> ApiCall[EndpointResource]:
        """Change an endpoint and return it."""
        return ApiCall("PATCH", identified(_ENDPOINT, endpoint_id), body=changes, idempotency_key=idempotency_key)

    @method
    def delete(self, endpoint_id: str, *, idempotency_key: str | None = None) -> ApiCall[DeletedResource]:
        """Delete an endpoint and its deliveries."""
        return ApiCall("DELETE", identified(_ENDPOINT, endpoint_id), idempotency_key=idempotency_key)

    @list_method
    def list(self, **query: Unpack[arguments.ListParams]) -> ApiCall[Page[EndpointResource]]:
        """List endpoints."""
        return listed("/webhook_endpoints", query)

    @method
    def test(self, endpoint_id: str, *, idempotency_key: str | None = None) -> ApiCall[Json]:
        """Send a made-up `session.paid` and return the attempt: what the endpoint answered."""
        return ApiCall("POST", identified(f"{_ENDPOINT}/test", endpoint_id), idempotency_key=idempotency_key)

    @method
    def rotate_secret(
        self, endpoint_id: str, *, overlap_seconds: int | None = None, idempotency_key: str | None = None
    ) -> ApiCall[EndpointResource]:
        """Give an endpoint a new `secret`, which this answer holds; both sign until the overlap (a day) is over."""
        body = {} if overlap_seconds is None else {"overlap_seconds": overlap_seconds}
        path = identified(f"{_ENDPOINT}/rotate_secret", endpoint_id)
        return ApiCall("POST", path, body=body, idempotency_key=idempotency_key)

    @list_method
    def deliveries(self, endpoint_id: str, **query: Unpack[arguments.DeliveryListParams]) -> ApiCall[Page[Json]]:
        """List an endpoint's deliveries."""
        return listed(identified(f"{_ENDPOINT}/deliveries", endpoint_id), query)

    @method
    def replay(
        self,
        endpoint_id: str,
        *,
        event_id: str | None = None,
        since: arguments.Moment | None = None,
        idempotency_key: str | None = None,
    ) -> ApiCall[Json]:
        """Send again what was not delivered: one event, or all since a time."""
        body = {name: value for name, value in (("event_id", event_id), ("since", since)) if value is not None}
        path = identified(f"{_ENDPOINT}/replay", endpoint_id)
        return ApiCall("POST", path, body=body, idempotency_key=idempotency_key)


class EventsApi(Resource[C]):
    """What has happened, as webhooks tell it."""

    @method
    def retrieve(self, event_id: str) -> ApiCall[EventResource]:
        """Return an event."""
        return ApiCall("GET", identified("/events/{id}", event_id))

    @list_method
    def list(self, **query: Unpack[arguments.EventListParams]) -> ApiCall[Page[EventResource]]:
        """List events."""
        return listed("/events", query)


class CustomersApi(Resource[C]):
    """Those who paid, by email. Their pages have a `total`."""

    @method
    def create(
        self, *, idempotency_key: str | None = None, **fields: Unpack[arguments.CustomerParams]
    ) -> ApiCall[CustomerResource]:
        """Make a customer."""
        return ApiCall("POST", "/customers", body=fields, idempotency_key=idempotency_key)

    @method
    def retrieve(self, customer_id: str) -> ApiCall[CustomerResource]:
        """Return a customer."""
        return ApiCall("GET", identified(_CUSTOMER, customer_id))

    @method
    def update(
        self, customer_id: str, *, idempotency_key: str | None = None, **changes: Unpack[arguments.CustomerChanges]
    ) -> ApiCall[CustomerResource]:
        """Change a customer and return it."""
        return ApiCall("PATCH", identified(_CUSTOMER, customer_id), body=changes, idempotency_key=idempotency_key)

    @list_method
    def list(self, **query: Unpack[arguments.CustomerListParams]) -> ApiCall[Page[CustomerResource]]:
        """List customers."""
        return listed("/customers", query)


class TestHelpersApi(Resource[C]):
    """Drives the simulated chain of test mode. Live keys are refused with PermissionDenied."""

    @method
    def pay(
        self, session_id: str, *, idempotency_key: str | None = None, **payment: Unpack[arguments.TestPayment]
    ) -> ApiCall[SessionResource]:
        """Pay a session, with the exact amount unless told otherwise, and return it."""
        path = identified(f"/test_helpers{_SESSION}/pay", session_id)
        return ApiCall("POST", path, body=payment, idempotency_key=idempotency_key)

    @method
    def mine(self, *, blocks: int = 1, idempotency_key: str | None = None) -> ApiCall[Json]:
        """Mine blocks and have them processed."""
        return ApiCall("POST", "/test_helpers/chain/mine", body={"blocks": blocks}, idempotency_key=idempotency_key)

    @method
    def reorg(self, *, depth: int, idempotency_key: str | None = None) -> ApiCall[Json]:
        """Replace the last blocks by others."""
        return ApiCall("POST", "/test_helpers/chain/reorg", body={"depth": depth}, idempotency_key=idempotency_key)

    @method
    def outage(self, *, seconds: int, idempotency_key: str | None = None) -> ApiCall[Json]:
        """Make the chain unreachable for a while."""
        return ApiCall("POST", "/test_helpers/chain/outage", body={"seconds": seconds}, idempotency_key=idempotency_key)

    @method
    def price_outage(self, *, seconds: int, idempotency_key: str | None = None) -> ApiCall[Json]:
        """Have test mode know no price for a while."""
        return ApiCall(
            "POST", "/test_helpers/prices/outage", body={"seconds": seconds}, idempotency_key=idempotency_key
        )

    @method
    def advance_clock(self, *, seconds: int, idempotency_key: str | None = None) -> ApiCall[Json]:
        """Put the chain's clock forward."""
        return ApiCall(
            "POST", "/test_helpers/clock/advance", body={"seconds": seconds}, idempotency_key=idempotency_key
        )
