"""The arguments of methods that have many. Those that a PATCH takes may be left out, which changes nothing there."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal, Required, TypedDict

from crypto_checkout.core.public.types import ChoiceResource

Money = str | Decimal
"""An amount of a currency or coin, exactly: "10.00" or Decimal("10.00"), never a float."""

Moment = str | datetime
"""A time with a zone: ISO 8601 as the API answers it, or an aware datetime."""

Scenario = Literal[
    "exact",
    "underpaid",
    "overpaid",
    "late",
    "after_grace",
    "top_up",
    "reorged",
    "reorged_after_paid",
    "internal",
    "wrong_token",
    "two_in_one_tx",
]
"""A story of a payment that test mode drives to its end."""


class Amount(TypedDict):
    """A price in a currency (ISO 4217)."""

    value: Money
    currency: str


class _LinkOptions(TypedDict, total=False):
    fiat_currency: str
    description: str | None
    chain_id: int | None
    asset: str | None
    assets: Sequence[ChoiceResource] | None
    success_url: str | None
    cancel_url: str | None
    metadata: Mapping[str, str] | None
    active: bool


class LinkParams(_LinkOptions, total=False):
    """A new payment link; its currency is USD unless it says otherwise."""

    title: Required[str]
    fiat_amount: Required[Money]


class LinkChanges(_LinkOptions, total=False):
    """What changes of a payment link."""

    title: str
    fiat_amount: Money


class SessionParams(TypedDict, total=False):
    """A new checkout session: exactly one of `amount` and `link_id`.

    With `assets` instead of `chain_id` and `asset`, the payer chooses: `[{"chainId": 1, "asset": "USDC"}, …]`.
    """

    amount: Amount
    link_id: str
    chain_id: int | None
    asset: str | None
    assets: Sequence[ChoiceResource] | None
    metadata: Mapping[str, str] | None
    success_url: str | None
    cancel_url: str | None
    return_url: str | None
    customer_email: str | None
    expires_in_seconds: int | None


class _EndpointOptions(TypedDict, total=False):
    description: str | None
    active: bool


class EndpointParams(_EndpointOptions, total=False):
    """A new webhook endpoint; `events` are types such as `session.paid`, or `["*"]` for all."""

    url: Required[str]
    events: Required[Sequence[str]]


class EndpointChanges(_EndpointOptions, total=False):
    """What changes of a webhook endpoint."""

    url: str
    events: Sequence[str]


class _CustomerOptions(TypedDict, total=False):
    name: str | None
    metadata: Mapping[str, str] | None


class CustomerParams(_CustomerOptions, total=False):
    """A new customer."""

    email: Required[str]


class CustomerChanges(_CustomerOptions, total=False):
    """What changes of a customer."""

    email: str


class TestPayment(TypedDict, total=False):
    """A payment of test mode: nothing is the exact amount; a `scenario` stands alone."""

    amount: Money
    kind: Literal["native", "internal", "token"]
    transfers: int
    scenario: Scenario


class ListParams(TypedDict, total=False):
    """Where a list begins and how long its pages are (1 to 100, default 25); a cursor is a page's `next_cursor`."""

    limit: int | None
    starting_after: str | None
    ending_before: str | None


class LinkListParams(ListParams, total=False):
    """Which payment links are listed."""

    active: bool | None


class SessionListParams(ListParams, total=False):
    """Which checkout sessions are listed."""

    status: str | None
    link_id: str | None
    customer_email: str | None
    created_after: Moment | None
    created_before: Moment | None


class EventListParams(ListParams, total=False):
    """Which events are listed."""

    type: str | None
    resource_id: str | None
    created_after: Moment | None


class DeliveryListParams(ListParams, total=False):
    """Which deliveries are listed."""

    status: str | None


class CustomerListParams(TypedDict, total=False):
    """Which customers are listed, from which page, and how many a page has."""

    email: str | None
    page: int | None
    limit: int | None
