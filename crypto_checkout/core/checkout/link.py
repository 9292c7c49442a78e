"""Payment links: pages that make a session at each visit, or for each order where the payer has something to decide.

A payer decides on the amount, where the link's price has none, or on the number of pieces. `terms_of` turns their order
into a session's price.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from crypto_checkout.core.assets import Choice
from crypto_checkout.core.checkout.questions import CustomField, PayerFields
from crypto_checkout.core.errors import AmountTooLarge, AmountTooSmall, InvalidBody
from crypto_checkout.core.money import MOST_AMOUNT, Fiat, format_fiat

MOST_SUGGESTED = 6
MOST_PIECES = 10_000
"""The most pieces that one session sells."""
MOST_STOCK = 1_000_000_000


@dataclass(frozen=True, slots=True)
class LinkPrice:
    """A link's price; without an `amount` the payer names it, from `minimum` to `maximum` where there are such."""

    amount: Decimal | None
    currency: str
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    suggested: tuple[Decimal, ...] = ()

    @classmethod
    def of(cls, fiat: Fiat) -> "LinkPrice":
        """Return a fixed price."""
        return cls(fiat.amount, fiat.currency)

    @property
    def fiat(self) -> Fiat | None:
        """The fixed price, of one piece where pieces are counted."""
        return None if self.amount is None else Fiat(self.amount, self.currency)

    def text(self, amount: Decimal) -> str:
        """Write an amount of this price's currency."""
        return format_fiat(amount, self.currency)


@dataclass(frozen=True, slots=True)
class LinkQuantity:
    """The number of pieces that one session sells, and the `stock` of all of them; None is no limit.

    Pieces that are sold or reserved are part of the stock: it is the number that may be sold in all.
    """

    minimum: int = 1
    maximum: int | None = None
    stock: int | None = None

    @property
    def most(self) -> int:
        """The most pieces that one session sells, whatever is left."""
        return self.maximum or max(self.minimum, MOST_PIECES)


@dataclass(frozen=True, slots=True)
class LinkSales:
    """The pieces of a link that are sold, and those that sessions reserve which may still be paid."""

    sold: int = 0
    reserved: int = 0

    def left_of(self, quantity: LinkQuantity) -> int | None:
        """Return the number of pieces that can still be ordered, None for any.

        It is never negative: a late payment can sell more than there were, and a merchant can lower the stock.
        """
        return None if quantity.stock is None else max(0, quantity.stock - self.sold - self.reserved)


@dataclass(frozen=True, slots=True)
class Link:
    """A payment link as stored; None as `chain_id` and `asset` stands for the mode's default.

    With several `assets` the payer chooses among them, and `chain_id` and `asset` are None. `payer_fields` and
    `custom_fields` are asked of each payer.
    """

    id: str
    livemode: bool
    slug: str
    title: str
    description: str | None
    price: LinkPrice
    chain_id: int | None
    asset: str | None
    success_url: str | None
    cancel_url: str | None
    active: bool
    created_at: datetime
    updated_at: datetime
    metadata: Mapping[str, str] | None = field(default=None, hash=False)
    assets: tuple[Choice, ...] = ()
    payer_fields: PayerFields | None = None
    custom_fields: tuple[CustomField, ...] | None = None
    quantity: LinkQuantity | None = None

    @property
    def takes_orders(self) -> bool:
        """True where a payer decides something before there is a session: opening the link makes none."""
        return self.price.amount is None or self.quantity is not None


@dataclass(frozen=True, slots=True)
class LinkUsage:
    """Counts of a link's newest sessions and of those that are settled; `has_more` if older ones are left out."""

    sessions: int
    settled: int
    has_more: bool


def check_terms(price: LinkPrice, quantity: LinkQuantity | None) -> None:
    """Raise InvalidBody for a price and a quantity that no link can have."""
    if price.amount is None:
        _check_range(price)
        if quantity is not None:
            raise InvalidBody(
                "quantity: a link has either a price for each piece or an amount that the payer names. Give a "
                "fiatAmount, or leave quantity out.",
                param="quantity",
            )
    elif price.minimum is not None or price.maximum is not None or price.suggested:
        param = next(
            name
            for name, value in (
                ("minFiatAmount", price.minimum),
                ("maxFiatAmount", price.maximum),
                ("suggestedAmounts", price.suggested),
            )
            if value
        )
        raise InvalidBody(
            f"{param}: only a link whose fiatAmount is null has it, where payers name the amount; set it to null.",
            param=param,
        )
    if quantity is None:
        return
    if quantity.most < quantity.minimum:
        raise InvalidBody(
            f"quantity.max: {quantity.maximum} is less than quantity.min, {quantity.minimum}.", param="quantity.max"
        )
    if price.amount is not None and price.amount * quantity.minimum > MOST_AMOUNT:
        raise InvalidBody(f"quantity.min: {quantity.minimum} at this price are too expensive.", param="quantity.min")


def _check_range(price: LinkPrice) -> None:
    low, high = price.minimum, price.maximum
    if low is not None and high is not None and low > high:
        raise InvalidBody(
            f"maxFiatAmount: {price.text(high)} is less than minFiatAmount, {price.text(low)}.", param="maxFiatAmount"
        )
    for index, amount in enumerate(price.suggested):
        param = f"suggestedAmounts[{index}]"
        if (low is not None and amount < low) or (high is not None and amount > high):
            raise InvalidBody(
                f"{param}: {price.text(amount)} is not within minFiatAmount and maxFiatAmount.", param=param
            )
        if amount in price.suggested[:index]:
            raise InvalidBody(f"{param}: {price.text(amount)} is listed twice.", param=param)


def terms_of(link: Link, fiat: Fiat | None, quantity: int | None) -> tuple[Fiat, int | None]:
    """Return the price and the number of pieces of a session that a link makes for an order.

    Raises:
        InvalidBody: The order lacks an amount, or the link has no place for what it gives.
        AmountTooSmall, AmountTooLarge: The amount is out of the link's range.

    """
    price = link.price
    if price.fiat is None:
        if quantity is not None:
            raise InvalidBody(f"quantity: payers of link {link.id} name an amount, no number.", param="quantity")
        return _named(link, fiat), None
    if fiat is not None:
        raise InvalidBody(
            f"Give exactly one of amount and linkId: link {link.id} has a price of its own.", param="amount"
        )
    if link.quantity is None:
        if quantity is not None:
            raise InvalidBody(f"quantity: link {link.id} sells one thing at a time.", param="quantity")
        return price.fiat, None
    pieces = _pieces(link.quantity, quantity)
    total = price.fiat.amount * pieces
    if total > MOST_AMOUNT:
        raise AmountTooLarge(f"quantity: {pieces} pieces cost more than one payment can ask for.", param="quantity")
    return Fiat(total, price.currency), pieces


def _named(link: Link, fiat: Fiat | None) -> Fiat:
    """Return the amount that a payer named, if it is within the link's range."""
    price = link.price
    if fiat is None:
        raise InvalidBody(f"amount: required with link {link.id}, whose payers name the amount.", param="amount")
    if fiat.currency != price.currency:
        raise InvalidBody(
            f"amount.currency: link {link.id} is in {price.currency}, not in {fiat.currency}.", param="amount.currency"
        )
    if price.minimum is not None and fiat.amount < price.minimum:
        raise AmountTooSmall(
            f"amount.value: link {link.id} takes at least {price.text(price.minimum)} {price.currency}.",
            param="amount.value",
        )
    if price.maximum is not None and fiat.amount > price.maximum:
        raise AmountTooLarge(
            f"amount.value: link {link.id} takes at most {price.text(price.maximum)} {price.currency}.",
            param="amount.value",
        )
    return fiat


def _pieces(quantity: LinkQuantity, ordered: int | None) -> int:
    pieces = quantity.minimum if ordered is None else ordered
    if not quantity.minimum <= pieces <= quantity.most:
        raise InvalidBody(
            f"quantity: must be from {quantity.minimum} to {quantity.most}; got {pieces}.", param="quantity"
        )
    return pieces
