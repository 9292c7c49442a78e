"""The public shape of every resource: the JSON that the API answers, webhooks carry and the client reads.

Amounts of coins are integer texts of smallest units with a decimal beside them; times are ISO 8601 UTC. What builds
them is in `core.resources`.
"""

from collections.abc import Mapping
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict


class AmountResource(TypedDict):
    """A coin amount; `wei` and `eth` are null unless the asset is the chain's native coin."""

    asset: str
    units: str
    value: str
    wei: str | None
    eth: str | None


class FiatResource(TypedDict):
    """A fiat amount with the decimals of its currency (ISO 4217)."""

    amount: str
    currency: str


class RateResource(TypedDict):
    """The rate that a session was priced at: one `base` costs `value` of `quote`."""

    base: str
    quote: str
    value: str
    sources: list[str]
    observedAt: str


# The functional form, because "from" is a keyword of Python.
PaymentResource = TypedDict(
    "PaymentResource",
    {
        "txHash": str | None,
        "logIndex": int | None,
        "kind": str,
        "from": str | None,
        "amount": AmountResource,
        "blockNumber": int,
        "blockHash": str,
        "blockTime": str,
        "confirmations": int,
        "counted": bool,
    },
)
PaymentResource.__doc__ = "A transfer to a session's address in a canonical block; not `counted` when it came too late."


class SessionResource(TypedDict):
    """A checkout session."""

    id: str
    object: Literal["checkout_session"]
    livemode: bool
    linkId: str | None
    status: str
    statusReason: str | None
    address: str
    chainId: int
    asset: str
    amount: AmountResource
    amountReceived: AmountResource
    amountRemaining: AmountResource
    fiat: FiatResource
    ethPriceUsd: str | None
    rate: RateResource
    confirmations: int
    requiredConfirmations: int
    payments: list[PaymentResource]
    txHash: str | None
    paymentUri: str
    checkoutUrl: str
    successUrl: str | None
    cancelUrl: str | None
    returnUrl: str | None
    customerEmail: str | None
    metadata: Mapping[str, str] | None
    expiresAt: str
    paidAt: str | None
    createdAt: str
    updatedAt: str


class LinkResource(TypedDict):
    """A payment link."""

    id: str
    object: Literal["payment_link"]
    livemode: bool
    slug: str
    title: str
    description: str | None
    fiatAmount: str
    fiatCurrency: str
    chainId: int | None
    asset: str | None
    successUrl: str | None
    cancelUrl: str | None
    metadata: Mapping[str, str] | None
    active: bool
    checkoutUrl: str
    createdAt: str
    updatedAt: str


class EndpointResource(TypedDict):
    """A webhook endpoint; `secret` is there only in the answer to its creation and to a rotation."""

    id: str
    object: Literal["webhook_endpoint"]
    livemode: bool
    url: str
    events: list[str]
    description: str | None
    active: bool
    disabledReason: str | None
    secretPrefix: str
    createdAt: str
    updatedAt: str
    secret: NotRequired[str]


class CustomerResource(TypedDict):
    """A customer."""

    id: str
    object: Literal["customer"]
    livemode: bool
    email: str
    name: str | None
    metadata: Mapping[str, str] | None
    createdAt: str
    updatedAt: str


class ApiKeyResource(TypedDict):
    """An API key as the audit log shows it: never the key itself."""

    id: str
    object: Literal["api_key"]
    livemode: bool
    name: str
    prefix: str
    scopes: list[str]
    createdAt: str
    lastUsedAt: str | None
    revokedAt: str | None


class EventResource(TypedDict):
    """An event; `data` is the resource as of its moment."""

    id: str
    object: Literal["event"]
    type: str
    livemode: bool
    data: Mapping[str, Any]
    createdAt: str


class DeletedResource(TypedDict):
    """The answer to a deletion."""

    id: str
    object: str
    deleted: Literal[True]


class AttemptResource(TypedDict):
    """One attempt to deliver an event, and what came of it."""

    number: int
    startedAt: str
    durationMs: int
    statusCode: int | None
    error: str | None
    responseExcerpt: str


class DeliveryResource(TypedDict):
    """The delivery of an event to an endpoint."""

    object: Literal["webhook_delivery"]
    eventId: str
    eventType: str
    endpointId: str
    status: str
    nextAttemptAt: str | None
    attempts: list[AttemptResource]
    createdAt: str
    updatedAt: str


class ReplayResource(TypedDict):
    """The answer to a replay: how many deliveries wait to be sent again."""

    object: Literal["webhook_replay"]
    endpointId: str
    queued: int


class AttemptedResource(TypedDict):
    """The answer to a test of an endpoint: the one attempt that was made."""

    object: Literal["webhook_attempt"]
    endpointId: str
    succeeded: bool
    attempt: AttemptResource


class SandboxChainResource(TypedDict):
    """The simulated chain after a test helper moved it."""

    object: Literal["chain"]
    livemode: Literal[False]
    chainId: int
    blockNumber: int
