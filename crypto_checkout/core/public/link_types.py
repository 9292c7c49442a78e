"""The public shape of payment links; the conventions are those of `core.public.types`."""

from collections.abc import Mapping
from typing import Literal

from typing_extensions import TypedDict

from crypto_checkout.core.public.formats import Currency, Decimal, Moment, Url
from crypto_checkout.core.public.types import ChoiceResource, CustomFieldResource, PayerFieldsResource


class QuantityResource(TypedDict):
    """The number of pieces that a payment link sells."""

    min: int
    """The least that one payer may order."""
    max: int | None
    """The most that one payer may order; null for as many as there are, up to 10,000."""
    stock: int | None
    """The number for sale in all, sold and reserved ones included; null for any number."""
    sold: int
    """The number sold: of sessions that are paid. A late payment can make it exceed the stock."""
    reserved: int
    """The number reserved by sessions that may still be paid; what isn't paid in time is for sale again."""
    available: int | None
    """The number that can still be ordered; null without a stock."""


class LinkResource(TypedDict):
    """A payment link: a page that anyone may open, for a new session at its price."""

    id: str
    """`pl_…`; sortable by time."""
    object: Literal["payment_link"]
    """The type of this object."""
    livemode: bool
    """Whether it belongs to live mode; false in test mode."""
    slug: str
    """The last part of its URL."""
    title: str
    """The item for sale."""
    description: str | None
    """Details about the item."""
    fiatAmount: Decimal | None
    """The price, with exactly as many decimals as its currency has; of one piece with `quantity`. Null if the payer
    names the amount."""
    fiatCurrency: Currency
    """The currency (ISO 4217)."""
    minFiatAmount: Decimal | None
    """The least that a payer may name; null for no such bound."""
    maxFiatAmount: Decimal | None
    """The most that a payer may name; null for no such bound."""
    suggestedAmounts: list[Decimal] | None
    """The amounts that the page offers beside a field for any other."""
    quantity: QuantityResource | None
    """The number of pieces that a payer may order; null if the link sells one thing at a time."""
    chainId: int | None
    """The chain that its sessions are paid on; null for the first configured one."""
    asset: str | None
    """The coin that its sessions are paid in; null for the chain's native coin."""
    assets: list[ChoiceResource] | None
    """The assets that payers may choose from; null if `chainId` and `asset` apply."""
    successUrl: str | None
    """Where payers go after the payment."""
    cancelUrl: str | None
    """Where payers go if they cancel."""
    metadata: Mapping[str, str] | None
    """Your own key-value data, copied to its sessions."""
    payerFields: PayerFieldsResource | None
    """What payers are asked for before they see an address; null for nothing."""
    customFields: list[CustomFieldResource] | None
    """Questions of your own to payers; null for none."""
    active: bool
    """Whether it accepts payments."""
    checkoutUrl: Url
    """The URL to give to payers."""
    createdAt: Moment
    """The time of creation."""
    updatedAt: Moment
    """The time of the last change."""
