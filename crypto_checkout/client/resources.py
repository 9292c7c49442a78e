"""The methods of both clients, named as in the API. Each makes a call and sends nothing; see `methods`.

Every method that writes takes an `idempotency_key`. The default is a random one, which makes the client's own retries
safe. Pass one of your own, such as `f"order-{order_id}"`, to make yours safe too, even from another process.
"""

from collections.abc import Sequence
from typing import Any, TypeVar, Unpack

from crypto_checkout.client.calls import ApiCall, identified
from crypto_checkout.core.public.balances import BalanceResource, BalanceTotalResource
from crypto_checkout.core.public.collection_types import CollectionResource
from crypto_checkout.core.public.link_types import LinkResource
from crypto_checkout.core.public.refund_types import RefundResource
from crypto_checkout.core.public.types import (
    CustomerResource,
    DeletedResource,
    EndpointResource,
    EventResource,
    PaymentResource,
    SessionResource,
)

from . import arguments
from .methods import Resource, list_method, method
from .pages import Page, listed

C = TypeVar("C")

Json = dict[str, Any]
"""A JSON object without a type of its own."""

_LINK = "/payment_links/{id}"
_SESSION = "/checkout_sessions/{id}"
_ENDPOINT = "/webhook_endpoints/{id}"
_CUSTOMER = "/customers/{id}"
_REFUND = "/refunds/{id}"
_COLLECTION = "/collections/{id}"


class PaymentLinksApi(Resource[C]):
    """Payment links: anyone may open one, and each visit creates a checkout session at its price."""

    @method
    def create(
        self, *, idempotency_key: str | None = None, **fields: Unpack[arguments.LinkParams]
    ) -> ApiCall[LinkResource]:
        """Create a payment link; share its `checkoutUrl`."""
        return ApiCall("POST", "/payment_links", body=fields, idempotency_key=idempotency_key)

    @method
    def retrieve(self, link_id: str) -> ApiCall[LinkResource]:
        """Return a payment link."""
        return ApiCall("GET", identified(_LINK, link_id))

    @method
    def update(
        self, link_id: str, *, idempotency_key: str | None = None, **changes: Unpack[arguments.LinkChanges]
    ) -> ApiCall[LinkResource]:
        """Update a payment link and return it. Existing sessions keep their price."""
        return ApiCall("PATCH", identified(_LINK, link_id), body=changes, idempotency_key=idempotency_key)

    @method
    def delete(self, link_id: str, *, idempotency_key: str | None = None) -> ApiCall[DeletedResource]:
        """Delete a payment link. Its sessions remain."""
        return ApiCall("DELETE", identified(_LINK, link_id), idempotency_key=idempotency_key)

    @list_method
    def list(self, **query: Unpack[arguments.LinkListParams]) -> ApiCall[Page[LinkResource]]:
        """List payment links, newest first."""
        return listed("/payment_links", query)


class CheckoutSessionsApi(Resource[C]):
    """Checkout sessions: single payments, each with a price and an address of its own."""

    @method
    def create(
        self, *, idempotency_key: str | None = None, **fields: Unpack[arguments.SessionParams]
    ) -> ApiCall[SessionResource]:
        """Create a session for an `amount` or from a `link_id`, then send the payer to its `checkoutUrl`.

        The price is fixed until the session expires. Check `status`, or wait for the webhook `session.paid`, before you
        deliver: a visit to `success_url` is not proof of payment.
        """
        return ApiCall("POST", "/checkout_sessions", body=fields, idempotency_key=idempotency_key)

    @method
    def retrieve(self, session_id: str) -> ApiCall[SessionResource]:
        """Return a session."""
        return ApiCall("GET", identified(_SESSION, session_id))

    @list_method
    def list(self, **query: Unpack[arguments.SessionListParams]) -> ApiCall[Page[SessionResource]]:
        """List sessions, newest first."""
        return listed("/checkout_sessions", query)

    @list_method
    def payments(self, session_id: str, **query: Unpack[arguments.ListParams]) -> ApiCall[Page[PaymentResource]]:
        """List all payments of a session, last recorded first; the session itself shows the newest 100."""
        return listed(identified(f"{_SESSION}/payments", session_id), query)

    @method
    def expire(self, session_id: str, *, idempotency_key: str | None = None) -> ApiCall[SessionResource]:
        """Close a session that is pending or underpaid. Later payments to it are recorded as late.

        Raises Conflict for a session of another status.
        """
        return ApiCall("POST", identified(f"{_SESSION}/expire", session_id), idempotency_key=idempotency_key)

    @method
    def accept(self, session_id: str, *, idempotency_key: str | None = None) -> ApiCall[SessionResource]:
        """Accept the amount received as full payment: an underpaid, overpaid or late session becomes paid.

        Raises Conflict for a session of another status.
        """
        return ApiCall("POST", identified(f"{_SESSION}/accept", session_id), idempotency_key=idempotency_key)


class WebhookEndpointsApi(Resource[C]):
    """Webhook endpoints: the URLs that events are sent to. Verify deliveries there with `verify_webhook`."""

    @method
    def create(
        self, *, idempotency_key: str | None = None, **fields: Unpack[arguments.EndpointParams]
    ) -> ApiCall[EndpointResource]:
        """Create an endpoint. Store its `secret`: no later answer contains it."""
        return ApiCall("POST", "/webhook_endpoints", body=fields, idempotency_key=idempotency_key)

    @method
    def retrieve(self, endpoint_id: str) -> ApiCall[EndpointResource]:
        """Return an endpoint, without its secret."""
        return ApiCall("GET", identified(_ENDPOINT, endpoint_id))

    @method
    def update(
        self, endpoint_id: str, *, idempotency_key: str | None = None, **changes: Unpack[arguments.EndpointChanges]
    ) -> ApiCall[EndpointResource]:
        """Update an endpoint and return it. `active=True` re-enables one that the server disabled."""
        return ApiCall("PATCH", identified(_ENDPOINT, endpoint_id), body=changes, idempotency_key=idempotency_key)

    @method
    def delete(self, endpoint_id: str, *, idempotency_key: str | None = None) -> ApiCall[DeletedResource]:
        """Delete an endpoint and its deliveries."""
        return ApiCall("DELETE", identified(_ENDPOINT, endpoint_id), idempotency_key=idempotency_key)

    @list_method
    def list(self, **query: Unpack[arguments.ListParams]) -> ApiCall[Page[EndpointResource]]:
        """List endpoints, newest first."""
        return listed("/webhook_endpoints", query)

    @method
    def test(self, endpoint_id: str, *, idempotency_key: str | None = None) -> ApiCall[Json]:
        """Send a sample `session.paid` once, and return the attempt with the endpoint's answer."""
        return ApiCall("POST", identified(f"{_ENDPOINT}/test", endpoint_id), idempotency_key=idempotency_key)

    @method
    def rotate_secret(
        self, endpoint_id: str, *, overlap_seconds: int | None = None, idempotency_key: str | None = None
    ) -> ApiCall[EndpointResource]:
        """Replace an endpoint's `secret`, and return the endpoint with the new one. No later answer contains it.

        Deliveries carry signatures of both secrets for `overlap_seconds`, up to a week and by default a day; 0 revokes
        all earlier secrets at once.
        """
        body = {} if overlap_seconds is None else {"overlap_seconds": overlap_seconds}
        path = identified(f"{_ENDPOINT}/rotate_secret", endpoint_id)
        return ApiCall("POST", path, body=body, idempotency_key=idempotency_key)

    @list_method
    def deliveries(self, endpoint_id: str, **query: Unpack[arguments.DeliveryListParams]) -> ApiCall[Page[Json]]:
        """List an endpoint's deliveries with their attempts, newest first."""
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
        """Send again: one event, delivered or not, or all undelivered events since a time.

        Pass exactly one of `event_id` and `since`.
        """
        body = {name: value for name, value in (("event_id", event_id), ("since", since)) if value is not None}
        path = identified(f"{_ENDPOINT}/replay", endpoint_id)
        return ApiCall("POST", path, body=body, idempotency_key=idempotency_key)


class EventsApi(Resource[C]):
    """Events: the history of the shop, with the same bodies as webhooks."""

    @method
    def retrieve(self, event_id: str) -> ApiCall[EventResource]:
        """Return an event, exactly as webhooks carry it."""
        return ApiCall("GET", identified("/events/{id}", event_id))

    @list_method
    def list(self, **query: Unpack[arguments.EventListParams]) -> ApiCall[Page[EventResource]]:
        """List events, newest first."""
        return listed("/events", query)


class CustomersApi(Resource[C]):
    """Customers, identified by email. A paid session with a `customer_email` creates one. Pages have a `total`."""

    @method
    def create(
        self, *, idempotency_key: str | None = None, **fields: Unpack[arguments.CustomerParams]
    ) -> ApiCall[CustomerResource]:
        """Create a customer."""
        return ApiCall("POST", "/customers", body=fields, idempotency_key=idempotency_key)

    @method
    def retrieve(self, customer_id: str) -> ApiCall[CustomerResource]:
        """Return a customer."""
        return ApiCall("GET", identified(_CUSTOMER, customer_id))

    @method
    def update(
        self, customer_id: str, *, idempotency_key: str | None = None, **changes: Unpack[arguments.CustomerChanges]
    ) -> ApiCall[CustomerResource]:
        """Update a customer and return it. `metadata` is replaced as a whole."""
        return ApiCall("PATCH", identified(_CUSTOMER, customer_id), body=changes, idempotency_key=idempotency_key)

    @list_method
    def list(self, **query: Unpack[arguments.CustomerListParams]) -> ApiCall[Page[CustomerResource]]:
        """List customers, newest first."""
        return listed("/customers", query)


class RefundsApi(Resource[C]):
    """Refunds: money that goes back to payers from your own wallet. The owner approves them in the dashboard."""

    @method
    def create(
        self, *, idempotency_key: str | None = None, **fields: Unpack[arguments.RefundParams]
    ) -> ApiCall[RefundResource]:
        """Create a refund; without a `destination`, send the payer to its `claimUrl`."""
        return ApiCall("POST", "/refunds", body=fields, idempotency_key=idempotency_key)

    @method
    def retrieve(self, refund_id: str) -> ApiCall[RefundResource]:
        """Return a refund."""
        return ApiCall("GET", identified(_REFUND, refund_id))

    @list_method
    def list(self, **query: Unpack[arguments.RefundListParams]) -> ApiCall[Page[RefundResource]]:
        """List refunds, newest first."""
        return listed("/refunds", query)

    @method
    def cancel(self, refund_id: str, *, idempotency_key: str | None = None) -> ApiCall[RefundResource]:
        """Cancel a refund that no transaction pays."""
        return ApiCall("POST", identified(f"{_REFUND}/cancel", refund_id), idempotency_key=idempotency_key)

    @method
    def paid(self, refund_id: str, *, tx_hash: str, idempotency_key: str | None = None) -> ApiCall[RefundResource]:
        """Say which transaction pays a refund. It becomes `paid` once the chain shows that."""
        return ApiCall(
            "POST",
            identified(f"{_REFUND}/paid", refund_id),
            body={"tx_hash": tx_hash},
            idempotency_key=idempotency_key,
        )


class BalancesApi(Resource[C]):
    """Balances: where your money is. It never moves by this API."""

    @list_method
    def list(self, **query: Unpack[arguments.BalanceListParams]) -> ApiCall[Page[BalanceResource]]:
        """List the balances of addresses, newest address first."""
        return listed("/balances", query)

    @method
    def totals(self, **query: Unpack[arguments.BalanceParams]) -> ApiCall[Sequence[BalanceTotalResource]]:
        """Return the sums of all balances: one for each asset of each chain."""
        return ApiCall("GET", "/balances", query={**query, "limit": 1}, read=lambda answer: answer["totals"])


class CollectionsApi(Resource[C]):
    """Collections: transactions by which money left your payment addresses. None of these calls makes one."""

    @method
    def retrieve(self, collection_id: str) -> ApiCall[CollectionResource]:
        """Return a collection."""
        return ApiCall("GET", identified(_COLLECTION, collection_id))

    @list_method
    def list(self, **query: Unpack[arguments.CollectionListParams]) -> ApiCall[Page[CollectionResource]]:
        """List collections, newest first."""
        return listed("/collections", query)


class TestHelpersApi(Resource[C]):
    """Test helpers: control the sandbox, the simulated chain of test mode. Live keys raise PermissionDenied."""

    @method
    def pay(
        self, session_id: str, *, idempotency_key: str | None = None, **payment: Unpack[arguments.TestPaymentParams]
    ) -> ApiCall[SessionResource]:
        """Pay a session, by default with the amount due, and return it once the payment is processed."""
        path = identified(f"/test_helpers{_SESSION}/pay", session_id)
        return ApiCall("POST", path, body=payment, idempotency_key=idempotency_key)

    @method
    def answer(
        self, session_id: str, *, idempotency_key: str | None = None, **answers: Unpack[arguments.TestAnswerParams]
    ) -> ApiCall[SessionResource]:
        """Answer what a session asks of its payer, as its payment page does, and return it."""
        path = identified(f"/test_helpers{_SESSION}/answer", session_id)
        return ApiCall("POST", path, body=answers, idempotency_key=idempotency_key)

    @method
    def collect(self, session_id: str, *, idempotency_key: str | None = None) -> ApiCall[CollectionResource]:
        """Collect everything that a session's address holds, and return the collection."""
        path = identified(f"/test_helpers{_SESSION}/collect", session_id)
        return ApiCall("POST", path, idempotency_key=idempotency_key)

    @method
    def mine(self, *, blocks: int = 1, idempotency_key: str | None = None) -> ApiCall[Json]:
        """Mine blocks, and process them."""
        return ApiCall("POST", "/test_helpers/chain/mine", body={"blocks": blocks}, idempotency_key=idempotency_key)

    @method
    def reorg(self, *, depth: int, idempotency_key: str | None = None) -> ApiCall[Json]:
        """Replace the last `depth` blocks: their payments are reversed, and then confirmed again."""
        return ApiCall("POST", "/test_helpers/chain/reorg", body={"depth": depth}, idempotency_key=idempotency_key)

    @method
    def outage(self, *, seconds: int, idempotency_key: str | None = None) -> ApiCall[Json]:
        """Make the chain unreachable for up to an hour. No payment is seen and no session expires meanwhile."""
        return ApiCall("POST", "/test_helpers/chain/outage", body={"seconds": seconds}, idempotency_key=idempotency_key)

    @method
    def price_outage(self, *, seconds: int, idempotency_key: str | None = None) -> ApiCall[Json]:
        """Make prices unavailable for up to an hour: creating a session then raises ServerError."""
        return ApiCall(
            "POST", "/test_helpers/prices/outage", body={"seconds": seconds}, idempotency_key=idempotency_key
        )

    @method
    def pay_refund(self, refund_id: str, *, idempotency_key: str | None = None) -> ApiCall[RefundResource]:
        """Pay a test refund, and approve it first if need be."""
        return ApiCall("POST", identified(f"/test_helpers{_REFUND}/pay", refund_id), idempotency_key=idempotency_key)

    @method
    def advance_clock(self, *, seconds: int, idempotency_key: str | None = None) -> ApiCall[Json]:
        """Put the clock of test mode forward, by up to 30 days: sessions expire, and webhook retries come due."""
        return ApiCall(
            "POST", "/test_helpers/clock/advance", body={"seconds": seconds}, idempotency_key=idempotency_key
        )
