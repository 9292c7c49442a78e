"""The public shape of every resource: the JSON that the API answers, webhooks carry and the client reads.

Amounts of coins are integer texts of smallest units with a decimal beside them; times are ISO 8601 UTC. What builds
them is in `core.public.render`. The text under a field is its description in the API's documentation.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired

from typing_extensions import TypedDict

from crypto_checkout.core.checkout.session import Status
from crypto_checkout.core.ledger.payment import TransferKind
from crypto_checkout.core.owner.api_key import Scope
from crypto_checkout.core.public.formats import Address, Currency, Decimal, Hash, Moment, TextFormat, Units, Url
from crypto_checkout.core.webhooks.delivery import DeliveryStatus
from crypto_checkout.core.webhooks.events import EventType


class AmountResource(TypedDict):
    """An amount of a coin."""

    asset: str
    """The coin's symbol."""
    units: Units
    """The amount in the coin's smallest unit: wei for ETH, millionths for USDC."""
    value: Decimal
    """The same in whole coins."""
    wei: Units | None
    """`units` where the asset is the chain's native coin, else null."""
    eth: Decimal | None
    """`value` where the asset is the chain's native coin, else null."""


class FiatResource(TypedDict):
    """A price in a currency."""

    amount: Decimal
    """The price, with exactly the decimals of its currency."""
    currency: Currency
    """ISO 4217."""


class RateResource(TypedDict):
    """The rate that a session was priced at: one `base` costs `value` of `quote`."""

    base: str
    """The coin."""
    quote: Currency
    """The currency."""
    value: Decimal
    """What one coin costs."""
    sources: list[str]
    """Who said so; the value is the median of them."""
    observedAt: Moment
    """When the oldest of them said it."""


class ChoiceResource(TypedDict):
    """A coin on a chain."""

    chainId: int
    """The chain (EIP-155)."""
    asset: str
    """The coin's symbol."""


_Sender = TypedDict("_Sender", {"from": Address | None})
"""Apart and in the functional form, because "from" is a keyword of Python."""


class PaymentResource(_Sender, TypedDict):
    """A transfer to a session's address, in a block of the chain. `from` is who sent it, null where nobody can tell."""

    txHash: Hash | None
    """The transaction; null for money from a contract that the node could not trace."""
    logIndex: int | None
    """Which log of the block tells of it; null for native coins."""
    kind: Annotated[str, TextFormat(enum=tuple(TransferKind))]
    """How it came: as a plain transfer, from inside a contract, or as a token."""
    amount: AmountResource
    """What came."""
    blockNumber: int
    """The block it is in."""
    blockHash: Hash
    """The block's hash."""
    blockTime: Moment
    """The block's own time, by which a payment is on time or late."""
    confirmations: int
    """How deep it is: 1 in the newest block."""
    counted: bool
    """Whether it counts for the session; not when it came too late."""


class SessionResource(TypedDict):
    """A checkout session: one purchase, with an address of its own and a price that holds for a while."""

    id: str
    """`cs_…`; sortable by time."""
    object: Literal["checkout_session"]
    """What this is."""
    livemode: bool
    """Real money, or the simulated chain of test mode."""
    linkId: str | None
    """The payment link it was made from."""
    status: Annotated[str, TextFormat(enum=tuple(Status))]
    """Where the payment stands. `paid` is the one to ship on."""
    statusReason: str | None
    """Why, where the status alone doesn't tell: `closed`, `accepted`, `payment_reorged`."""
    address: Address
    """Where to pay (EIP-55); used for this session only."""
    chainId: int
    """The chain to pay on (EIP-155)."""
    asset: str
    """The coin to pay in."""
    assets: list[ChoiceResource]
    """What the payer may choose from; one entry where there is no choice."""
    assetChosen: bool
    """Whether the asset is settled. While it is false the payer's page asks, and `chainId`, `asset`, `amount`, `rate`
    and what follows from them are those of the first of `assets` that has a price."""
    amount: AmountResource
    """What is asked for."""
    amountReceived: AmountResource
    """What has arrived in time, confirmed or not."""
    amountRemaining: AmountResource
    """What is still missing."""
    fiat: FiatResource
    """The price."""
    ethPriceUsd: Decimal | None
    """What one native coin cost in USD; null for tokens."""
    rate: RateResource
    """How the price became an amount."""
    confirmations: int
    """The depth that every counted payment has."""
    requiredConfirmations: int
    """The depth at which money counts as arrived."""
    payments: list[PaymentResource]
    """What has come to the address."""
    txHash: Hash | None
    """The transaction of the first counted payment."""
    paymentUri: str
    """What wallets open or scan (EIP-681)."""
    checkoutUrl: Url
    """The payment page."""
    successUrl: str | None
    """Where payers go once it is paid."""
    cancelUrl: str | None
    """Where payers go who don't want to pay."""
    returnUrl: str | None
    """Where payers go otherwise."""
    customerEmail: str | None
    """Who pays; a paid session makes a customer of it."""
    metadata: Mapping[str, str] | None
    """Your own notes."""
    expiresAt: Moment
    """Until when the price holds, by the time of the block that pays."""
    paidAt: Moment | None
    """When it was paid."""
    createdAt: Moment
    """When it was made."""
    updatedAt: Moment
    """When something of it changed last."""


class LinkResource(TypedDict):
    """A payment link: a page that anyone may open, each time for a new session at its price."""

    id: str
    """`pl_…`; sortable by time."""
    object: Literal["payment_link"]
    """What this is."""
    livemode: bool
    """Real money or test mode."""
    slug: str
    """Its part of the address."""
    title: str
    """What is sold."""
    description: str | None
    """More about it."""
    fiatAmount: Decimal
    """The price, with the decimals of its currency."""
    fiatCurrency: Currency
    """ISO 4217."""
    chainId: int | None
    """The chain that its sessions are paid on; null means the first configured one."""
    asset: str | None
    """The coin that its sessions are paid in; null means the chain's native coin."""
    assets: list[ChoiceResource] | None
    """What payers choose from; null where `chainId` and `asset` say it."""
    successUrl: str | None
    """Where payers go once it is paid."""
    cancelUrl: str | None
    """Where payers go who don't want to pay."""
    metadata: Mapping[str, str] | None
    """Your own notes; its sessions get a copy."""
    active: bool
    """Whether it takes payments."""
    checkoutUrl: Url
    """What you give to payers."""
    createdAt: Moment
    """When it was made."""
    updatedAt: Moment
    """When it was changed last."""


class EndpointResource(TypedDict):
    """A webhook endpoint: an address of yours that is told of events."""

    id: str
    """`we_…`; sortable by time."""
    object: Literal["webhook_endpoint"]
    """What this is."""
    livemode: bool
    """Whose events it gets: real money's or test mode's."""
    url: str
    """Where events are sent."""
    events: list[Annotated[str, TextFormat(enum=("*", *EventType))]]
    """The types it wants; `*` alone means all."""
    description: str | None
    """Your own note."""
    active: bool
    """Whether anything is sent."""
    disabledReason: str | None
    """Why the server has switched it off."""
    missedSince: Moment | None
    """From when on it may have missed events while it was switched off; a replay since then clears it."""
    secretPrefix: str
    """The beginning of its secret, to tell secrets apart."""
    createdAt: Moment
    """When it was made."""
    updatedAt: Moment
    """When it was changed last."""
    secret: NotRequired[str]
    """What deliveries are signed with (`whsec_…`); only in the answer that made it or rotated it."""


class CustomerResource(TypedDict):
    """A customer: somebody who has paid a session with their email, or whom you made."""

    id: str
    """`cus_…`; sortable by time."""
    object: Literal["customer"]
    """What this is."""
    livemode: bool
    """Real money or test mode."""
    email: str
    """Unique in its mode, whatever its case."""
    name: str | None
    """What they are called."""
    metadata: Mapping[str, str] | None
    """Your own notes."""
    createdAt: Moment
    """When it was made."""
    updatedAt: Moment
    """When it was changed, or paid, last."""


class ApiKeyResource(TypedDict):
    """An API key as the audit log shows it: never the key itself."""

    id: str
    """`ak_…`; sortable by time."""
    object: Literal["api_key"]
    """What this is."""
    livemode: bool
    """Real money or test mode."""
    name: str
    """What it is for."""
    prefix: str
    """Its first characters."""
    scopes: list[Annotated[str, TextFormat(enum=tuple(Scope))]]
    """What it may do."""
    createdAt: Moment
    """When it was made."""
    lastUsedAt: Moment | None
    """When it was used last, to the minute."""
    revokedAt: Moment | None
    """When it was taken out of use."""


class EventResource(TypedDict):
    """Something that happened. It never changes."""

    id: str
    """`evt_…`; sortable by time. Act on each once only: a webhook may come twice."""
    object: Literal["event"]
    """What this is."""
    type: Annotated[str, TextFormat(enum=tuple(EventType))]
    """What happened."""
    livemode: bool
    """Real money or test mode."""
    data: Mapping[str, Any]
    """The resource that it happened to, as it was then."""
    createdAt: Moment
    """When it happened."""


class DeletedResource(TypedDict):
    """What is left of a deleted resource."""

    id: str
    """Its id."""
    object: Annotated[str, TextFormat(enum=("payment_link", "webhook_endpoint"))]
    """What it was."""
    deleted: Literal[True]
    """It is gone."""


class AttemptResource(TypedDict):
    """One attempt to deliver an event, and what came of it."""

    number: int
    """Counts from 1."""
    startedAt: Moment
    """When it began."""
    durationMs: int
    """How long it took."""
    statusCode: int | None
    """What the endpoint answered; null where it didn't."""
    error: str | None
    """Why it failed, where there was no usable answer: `refused`, `timeout`, `tls` and so on."""
    detail: str | None
    """The same for people, in a sentence; null where the endpoint took it."""
    responseExcerpt: str
    """The beginning of the answer, up to 4 KiB, without secrets and control characters."""


class DeliveryResource(TypedDict):
    """The delivery of an event to an endpoint."""

    object: Literal["webhook_delivery"]
    """What this is."""
    eventId: str
    """What is delivered."""
    eventType: Annotated[str, TextFormat(enum=tuple(EventType))]
    """Its type."""
    endpointId: str
    """Where it goes."""
    status: Annotated[str, TextFormat(enum=tuple(DeliveryStatus))]
    """Where it stands."""
    nextAttemptAt: Moment | None
    """When it is tried next; null when it is over."""
    attempts: list[AttemptResource]
    """What was tried, oldest first: the newest 20 attempts, for as long as attempts are kept."""
    createdAt: Moment
    """When it was due first."""
    updatedAt: Moment
    """When it was tried last."""


class ReplayResource(TypedDict):
    """The answer to a replay."""

    object: Literal["webhook_replay"]
    """What this is."""
    endpointId: str
    """Where it goes."""
    queued: int
    """How many deliveries wait to be sent again; at most 5000 from one replay."""
    hasMore: bool
    """Whether more was missed than that: ask again for the rest."""


class AttemptedResource(TypedDict):
    """The answer to a test of an endpoint: the one attempt that was made."""

    object: Literal["webhook_attempt"]
    """What this is."""
    endpointId: str
    """Where it went."""
    succeeded: bool
    """Whether the endpoint took it."""
    attempt: AttemptResource
    """What was sent and answered."""


class SandboxChainResource(TypedDict):
    """The simulated chain after a test helper moved it."""

    object: Literal["chain"]
    """What this is."""
    livemode: Literal[False]
    """It is never real."""
    chainId: int
    """Its number."""
    blockNumber: int
    """Its newest block."""
