"""The types of request fields: the checks of each value, and the schemas that document them."""

import re
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema

from crypto_checkout.core import metadata, moments, urls
from crypto_checkout.core.checkout.customer import LONGEST_EMAIL, is_email
from crypto_checkout.core.checkout.questions import LONGEST_LABEL, LONGEST_OPTION, MOST_OPTIONS, Asked, FieldKind
from crypto_checkout.core.checkout.session import Status
from crypto_checkout.core.collect.collection import CollectionStatus
from crypto_checkout.core.money import DECIMALS
from crypto_checkout.core.refunds.refund import RefundStatus
from crypto_checkout.core.webhooks.delivery import DeliveryStatus
from crypto_checkout.core.webhooks.endpoint import ALL_EVENTS
from crypto_checkout.core.webhooks.events import ALIASES, EventType

E = TypeVar("E", bound=StrEnum)

_LINE_BREAK = re.compile(r"[\t\n\r]")
_ID = re.compile(r"[a-z]{2,8}_[0-9A-Za-z]{1,64}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})", re.ASCII)
_HASH = re.compile(r"0x[0-9a-fA-F]{64}")
_MOST_DIGITS = 20
_EVENT_TYPES = tuple(each.value for each in EventType)
_EVENT_NAMES = (*_EVENT_TYPES, *ALIASES)


def _text(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text


def _line(text: str) -> str:
    if _LINE_BREAK.search(text):
        raise ValueError("must be one line, without line breaks and tabs")
    return _text(text)


def _email(text: str) -> str:
    if not is_email(text):
        raise ValueError(f'must be an email address like "ada@example.com"; got "{text[:40]}"')
    return text


def _url(text: str) -> str:
    if urls.has_unsafe_characters(text):
        raise ValueError("must have no spaces, line breaks or backslashes; write %20 and the like")
    return text


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError(f'must be an id as this API gives them; got "{text[:40]}"')
    return text


def _events(types: list[str]) -> list[str]:
    if ALL_EVENTS in types and len(types) > 1:
        raise ValueError('"*" means all events and must stand alone')
    for index, event_type in enumerate(types):
        if event_type != ALL_EVENTS and event_type not in _EVENT_NAMES:
            raise ValueError(f'"{event_type[:40]}" is no event type; use "*" or some of {", ".join(_EVENT_TYPES)}')
        if event_type in types[:index]:
            raise ValueError(f'"{event_type}" stands twice')
    return list(dict.fromkeys(ALIASES.get(event_type, event_type) for event_type in types))


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


def _whole(value: object) -> object:
    """Accept 900.0 as 900, as JSON Schema does."""
    if isinstance(value, Decimal) and value.adjusted() < _MOST_DIGITS and value == value.to_integral_value():
        return int(value)
    return value


def _page(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise ValueError(f'must be a whole number from 1; got "{text[:20]}"')
    return int(text)


def _chain_number(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,14}", text):
        raise ValueError(f'must be the number of a chain, like "1"; got "{text[:20]}"')
    return int(text)


def _delivery_status(text: str) -> DeliveryStatus:
    try:
        return DeliveryStatus(text)
    except ValueError:
        raise ValueError(f'"{text[:20]}" is no status; use one of {", ".join(DeliveryStatus)}') from None


def _refund_status(text: str) -> RefundStatus:
    return _member(RefundStatus, text)


def _collection_status(text: str) -> CollectionStatus:
    return _member(CollectionStatus, text)


def _member(statuses: type[E], text: str) -> E:
    try:
        return statuses(text)
    except ValueError:
        raise ValueError(f'"{text[:20]}" is no status; use one of {", ".join(statuses)}') from None


def _hash(text: str) -> str:
    if not _HASH.fullmatch(text):
        raise ValueError(f'must be the hash of a transaction, 0x and 64 hexadecimal digits; got "{text[:70]}"')
    return text.lower()


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
    if text not in _EVENT_NAMES:
        raise ValueError(f'"{text[:40]}" is no event type; use one of {", ".join(_EVENT_TYPES)}')
    return ALIASES.get(text, text)


def _asked(text: str) -> Asked:
    try:
        return Asked(text)
    except ValueError:
        raise ValueError(f'must be one of {", ".join(Asked)}; got "{text[:40]}"') from None


def _field_kind(text: str) -> FieldKind:
    try:
        return FieldKind(text)
    except ValueError:
        raise ValueError(f'must be one of {", ".join(FieldKind)}; got "{text[:40]}"') from None


def _options(options: list[str]) -> list[str]:
    for index, option in enumerate(options):
        if option != option.strip():
            raise ValueError(f'"{option[:40]}" has spaces at its ends')
        if option in options[:index]:
            raise ValueError(f'"{option[:40]}" stands twice')
    return options


def _schema(**schema: Any) -> Any:
    """Add to a field's schema the effect of checks that pydantic doesn't see.

    Patterns mean the same in ECMA-262 with and without its `u`, and to engines that match byte by byte: no escapes but
    of `.`, and no ranges outside ASCII. Where such a pattern can't say it, the words of the field do.
    """
    return Field(json_schema_extra=schema)


_PRICE = r"^([1-9][0-9]{0,14}(\.[0-9]{1,3})?|0\.([1-9][0-9]{0,2}|0[1-9][0-9]?|00[1-9]))$"

Line = Annotated[str, AfterValidator(_line)]
Title = Annotated[Line, StringConstraints(min_length=1, max_length=200)]
Description = Annotated[
    str,
    StringConstraints(min_length=1, max_length=1000),
    AfterValidator(_text),
]
# Hosts in any script are accepted, and any path: a pattern that says more refuses some of them in some language.
Url = Annotated[
    str,
    StringConstraints(min_length=1, max_length=2048),
    AfterValidator(_url),
    _schema(pattern="^[Hh][Tt][Tt][Pp][Ss]?://"),
]
Email = Annotated[
    str,
    StringConstraints(max_length=LONGEST_EMAIL),
    AfterValidator(_email),
    _schema(pattern=r"^[^@ ]+@[^@ ]+\.[^@ ]+$"),
]
AmountText = Annotated[str, StringConstraints(max_length=40), _schema(pattern=_PRICE, examples=["10.00"])]
CoinText = Annotated[str, StringConstraints(max_length=40), _schema(pattern=r"^[0-9]{1,20}(\.[0-9]{1,18})?$")]
CurrencyCode = Annotated[str, StringConstraints(max_length=10), _schema(enum=sorted(DECIMALS))]
Symbol = Annotated[str, StringConstraints(min_length=1, max_length=20)]
Id = Annotated[str, AfterValidator(_id), _schema(pattern=f"^{_ID.pattern}$")]
LinkId = Annotated[str, StringConstraints(max_length=60), _schema(pattern=f"^{_ID.pattern}$")]
AddressText = Annotated[str, StringConstraints(max_length=100), _schema(pattern="^0x[0-9a-fA-F]{40}$")]
HashText = Annotated[str, AfterValidator(_hash), _schema(pattern=f"^{_HASH.pattern}$")]
Whole = BeforeValidator(_whole)
"""Comes last in the annotation of a number, so that its bounds apply."""

ChainId = Annotated[int, Field(gt=0, lt=2**53), Whole]
EventTypes = Annotated[
    list[str],
    Field(min_length=1, max_length=50),
    AfterValidator(_events),
    _schema(items={"type": "string", "enum": [ALL_EVENTS, *_EVENT_NAMES]}, uniqueItems=True),
]
MetadataKey = Annotated[Line, StringConstraints(min_length=1, max_length=metadata.LONGEST_KEY)]
Metadata = Annotated[
    dict[
        MetadataKey,
        Annotated[str, StringConstraints(max_length=metadata.LONGEST_VALUE)],
    ],
    Field(max_length=metadata.MOST_KEYS),
]
AskedName = Annotated[str, AfterValidator(_asked), _schema(enum=[*Asked])]
FieldKindName = Annotated[str, AfterValidator(_field_kind), _schema(enum=[*FieldKind])]
Label = Annotated[Line, StringConstraints(min_length=1, max_length=LONGEST_LABEL)]
Options = Annotated[
    list[Annotated[Line, StringConstraints(min_length=1, max_length=LONGEST_OPTION)]],
    Field(min_length=1, max_length=MOST_OPTIONS),
    AfterValidator(_options),
    _schema(uniqueItems=True),
]

_MOMENT_SCHEMA = WithJsonSchema({"type": "string", "format": "date-time"})
Moment = Annotated[datetime, BeforeValidator(_moment), _MOMENT_SCHEMA]
MomentField = Annotated[datetime, BeforeValidator(_moment_field), _MOMENT_SCHEMA]
Limit = Annotated[int, BeforeValidator(_limit), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 100})]
PageNumber = Annotated[
    int, BeforeValidator(_page), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 999_999_999})
]
ChainNumber = Annotated[
    int, BeforeValidator(_chain_number), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 10**15 - 1})
]
Flag = Annotated[bool, BeforeValidator(_flag)]
SessionStatus = Annotated[Status, BeforeValidator(_status), WithJsonSchema({"type": "string", "enum": [*Status]})]
DeliveryState = Annotated[
    DeliveryStatus, BeforeValidator(_delivery_status), WithJsonSchema({"type": "string", "enum": [*DeliveryStatus]})
]
RefundState = Annotated[
    RefundStatus, BeforeValidator(_refund_status), WithJsonSchema({"type": "string", "enum": [*RefundStatus]})
]
CollectionState = Annotated[
    CollectionStatus,
    BeforeValidator(_collection_status),
    WithJsonSchema({"type": "string", "enum": [*CollectionStatus]}),
]
TypeOfEvent = Annotated[str, AfterValidator(_event_type), _schema(enum=[*_EVENT_NAMES])]
