"""The models of request bodies and queries, with the checks that need nothing but the request itself.

The docstrings of models and fields are their descriptions in the API's documentation.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from crypto_checkout.core.checkout.link import MOST_PIECES
from crypto_checkout.core.checkout.questions import MOST_CUSTOM_FIELDS, Asked
from crypto_checkout.core.metadata import LONGEST_VALUE

from .fields import (
    AmountText,
    AskedName,
    ChainId,
    ChainNumber,
    CurrencyCode,
    DeliveryState,
    Description,
    Email,
    EventTypes,
    FieldKindName,
    Flag,
    Id,
    Label,
    Limit,
    LinkId,
    Metadata,
    MetadataKey,
    Moment,
    MomentField,
    Options,
    PageNumber,
    SessionStatus,
    Symbol,
    Title,
    TypeOfEvent,
    Url,
    Whole,
)


class Request(BaseModel):
    """A JSON body: camelCase, no unknown fields, no implicit conversions."""

    model_config = ConfigDict(
        extra="forbid", strict=True, alias_generator=to_camel, frozen=True, use_attribute_docstrings=True
    )


class Query(BaseModel):
    """Query parameters, which are strings."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


_SOMETHING = ConfigDict(json_schema_extra={"minProperties": 1})
"""For a body that must have fields, though none in particular: which ones, its description says and the handler checks.

Alternatives in the schema would say it to machines, and cost generated clients the other fields.
"""


class Price(Request):
    """A price in a currency, as a decimal string."""

    value: AmountText
    """The amount, with at most as many decimals as the currency has: `"10.00"` in USD, `"1500"` in JPY."""
    currency: CurrencyCode
    """The currency (ISO 4217)."""


class AssetChoice(Request):
    """A coin on a chain."""

    chain_id: ChainId
    """The chain's id (EIP-155)."""
    asset: Symbol
    """The coin's symbol."""


Assets = Annotated[list[AssetChoice], Field(min_length=1, max_length=20, json_schema_extra={"uniqueItems": True})]


class PayerFieldsCreate(Request):
    """The usual questions to a payer: `required`, `optional`, or `no`, which doesn't ask."""

    email: AskedName = Asked.NO
    """The payer's email address, kept as `customerEmail`."""
    name: AskedName = Asked.NO
    """The payer's name, kept as `customerName`."""
    note: AskedName = Asked.NO
    """A note to you, kept as `customerNote`."""


class CustomFieldCreate(Request):
    """A question of your own to the payer."""

    key: MetadataKey
    """The key of the answer in the session's `metadata`; one that your own metadata doesn't use."""
    label: Label
    """The question, as the payer reads it."""
    type: FieldKindName
    """`text` for a line of text, `choice` for one of `options`."""
    required: bool = False
    """Whether the payer must answer."""
    options: Options | None = None
    """The answers to choose from; only for a `choice`, which needs them."""
    max_length: Annotated[int, Field(ge=1, le=LONGEST_VALUE), Whole] | None = None
    """The most characters of a `text`; by default 500."""


CustomFields = Annotated[list[CustomFieldCreate], Field(max_length=MOST_CUSTOM_FIELDS)]


class SessionCreate(Request):
    """A new session: give either `amount` or `linkId`, and either `assets` or `chainId` and `asset`.

    A link whose payers name the amount takes both `linkId` and `amount`.
    """

    model_config = _SOMETHING

    link_id: LinkId | None = None
    """The payment link that provides all fields not given here. Give this or `amount`."""
    amount: Price | None = None
    """The price. Give this or `linkId`; both if the link's `fiatAmount` is null."""
    quantity: Annotated[int, Field(ge=1, le=MOST_PIECES), Whole] | None = None
    """The number of pieces, for a link with a `quantity`; by default the least that it sells."""
    chain_id: ChainId | None = None
    """The chain to pay on; by default the first configured one."""
    asset: Symbol | None = None
    """The coin to pay in; by default the chain's native coin."""
    assets: Assets | None = None
    """The payer's choices, instead of `chainId` and `asset`. Those on chains that take no payments at the moment are
    left out."""
    metadata: Metadata | None = None
    """Your own data."""
    success_url: Url | None = None
    """The page for payers who have paid; may contain `{CHECKOUT_SESSION_ID}`. https, or http for loopback hosts and in
    test mode."""
    cancel_url: Url | None = None
    """The page for payers who cancel."""
    return_url: Url | None = None
    """The page for payers in all other cases."""
    customer_email: Email | None = None
    """The payer's email address; the payer isn't asked for it then."""
    customer_name: Title | None = None
    """The payer's name; the payer isn't asked for it then."""
    payer_fields: PayerFieldsCreate | None = None
    """What to ask the payer for before an address is shown; by default what the link asks for."""
    custom_fields: CustomFields | None = None
    """Your own questions for the payer; by default the link's. Give `[]` for none."""
    expires_in_seconds: Annotated[int, Field(ge=60, le=86_400), Whole] | None = None
    """The lifetime of the price; by default `[sessions] ttl_seconds` of the configuration."""


class EndpointCreate(Request):
    """A new webhook endpoint."""

    url: Url
    """The URL that receives events: https, or http in test mode. No private addresses, unless the configuration allows
    them."""
    events: EventTypes
    """The types of events to send; `["*"]` means all. `session.pending` is another name for `session.created`."""
    description: Description | None = None
    """Your own description."""
    active: bool = True
    """Whether events are sent."""


class EndpointUpdate(Request):
    """Changes to a webhook endpoint: fields not given stay as they are."""

    url: Url = ""
    """The URL that receives events."""
    events: EventTypes = []
    """The types of events to send; `["*"]` means all. `session.pending` is another name for `session.created`."""
    description: Description | None = None
    """Your own description."""
    active: bool = True
    """Whether events are sent; `true` also enables an endpoint that the server has disabled."""


class SecretRotation(Request):
    """The rotation of a secret."""

    overlap_seconds: Annotated[int, Field(ge=0, le=604_800), Whole] = 86_400
    """The time for which the old secret still signs; 0 ends it, and all older ones, at once."""


class ReplayCreate(Request):
    """Events to send again: give either `eventId`, for one of them, or `since`, for all that were not delivered."""

    model_config = _SOMETHING

    event_id: Id | None = None
    """The event to send, even if it was delivered. Give this or `since`."""
    since: MomentField | None = None
    """Send all events since this time that were not delivered. Give this or `eventId`."""


class CustomerCreate(Request):
    """A new customer."""

    email: Email
    """The email address; unique in its mode, ignoring case."""
    name: Title | None = None
    """The customer's name."""
    metadata: Metadata | None = None
    """Your own data."""


class CustomerUpdate(Request):
    """Changes to a customer: fields not given stay as they are; null removes optional ones."""

    email: Email = ""
    """The email address; unique in its mode, ignoring case."""
    name: Title | None = None
    """The customer's name."""
    metadata: Metadata | None = None
    """Your own data, replaced as a whole."""


class Nothing(Request):
    """No body, or an empty object."""


class NoQuery(Query):
    """No query parameters."""


class ListQuery(Query):
    """The parameters of every list with cursors."""

    limit: Limit = 25
    """The most objects to return."""
    starting_after: str | None = None
    """Return objects older than this: `nextCursor` of the previous part, or the id of an object."""
    ending_before: str | None = None
    """Return objects newer than this: `nextCursor` of the previous poll, or the id of an object."""


class SessionsQuery(ListQuery):
    """The filters of `GET /checkout_sessions`."""

    status: SessionStatus | None = None
    """Only those with this status."""
    linkId: Id | None = None  # noqa: N815 - the name of the query parameter
    """Only those of this payment link."""
    customerEmail: Email | None = None  # noqa: N815
    """Only those of the customer with this email address, ignoring case."""
    createdAfter: Moment | None = None  # noqa: N815
    """Only those created after this time."""
    createdBefore: Moment | None = None  # noqa: N815
    """Only those created before this time."""


class EventsQuery(ListQuery):
    """The filters of `GET /events`."""

    type: TypeOfEvent | None = None
    """Only those of this type; `session.pending` is another name for `session.created`."""
    resourceId: Id | None = None  # noqa: N815
    """Only those about the object with this id."""
    createdAfter: Moment | None = None  # noqa: N815
    """Only those created after this time."""


class DeliveriesQuery(ListQuery):
    """The filters of `GET /webhook_endpoints/{id}/deliveries`."""

    status: DeliveryState | None = None
    """Only those with this status."""


class BalancesQuery(ListQuery):
    """The filters of `GET /balances`."""

    chainId: ChainNumber | None = None  # noqa: N815
    """Only those on this chain (EIP-155)."""
    asset: Symbol | None = None
    """Only those of the asset with this symbol."""
    held: Flag | None = None
    """Only those that hold something now (`true`), or only those that hold nothing any more (`false`)."""


class CustomersQuery(Query):
    """The page and filter of `GET /customers`."""

    page: PageNumber = 1
    """The number of the page, from 1."""
    limit: Limit = 25
    """The most customers on a page."""
    email: Email | None = None
    """Only the customer with this email address, ignoring case."""
