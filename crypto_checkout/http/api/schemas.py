"""The shape of every request: what can be checked of it by itself. What a mode or a chain allows is checked later."""

import re
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from crypto_checkout.core import moments
from crypto_checkout.core.delivery import DeliveryStatus
from crypto_checkout.core.endpoint import ALL_EVENTS
from crypto_checkout.core.events import EventType
from crypto_checkout.core.session import Status

_LINE_BREAK = re.compile(r"[\t\n\r]")
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f-\x9f]{1,64}@[^@\s.\x00-\x1f\x7f-\x9f]+(\.[^@\s.\x00-\x1f\x7f-\x9f]+)+")
_ID = re.compile(r"[a-z]{2,8}_[0-9A-Za-z]{1,64}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})", re.ASCII)
_EVENT_TYPES = tuple(each.value for each in EventType)


class Request(BaseModel):
    """A JSON body: camelCase, no unknown fields, no silent conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel, frozen=True)


class Query(BaseModel):
    """Query parameters, all of them texts."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _text(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text


def _line(text: str) -> str:
    if _LINE_BREAK.search(text):
        raise ValueError("must be one line, without line breaks and tabs")
    return _text(text)


def _email(text: str) -> str:
    if not _EMAIL.fullmatch(text):
        raise ValueError(f'must be an email address like "ada@example.com"; got "{text[:40]}"')
    return text


def _url(text: str) -> str:
    # Parsers disagree about these: some drop line breaks, and browsers take a backslash for a slash.
    if any(character.isspace() or not character.isprintable() or character == "\\" for character in text):
        raise ValueError("must have no spaces, line breaks or backslashes; write %20 and the like")
    return text


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError(f'must be an id as this API gives them; got "{text[:40]}"')
    return text


def _events(types: list[str]) -> list[str]:
    if ALL_EVENTS in types and len(types) > 1:
        raise ValueError('"*" means all events and must stand alone')
    for place, event_type in enumerate(types):
        if event_type != ALL_EVENTS and event_type not in _EVENT_TYPES:
            raise ValueError(f'"{event_type[:40]}" is no event type; use "*" or some of {", ".join(_EVENT_TYPES)}')
        if event_type in types[:place]:
            raise ValueError(f'"{event_type}" stands twice')
    return types


def _limit(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,2}", text) or int(text) > 100:  # noqa: PLR2004 - the contract's bound
        raise ValueError(f'must be a whole number from 1 to 100; got "{text[:20]}"')
    return int(text)


def _moment(text: str) -> datetime:
    try:
        if _MOMENT.fullmatch(text):
            return moments.from_text(text)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f'must be a time with a zone, like "2026-01-31T12:00:00Z"; got "{text[:40]}"')


def _moment_field(value: object) -> datetime:
    if not isinstance(value, str):
        raise ValueError('must be a time with a zone, like "2026-01-31T12:00:00Z"')  # noqa: TRY004 - pydantic's way
    return _moment(value)


def _page(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise ValueError(f'must be a whole number from 1; got "{text[:20]}"')
    return int(text)


def _delivery_status(text: str) -> DeliveryStatus:
    try:
        return DeliveryStatus(text)
    except ValueError:
        raise ValueError(f'"{text[:20]}" is no status; use one of {", ".join(DeliveryStatus)}') from None


def _flag(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError(f'must be true or false; got "{text[:20]}"')
    return text == "true"


def _status(text: str) -> Status:
    try:
        return Status(text)
    except ValueError:
        raise ValueError(f'"{text[:20]}" is no status; use one of {", ".join(Status)}') from None


def _event_type(text: str) -> str:
    if text not in _EVENT_TYPES:
        raise ValueError(f'"{text[:40]}" is no event type; use one of {", ".join(_EVENT_TYPES)}')
    return text


Title = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_line)]
Description = Annotated[str, StringConstraints(min_length=1, max_length=1000), AfterValidator(_text)]
Url = Annotated[str, StringConstraints(min_length=1, max_length=2048), AfterValidator(_url)]
Email = Annotated[str, StringConstraints(max_length=254), AfterValidator(_email)]
AmountText = Annotated[str, StringConstraints(max_length=40)]
CurrencyCode = Annotated[str, StringConstraints(max_length=10)]
Symbol = Annotated[str, StringConstraints(min_length=1, max_length=20)]
Id = Annotated[str, AfterValidator(_id)]
ChainId = Annotated[int, Field(gt=0, lt=2**53)]
EventTypes = Annotated[list[str], Field(min_length=1, max_length=50), AfterValidator(_events)]
Metadata = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=40), AfterValidator(_line)],
        Annotated[str, StringConstraints(max_length=500)],
    ],
    Field(max_length=50),
]


class Amount(Request):
    """A price in a currency (ISO 4217), as a decimal string."""

    value: AmountText
    currency: CurrencyCode


class NewSession(Request):
    """The body of `POST /checkout_sessions`: exactly one of `linkId` and `amount`."""

    link_id: Annotated[str, StringConstraints(max_length=60)] | None = None
    amount: Amount | None = None
    chain_id: ChainId | None = None
    asset: Symbol | None = None
    metadata: Metadata | None = None
    success_url: Url | None = None
    cancel_url: Url | None = None
    return_url: Url | None = None
    customer_email: Email | None = None
    expires_in_seconds: Annotated[int, Field(ge=60, le=86_400)] | None = None


class NewLink(Request):
    """The body of `POST /payment_links`."""

    title: Title
    fiat_amount: AmountText
    fiat_currency: CurrencyCode = "USD"
    description: Description | None = None
    chain_id: ChainId | None = None
    asset: Symbol | None = None
    success_url: Url | None = None
    cancel_url: Url | None = None
    metadata: Metadata | None = None
    active: bool = True


class ChangedLink(Request):
    """The body of `PATCH /payment_links/{id}`: what isn't given stays; null takes away what may be missing."""

    title: Title = ""
    fiat_amount: AmountText = ""
    fiat_currency: CurrencyCode = ""
    description: Description | None = None
    chain_id: ChainId | None = None
    asset: Symbol | None = None
    success_url: Url | None = None
    cancel_url: Url | None = None
    metadata: Metadata | None = None
    active: bool = True


class NewEndpoint(Request):
    """The body of `POST /webhook_endpoints`."""

    url: Url
    events: EventTypes
    description: Description | None = None
    active: bool = True


class ChangedEndpoint(Request):
    """The body of `PATCH /webhook_endpoints/{id}`: what isn't given stays."""

    url: Url = ""
    events: EventTypes = []
    description: Description | None = None
    active: bool = True


class Rotation(Request):
    """The body of `POST /webhook_endpoints/{id}/rotate_secret`."""

    overlap_seconds: Annotated[int, Field(ge=0, le=604_800)] = 86_400


class Replay(Request):
    """The body of `POST /webhook_endpoints/{id}/replay`: exactly one of `eventId` and `since`."""

    event_id: Id | None = None
    since: Annotated[datetime, BeforeValidator(_moment_field)] | None = None


class NewCustomer(Request):
    """The body of `POST /customers`."""

    email: Email
    name: Title | None = None
    metadata: Metadata | None = None


class ChangedCustomer(Request):
    """The body of `PATCH /customers/{id}`: what isn't given stays; null takes away what may be missing."""

    email: Email = ""
    name: Title | None = None
    metadata: Metadata | None = None


class Payment(Request):
    """The body of the test helper that pays a session; no amount means what is missing."""

    amount: AmountText | None = None


class Mining(Request):
    """The body of the test helper that mines blocks."""

    blocks: Annotated[int, Field(ge=1, le=10_000)] = 1


class Nothing(Request):
    """No body, or an empty object."""


class NoQuery(Query):
    """No query parameters."""


class ListQuery(Query):
    """What every cursor list takes."""

    limit: Annotated[int, BeforeValidator(_limit)] = 25
    starting_after: str | None = None
    ending_before: str | None = None


class SessionsQuery(ListQuery):
    """The filters of `GET /checkout_sessions`."""

    status: Annotated[Status, BeforeValidator(_status)] | None = None
    linkId: Id | None = None  # noqa: N815 - the name of the query parameter
    customerEmail: Email | None = None  # noqa: N815
    createdAfter: Annotated[datetime, BeforeValidator(_moment)] | None = None  # noqa: N815
    createdBefore: Annotated[datetime, BeforeValidator(_moment)] | None = None  # noqa: N815


class LinksQuery(ListQuery):
    """The filters of `GET /payment_links`."""

    active: Annotated[bool, BeforeValidator(_flag)] | None = None


class EventsQuery(ListQuery):
    """The filters of `GET /events`."""

    type: Annotated[str, AfterValidator(_event_type)] | None = None
    resourceId: Id | None = None  # noqa: N815
    createdAfter: Annotated[datetime, BeforeValidator(_moment)] | None = None  # noqa: N815


class DeliveriesQuery(ListQuery):
    """The filters of `GET /webhook_endpoints/{id}/deliveries`."""

    status: Annotated[DeliveryStatus, BeforeValidator(_delivery_status)] | None = None


class CustomersQuery(Query):
    """The page and filter of `GET /customers`."""

    page: Annotated[int, BeforeValidator(_page)] = 1
    limit: Annotated[int, BeforeValidator(_limit)] = 25
    email: Email | None = None
