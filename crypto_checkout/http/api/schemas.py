"""The shape of every request: what can be checked of it by itself. What a mode or a chain allows is checked later.

The text under a field is its description in the API's documentation.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from crypto_checkout.core.ledger.payment import TransferKind
from crypto_checkout.core.sandbox import Scenario

from .fields import (
    AmountText,
    ChainId,
    CoinText,
    CurrencyCode,
    DeliveryState,
    Description,
    Email,
    EventTypes,
    Flag,
    Id,
    Limit,
    LinkId,
    Metadata,
    Moment,
    MomentField,
    PageNumber,
    SessionStatus,
    Symbol,
    Title,
    TypeOfEvent,
    Url,
    WebhookUrl,
    Whole,
)


class Request(BaseModel):
    """A JSON body: camelCase, no unknown fields, no silent conversions."""

    model_config = ConfigDict(
        extra="forbid", strict=True, alias_generator=to_camel, frozen=True, use_attribute_docstrings=True
    )


class Query(BaseModel):
    """Query parameters, all of them texts."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def _exactly_one(first: str, second: str) -> dict[str, Any]:
    """Say in a schema that one of two fields must be given; null is not."""
    nothing: dict[str, Any] = {"type": "null"}
    return {
        "oneOf": [
            {"required": [one], "properties": {one: {"not": nothing}, other: nothing}}
            for one, other in ((first, second), (second, first))
        ]
    }


def _alone(alone: str, *others: str) -> dict[str, Any]:
    """Say in a schema that a field comes without others; null is not there.

    Inside `allOf` generators of clients keep what else the schema says.
    """
    nothing: dict[str, Any] = {"type": "null"}
    return {"anyOf": [{"properties": {alone: nothing}}, {"properties": dict.fromkeys(others, nothing)}]}


class Price(Request):
    """A price in a currency, as a decimal string."""

    value: AmountText
    """With at most as many decimals as the currency has: `"10.00"` in USD, `"1500"` in JPY."""
    currency: CurrencyCode
    """ISO 4217."""


class AssetChoice(Request):
    """A coin on a chain."""

    chain_id: ChainId
    """The chain (EIP-155)."""
    asset: Symbol
    """The coin's symbol."""


Assets = Annotated[list[AssetChoice], Field(min_length=1, max_length=20, json_schema_extra={"uniqueItems": True})]


class NewSession(Request):
    """A new session: at a price of its own or at a payment link's."""

    model_config = ConfigDict(
        json_schema_extra={**_exactly_one("amount", "linkId"), "allOf": [_alone("assets", "chainId", "asset")]}
    )

    link_id: LinkId | None = None
    """The payment link to take everything from that isn't given here. Give this or `amount`."""
    amount: Price | None = None
    """The price. Give this or `linkId`."""
    chain_id: ChainId | None = None
    """The chain to pay on; without it the first configured one."""
    asset: Symbol | None = None
    """The coin to pay in; without it the chain's native coin."""
    assets: Assets | None = None
    """What the payer may choose from, instead of `chainId` and `asset`. Those on chains that take no payments at the
    moment are left out."""
    metadata: Metadata | None = None
    """Your own notes."""
    success_url: Url | None = None
    """Where payers go once it is paid; may hold `{CHECKOUT_SESSION_ID}`. https, or http for loopback hosts and in
    test mode."""
    cancel_url: Url | None = None
    """Where payers go who don't want to pay."""
    return_url: Url | None = None
    """Where payers go otherwise."""
    customer_email: Email | None = None
    """Who pays."""
    expires_in_seconds: Annotated[int, Field(ge=60, le=86_400), Whole] | None = None
    """How long the price holds; without it `[sessions] ttl_seconds` of the configuration."""


class NewLink(Request):
    """A new payment link."""

    model_config = ConfigDict(json_schema_extra={"allOf": [_alone("assets", "chainId", "asset")]})

    title: Title
    """What is sold."""
    fiat_amount: AmountText
    """The price, with at most as many decimals as its currency has."""
    fiat_currency: CurrencyCode = "USD"
    """ISO 4217."""
    description: Description | None = None
    """More about it."""
    chain_id: ChainId | None = None
    """The chain to pay on; without it the first configured one."""
    asset: Symbol | None = None
    """The coin to pay in; without it the chain's native coin."""
    assets: Assets | None = None
    """What payers may choose from, instead of `chainId` and `asset`."""
    success_url: Url | None = None
    """Where payers go once it is paid; may hold `{CHECKOUT_SESSION_ID}`. https, or http for loopback hosts and in
    test mode."""
    cancel_url: Url | None = None
    """Where payers go who don't want to pay."""
    metadata: Metadata | None = None
    """Your own notes; its sessions get a copy."""
    active: bool = True
    """Whether it takes payments."""


class ChangedLink(Request):
    """What changes of a payment link: what isn't given stays; null takes away what may be missing."""

    title: Title = ""
    """What is sold."""
    fiat_amount: AmountText = ""
    """The price, with at most as many decimals as its currency has."""
    fiat_currency: CurrencyCode = ""
    """ISO 4217."""
    description: Description | None = None
    """More about it."""
    chain_id: ChainId | None = None
    """The chain to pay on."""
    asset: Symbol | None = None
    """The coin to pay in."""
    assets: Assets | None = None
    """What payers may choose from; a link that has a `chainId` or an `asset` needs null for them beside it."""
    success_url: Url | None = None
    """Where payers go once it is paid."""
    cancel_url: Url | None = None
    """Where payers go who don't want to pay."""
    metadata: Metadata | None = None
    """Your own notes; all of them are replaced."""
    active: bool = True
    """Whether it takes payments."""


class NewEndpoint(Request):
    """A new webhook endpoint."""

    url: WebhookUrl
    """Where events are sent. https; http in test mode. No private addresses, unless the configuration allows them."""
    events: EventTypes
    """The types it wants; `["*"]` means all."""
    description: Description | None = None
    """Your own note."""
    active: bool = True
    """Whether anything is sent."""


class ChangedEndpoint(Request):
    """What changes of a webhook endpoint: what isn't given stays."""

    url: WebhookUrl = ""
    """Where events are sent."""
    events: EventTypes = []
    """The types it wants; `["*"]` means all."""
    description: Description | None = None
    """Your own note."""
    active: bool = True
    """Whether anything is sent; `true` also brings back one that the server has disabled."""


class Rotation(Request):
    """How a secret is rotated."""

    overlap_seconds: Annotated[int, Field(ge=0, le=604_800), Whole] = 86_400
    """How long the old secret signs beside the new one; 0 ends it at once, and all others before it."""


class NewReplay(Request):
    """What is sent again: one event, or all that was missed."""

    model_config = ConfigDict(json_schema_extra=_exactly_one("eventId", "since"))

    event_id: Id | None = None
    """The event to send, whatever came of it before. Give this or `since`."""
    since: MomentField | None = None
    """From when on to send what was not delivered. Give this or `eventId`."""


class NewCustomer(Request):
    """A new customer."""

    email: Email
    """Unique in its mode, whatever its case."""
    name: Title | None = None
    """What they are called."""
    metadata: Metadata | None = None
    """Your own notes."""


class ChangedCustomer(Request):
    """What changes of a customer: what isn't given stays; null takes away what may be missing."""

    email: Email = ""
    """Unique in its mode, whatever its case."""
    name: Title | None = None
    """What they are called."""
    metadata: Metadata | None = None
    """Your own notes; all of them are replaced."""


def _one_of(kinds: type[StrEnum]) -> AfterValidator:
    """Take the values of an enumeration."""

    def check(text: str) -> str:
        if text not in list(kinds):
            raise ValueError(f'must be one of {", ".join(kinds)}; got "{text[:40]}"')
        return text

    return AfterValidator(check)


_KindName = Annotated[str, _one_of(TransferKind), Field(json_schema_extra={"enum": [*TransferKind]})]
_ScenarioName = Annotated[str, _one_of(Scenario), Field(json_schema_extra={"enum": [*Scenario]})]


class NewPayment(Request):
    """A payment of test mode, or a scenario."""

    model_config = ConfigDict(json_schema_extra=_alone("scenario", "amount", "kind", "transfers"))

    amount: CoinText | None = None
    """How much comes, in whole coins; without it what is missing."""
    kind: _KindName | None = None
    """How the money moves: `native` or `internal` (sent by a contract) for the chain's own coin, `token` for others."""
    transfers: Annotated[int, Field(ge=1, le=20), Whole] | None = None
    """In how many transfers, each in a block of its own; without it one."""
    scenario: _ScenarioName | None = None
    """What becomes of the session, to its end and at once. Nothing else is given with it."""


class Mining(Request):
    """Blocks of test mode."""

    blocks: Annotated[int, Field(ge=1, le=10_000), Whole] = 1
    """How many."""


class Reorganisation(Request):
    """A reorg of test mode."""

    depth: Annotated[int, Field(ge=1, le=1_000), Whole] = 1
    """How many of the newest blocks are replaced."""


class Outage(Request):
    """An outage of test mode."""

    seconds: Annotated[int, Field(ge=1, le=3_600), Whole]
    """How long it lasts."""


class ClockAdvance(Request):
    """A step of test mode's clock."""

    seconds: Annotated[int, Field(ge=1, le=2_592_000), Whole]
    """How far."""


class Nothing(Request):
    """No body, or an empty object."""


class NoQuery(Query):
    """No query parameters."""


class ListQuery(Query):
    """What every cursor list takes."""

    limit: Limit = 25
    """How many at most."""
    starting_after: str | None = None
    """Go on to older ones: `nextCursor` of the part before, or an id of this list."""
    ending_before: str | None = None
    """Look for newer ones: `nextCursor` of a poll before, or an id of this list."""


class SessionsQuery(ListQuery):
    """The filters of `GET /checkout_sessions`."""

    status: SessionStatus | None = None
    """Only those in this status."""
    linkId: Id | None = None  # noqa: N815 - the name of the query parameter
    """Only those of this payment link."""
    customerEmail: Email | None = None  # noqa: N815
    """Only those of this customer, whatever its case."""
    createdAfter: Moment | None = None  # noqa: N815
    """Only those made after this time."""
    createdBefore: Moment | None = None  # noqa: N815
    """Only those made before this time."""


class LinksQuery(ListQuery):
    """The filters of `GET /payment_links`."""

    active: Flag | None = None
    """Only those that take payments, or only those that don't."""


class EventsQuery(ListQuery):
    """The filters of `GET /events`."""

    type: TypeOfEvent | None = None
    """Only those of this type."""
    resourceId: Id | None = None  # noqa: N815
    """Only those of this resource."""
    createdAfter: Moment | None = None  # noqa: N815
    """Only those after this time."""


class DeliveriesQuery(ListQuery):
    """The filters of `GET /webhook_endpoints/{id}/deliveries`."""

    status: DeliveryState | None = None
    """Only those in this status."""


class CustomersQuery(Query):
    """The page and filter of `GET /customers`."""

    page: PageNumber = 1
    """The page's number."""
    limit: Limit = 25
    """How many a page has at most."""
    email: Email | None = None
    """Only the one with this email, whatever its case."""
