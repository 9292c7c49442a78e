"""The keyword arguments of the clients' methods. Updates change only the fields that are given."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal, Required, TypedDict

from crypto_checkout.core.public.names import (
    AskedName,
    DeliveryState,
    EventName,
    FieldKindName,
    SessionStatus,
    TransferName,
)
from crypto_checkout.core.public.types import ChoiceResource

Money = str | Decimal
"""An exact amount of a currency or coin: "10.00" or Decimal("10.00"), never a float."""

Moment = str | datetime
"""A time with a zone: ISO 8601, as the API returns it, or an aware datetime."""

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
"""A course of events that test mode plays from payment to final status."""


class Amount(TypedDict):
    """A price in a currency (ISO 4217), as in `{"value": "10.00", "currency": "USD"}`."""

    value: Money
    currency: str


class PayerFieldsParam(TypedDict, total=False):
    """The fields of the payer's form: each `required`, `optional`, or `no`, which is the default."""

    email: AskedName
    name: AskedName
    note: AskedName


class CustomFieldParam(TypedDict, total=False):
    """A question of your own: `{"key": "size", "label": "Your size", "type": "choice", "options": ["S", "M"]}`."""

    key: Required[str]
    label: Required[str]
    type: Required[FieldKindName]
    required: bool
    options: Sequence[str] | None
    maxLength: int | None


class QuantityParams(TypedDict, total=False):
    """The number of pieces that a link sells: to one payer from `min`, 1 by default, to `max`, and `stock` in all."""

    min: int
    max: int | None
    stock: int | None


class _LinkOptions(TypedDict, total=False):
    fiat_currency: str
    min_fiat_amount: Money | None
    max_fiat_amount: Money | None
    suggested_amounts: Sequence[Money] | None
    quantity: QuantityParams | None
    description: str | None
    chain_id: int | None
    asset: str | None
    assets: Sequence[ChoiceResource] | None
    success_url: str | None
    cancel_url: str | None
    metadata: Mapping[str, str] | None
    payer_fields: PayerFieldsParam | None
    custom_fields: Sequence[CustomFieldParam] | None
    active: bool


class LinkParams(_LinkOptions, total=False):
    """A new payment link. `fiat_currency` defaults to USD, `chain_id` to the first configured chain.

    `assets` lets payers choose, instead of `chain_id` and `asset`: `[{"chainId": 1, "asset": "USDC"}, …]`. With
    `fiat_amount=None` the payer names the amount; with a `quantity` they choose the number of pieces.
    """

    title: Required[str]
    fiat_amount: Required[Money | None]


class LinkChanges(_LinkOptions, total=False):
    """Changes to a payment link; None clears an optional field."""

    title: str
    fiat_amount: Money | None


class SessionParams(TypedDict, total=False):
    """A new checkout session, with exactly one of `amount` and `link_id`; both for a link without a price.

    `assets` lets the payer choose, instead of `chain_id` and `asset`: `[{"chainId": 1, "asset": "USDC"}, …]`. The
    price holds for `expires_in_seconds`, from 60 to 86,400; the server's configuration has the default.
    """

    amount: Amount
    link_id: str
    quantity: int | None
    chain_id: int | None
    asset: str | None
    assets: Sequence[ChoiceResource] | None
    metadata: Mapping[str, str] | None
    success_url: str | None
    cancel_url: str | None
    return_url: str | None
    customer_email: str | None
    customer_name: str | None
    payer_fields: PayerFieldsParam | None
    custom_fields: Sequence[CustomFieldParam] | None
    expires_in_seconds: int | None


class _EndpointOptions(TypedDict, total=False):
    description: str | None
    active: bool


class EndpointParams(_EndpointOptions, total=False):
    """A new webhook endpoint; `events` are types such as `session.paid`, or `["*"]` for all."""

    url: Required[str]
    events: Required[Sequence[str]]


class EndpointChanges(_EndpointOptions, total=False):
    """Changes to a webhook endpoint; `active=True` also re-enables one that the server disabled."""

    url: str
    events: Sequence[str]


class _CustomerOptions(TypedDict, total=False):
    name: str | None
    metadata: Mapping[str, str] | None


class CustomerParams(_CustomerOptions, total=False):
    """A new customer; the email address must be unique in its mode."""

    email: Required[str]


class CustomerChanges(_CustomerOptions, total=False):
    """Changes to a customer; None clears an optional field."""

    email: str


class RefundParams(TypedDict, total=False):
    """A new refund; `amount` is in whole coins, by default all that is refundable."""

    session_id: Required[str]
    amount: Money | None
    chain_id: int | None
    asset: str | None
    reason: str | None
    destination: str | None


class TestPaymentParams(TypedDict, total=False):
    """A payment in test mode. `amount` defaults to the amount due; a `scenario` excludes all other arguments."""

    amount: Money
    kind: TransferName
    transfers: int
    scenario: Scenario


class TestAnswerParams(TypedDict, total=False):
    """A payer's answers in test mode; `custom_fields` has those to a session's `customFields`, by their keys."""

    email: str
    name: str
    note: str
    custom_fields: Mapping[str, str]


class ListParams(TypedDict, total=False):
    """The start and page size of a list: `limit` is 1 to 100, by default 25; a cursor is a page's `next_cursor`."""

    limit: int | None
    starting_after: str | None
    ending_before: str | None


class LinkListParams(ListParams, total=False):
    """Filters for payment links."""

    active: bool | None


class SessionListParams(ListParams, total=False):
    """Filters for checkout sessions."""

    status: SessionStatus | None
    link_id: str | None
    customer_email: str | None
    created_after: Moment | None
    created_before: Moment | None


class EventListParams(ListParams, total=False):
    """Filters for events."""

    type: EventName | None
    resource_id: str | None
    created_after: Moment | None


class RefundListParams(ListParams, total=False):
    """Filters for refunds."""

    status: str | None
    session_id: str | None


class CollectionListParams(ListParams, total=False):
    """Filters for collections."""

    status: str | None


class DeliveryListParams(ListParams, total=False):
    """Filters for deliveries."""

    status: DeliveryState | None


class BalanceParams(TypedDict, total=False):
    """Filters for balances; `held` selects those that hold something now, or those that hold nothing any more."""

    chain_id: int | None
    asset: str | None
    held: bool | None


class BalanceListParams(ListParams, BalanceParams, total=False):
    """Filters for a list of balances."""


class CustomerListParams(TypedDict, total=False):
    """Filters for customers, with a page number, from 1, in place of cursors; `limit` is the page size."""

    email: str | None
    page: int | None
    limit: int | None
