"""The public shape of every resource: the JSON that the API answers, webhooks carry and the client reads.

Coin amounts are integer strings in smallest units, with a decimal beside them; times are ISO 8601 in UTC. The text
under a field is its description in the API documentation. Resources are built by `core.public.render`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired

from typing_extensions import TypedDict

from crypto_checkout.core.owner.api_key import Scope
from crypto_checkout.core.public.formats import Address, Currency, Decimal, Hash, Moment, TextFormat, Units, Url
from crypto_checkout.core.public.names import (
    AskedName,
    EventName,
    FieldKindName,
    SessionStatus,
    TransferName,
)
from crypto_checkout.core.webhooks.events import EventType


class AmountResource(TypedDict):
    """An amount of a coin."""

    asset: str
    """The coin's symbol."""
    units: Units
    """The amount in the coin's smallest unit: wei for ETH, millionths for USDC."""
    value: Decimal
    """The same amount in whole coins."""
    wei: Units | None
    """`units` if the asset is the chain's native coin, otherwise null."""
    eth: Decimal | None
    """`value` if the asset is the chain's native coin, otherwise null."""


class FiatResource(TypedDict):
    """A price in a currency."""

    amount: Decimal
    """The price, with exactly as many decimals as its currency has."""
    currency: Currency
    """The currency (ISO 4217)."""


class RateResource(TypedDict):
    """The exchange rate at which a session was priced: one `base` costs `value` of `quote`."""

    base: str
    """The coin."""
    quote: Currency
    """The currency."""
    value: Decimal
    """The price of one coin."""
    sources: list[str]
    """The price sources; the value is their median."""
    observedAt: Moment
    """The time of the oldest observation."""


class ChoiceResource(TypedDict):
    """A coin on a chain."""

    chainId: int
    """The chain id (EIP-155)."""
    asset: str
    """The coin's symbol."""


class PayerFieldsResource(TypedDict):
    """The usual questions to a payer; each is `required`, `optional`, or `no`, which doesn't ask."""

    email: AskedName
    """The payer's email address."""
    name: AskedName
    """The payer's name."""
    note: AskedName
    """A note to the shop."""


class CustomFieldResource(TypedDict):
    """A question of your own to the payer; the answer becomes metadata."""

    key: str
    """The key of the answer in the session's `metadata`."""
    label: str
    """The question, as the payer reads it."""
    type: FieldKindName
    """`text` for a line of text, `choice` for one of `options`."""
    required: bool
    """Whether the payer must answer."""
    options: list[str] | None
    """The answers to choose from; null for a text."""
    maxLength: int | None
    """The most characters of a text; null for a choice."""


_Sender = TypedDict("_Sender", {"from": Address | None})
"""In the functional form, because "from" is a Python keyword."""


class PaymentResource(_Sender, TypedDict):
    """A transfer to a session's address, in a block of the chain. `from` is the sender, null if it is unknown."""

    txHash: Hash | None
    """The transaction; null for a transfer from a contract that the node could not trace, for a token payment without a
    log, and for dust."""
    logIndex: int | None
    """The index of the transfer's log in its block; null for native coins."""
    kind: TransferName
    """The kind of transfer: a plain transfer, one from inside a contract, or a token transfer."""
    amount: AmountResource
    """The amount transferred."""
    blockNumber: int
    """The number of its block."""
    blockHash: Hash
    """The hash of its block."""
    blockTime: Moment
    """The block's own time, which decides whether the payment is on time or late."""
    confirmations: int
    """The number of confirmations: 1 in the newest block."""
    counted: bool
    """Whether it counts towards the price; false if it came too late."""
    transfers: int
    """The number of transfers that it sums up: 1, except for dust. Transfers worth too little to be listed are added up
    block by block, with neither a transaction nor a sender."""


class SessionResource(TypedDict):
    """A checkout session: one purchase, with its own address and a price that is fixed for a limited time."""

    id: str
    """`cs_…`; sortable by time."""
    object: Literal["checkout_session"]
    """The type of this object."""
    livemode: bool
    """Whether it takes real money; false on the sandbox chain of test mode."""
    linkId: str | None
    """The payment link that it was created from."""
    status: SessionStatus
    """The status of the payment; ship once it is `paid`."""
    statusReason: str | None
    """The reason, if the status alone doesn't tell: `closed`, `accepted`, `payment_reorged`."""
    address: Address
    """The address to pay to (EIP-55), used for this session only."""
    addressIndex: int
    """The number of the address in your wallet, from 0. No two sessions of a wallet share one."""
    addressPath: str | None
    """The derivation path of the address (BIP-44), as far as the wallet's extended public key tells: `?` stands for an
    account that it doesn't name. Null if the address is derived from no key, or its path isn't known."""
    chainId: int
    """The chain to pay on (EIP-155)."""
    asset: str
    """The coin to pay in."""
    assets: list[ChoiceResource]
    """The assets that the payer may choose from; one entry if there is no choice."""
    assetChosen: bool
    """Whether the asset is settled. While it is false, the payment page asks the payer, and `chainId`, `asset`,
    `amount`, `rate` and the fields that follow from them are those of the first of `assets` that has a price."""
    amount: AmountResource
    """The amount due."""
    amountReceived: AmountResource
    """The amount received on time, confirmed or not."""
    amountRemaining: AmountResource
    """The amount still missing."""
    amountRefunded: AmountResource
    """The amount paid back by refunds in this session's asset; those on their way are not in it."""
    refundable: AmountResource
    """The amount that a refund can still be made for: what has arrived and is confirmed, on time or late, less all
    refunds that aren't canceled."""
    fiat: FiatResource
    """The price."""
    quantity: int | None
    """The number of pieces that the price is for; null unless it came from a link that sells several."""
    ethPriceUsd: Decimal | None
    """The price of one native coin in USD; null for tokens, and where no source quotes it in USD."""
    rate: RateResource
    """The rate at which the price was converted."""
    confirmations: int
    """The number of confirmations that every counted payment has."""
    requiredConfirmations: int
    """The number of confirmations from which money counts as received."""
    payments: list[PaymentResource]
    """The payments to the address, at most the newest 100; sums of dust only where there is room."""
    txHash: Hash | None
    """The transaction of the first counted payment; dust has none."""
    paymentUri: str
    """The URI for wallets to open or scan (EIP-681)."""
    checkoutUrl: Url
    """The URL of the payment page."""
    successUrl: str | None
    """Where payers go after the payment."""
    cancelUrl: str | None
    """Where payers go if they cancel."""
    returnUrl: str | None
    """Where payers go in all other cases."""
    customerEmail: str | None
    """The payer's email; once the session is paid, it becomes a customer."""
    customerName: str | None
    """The payer's name, which the customer gets too unless you named them."""
    customerNote: str | None
    """The payer's note to you."""
    metadata: Mapping[str, str] | None
    """Your own key-value data, and the payer's answers to `customFields`."""
    payerFields: PayerFieldsResource | None
    """What the payer is asked for, besides what you have given."""
    customFields: list[CustomFieldResource] | None
    """Questions of your own to the payer."""
    payerAnswered: bool
    """Whether the payer has answered what is asked; true if nothing is. While it is false, the payment page asks, and
    shows neither address nor amount of coins."""
    expiresAt: Moment
    """The end of the fixed price, compared with the time of the paying block."""
    paidAt: Moment | None
    """The time of payment."""
    receiptNumber: str | None
    """The number of the receipt, which it keeps: `2026-000123`, in test mode `T2026-000123`. Null until it is paid, and
    for sessions that were paid before there were receipts."""
    receiptUrl: Url | None
    """The URL of the receipt, for the payer. It says so if the payment was taken back. Null without a receipt."""
    createdAt: Moment
    """The time of creation."""
    updatedAt: Moment
    """The time of the last change."""


class EndpointResource(TypedDict):
    """A webhook endpoint: a URL of yours that is notified of events."""

    id: str
    """`we_…`; sortable by time."""
    object: Literal["webhook_endpoint"]
    """The type of this object."""
    livemode: bool
    """Whether it gets the events of live mode; false for those of test mode."""
    url: str
    """The URL that events are sent to."""
    events: list[Annotated[str, TextFormat(enum=("*", *EventType))]]
    """The event types it subscribes to; `*` alone means all."""
    description: str | None
    """Your own note."""
    active: bool
    """Whether events are sent to it."""
    disabledReason: str | None
    """The reason if the server has disabled it."""
    missedSince: Moment | None
    """The time since which it may have missed events while it was disabled; a replay from then clears it."""
    secretPrefix: str
    """The beginning of its secret, to tell secrets apart."""
    createdAt: Moment
    """The time of creation."""
    updatedAt: Moment
    """The time of the last change."""
    secret: NotRequired[str]
    """The signing secret (`whsec_…`); only in the answers that create or rotate it."""


class CustomerResource(TypedDict):
    """A customer: a payer who left an email, or a person that you added."""

    id: str
    """`cus_…`; sortable by time."""
    object: Literal["customer"]
    """The type of this object."""
    livemode: bool
    """Whether it belongs to live mode; false in test mode."""
    email: str
    """The email, unique in its mode and compared case-insensitively."""
    name: str | None
    """The customer's name."""
    metadata: Mapping[str, str] | None
    """Your own key-value data."""
    createdAt: Moment
    """The time of creation."""
    updatedAt: Moment
    """The time of the last change or payment."""


class ApiKeyResource(TypedDict):
    """An API key as the audit log shows it: never the key itself."""

    id: str
    """`ak_…`; sortable by time."""
    object: Literal["api_key"]
    """The type of this object."""
    livemode: bool
    """Whether it belongs to live mode; false in test mode."""
    name: str
    """The purpose of the key."""
    prefix: str
    """The first characters of the key."""
    scopes: list[Annotated[str, TextFormat(enum=tuple(Scope))]]
    """The permissions of the key."""
    createdAt: Moment
    """The time of creation."""
    lastUsedAt: Moment | None
    """The time of its last use, to the minute."""
    revokedAt: Moment | None
    """The time of its revocation."""


class EventResource(TypedDict):
    """A record of something that happened. Events never change."""

    id: str
    """`evt_…`; sortable by time. Handle each id only once: a webhook may be delivered twice."""
    object: Literal["event"]
    """The type of this object."""
    type: EventName
    """The type of the event."""
    livemode: bool
    """Whether it belongs to live mode; false in test mode."""
    data: Mapping[str, Any]
    """The resource that the event is about, as it was at the time."""
    createdAt: Moment
    """The time of the event."""


class DeletedResource(TypedDict):
    """The confirmation that a resource was deleted."""

    id: str
    """The id of the deleted resource."""
    object: Annotated[str, TextFormat(enum=("payment_link", "webhook_endpoint"))]
    """The type of the deleted resource."""
    deleted: Literal[True]
    """Always true."""


class SandboxChainResource(TypedDict):
    """The sandbox chain after a test helper changed it."""

    object: Literal["chain"]
    """The type of this object."""
    livemode: Literal[False]
    """Always false."""
    chainId: int
    """The chain id."""
    blockNumber: int
    """The number of its newest block."""
