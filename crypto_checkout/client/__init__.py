"""A client of the API for those who integrate a shop: typed, retrying, in a blocking and an asynchronous form.

    from crypto_checkout.client import CheckoutClient, verify_webhook

    with CheckoutClient("https://pay.example.com", api_key) as client:
        session = client.checkout_sessions.create(amount={"value": "10.00", "currency": "USD"})
        send_payer_to(session["checkoutUrl"])
        for paid in client.checkout_sessions.list(status="paid"):
            ship(paid["metadata"])

Answers are the API's JSON, as dicts with types: what the documentation and webhooks call `checkoutUrl` is
`session["checkoutUrl"]`. Arguments are the API's fields in snake_case; an argument left out is not sent, and None is
sent as null. Nothing of the server is imported here but the shapes of its resources and the check of its signatures.
"""

from crypto_checkout.core.public.types import (
    AmountResource,
    CustomerResource,
    DeletedResource,
    EndpointResource,
    EventResource,
    FiatResource,
    LinkResource,
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
    "CheckoutApiError",
    "CheckoutClient",
    "CheckoutClientError",
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
    "RateLimited",
    "RateResource",
    "ServerError",
    "SessionResource",
    "verify_webhook",
]
