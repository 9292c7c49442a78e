"""The Python client of the Crypto Checkout API: typed, with retries, in a blocking and an asynchronous version.

    from crypto_checkout.client import CheckoutClient, verify_webhook

    with CheckoutClient("https://pay.example.com", api_key) as client:
        session = client.checkout_sessions.create(amount={"value": "10.00", "currency": "USD"})
        send_payer_to(session["checkoutUrl"])
        for paid in client.checkout_sessions.list(status="paid"):
            ship(paid["metadata"])

Methods return the API's JSON as typed dicts: the field `checkoutUrl` of the documentation and of webhooks is
`session["checkoutUrl"]`. Arguments are the API's fields in snake_case; an omitted argument is not sent, and None is
sent as null. A call that fails raises a `CheckoutClientError`.

For maintainers: of the server, this package imports only the shapes of resources and the verification of signatures.
A new operation is one method in `resources`, which serves both clients.
"""

from crypto_checkout.core.public.balances import BalanceResource, BalanceTotalResource
from crypto_checkout.core.public.collection_types import CollectionResource
from crypto_checkout.core.public.link_types import LinkResource, QuantityResource
from crypto_checkout.core.public.refund_types import RefundResource
from crypto_checkout.core.public.types import (
    AmountResource,
    CustomerResource,
    DeletedResource,
    EndpointResource,
    EventResource,
    FiatResource,
    PaymentResource,
    RateResource,
    SessionResource,
)
from crypto_checkout.webhooks.signing import InvalidSignature

from .clients import AsyncCheckoutClient, CheckoutClient
from .connections import AsyncListing, Listing
from .errors import (
    AuthenticationError,
    CheckoutApiError,
    CheckoutClientError,
    Conflict,
    ConnectionFailed,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerError,
)
from .pages import Page
from .signatures import verify_webhook

__all__ = [
    "AmountResource",
    "AsyncCheckoutClient",
    "AsyncListing",
    "AuthenticationError",
    "BalanceResource",
    "BalanceTotalResource",
    "CheckoutApiError",
    "CheckoutClient",
    "CheckoutClientError",
    "CollectionResource",
    "Conflict",
    "ConnectionFailed",
    "CustomerResource",
    "DeletedResource",
    "EndpointResource",
    "EventResource",
    "FiatResource",
    "InvalidRequest",
    "InvalidSignature",
    "LinkResource",
    "Listing",
    "NotFound",
    "Page",
    "PaymentResource",
    "PermissionDenied",
    "QuantityResource",
    "RateLimited",
    "RateResource",
    "RefundResource",
    "ServerError",
    "SessionResource",
    "verify_webhook",
]
