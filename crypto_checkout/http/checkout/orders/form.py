"""The form of a link whose payer names the amount, or the number of pieces: its values, and what is wrong with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from markupsafe import Markup

from crypto_checkout.core.checkout.link import Link, LinkPrice, LinkQuantity, LinkSales, terms_of
from crypto_checkout.core.errors import AmountTooLarge, AmountTooSmall
from crypto_checkout.core.money import Fiat, parse_fiat
from crypto_checkout.core.public.types import FiatResource
from crypto_checkout.http.checkout.translations import Translations

from . import typed

AMOUNT, SUGGESTED, QUANTITY = "amount", "suggested", "quantity"
"""The fields of the form; the first and the last are parameters of the page's address, too."""


@dataclass(frozen=True, slots=True)
class Order:
    """The payer's decision: an amount, or a number of pieces."""

    fiat: Fiat | None = None
    quantity: int | None = None


@dataclass(frozen=True, slots=True)
class OrderForm:
    """The form as the page shows it.

    `suggested` are amounts as they are sent and as they are read. `each` is the price of one piece, `least` and `most`
    the numbers that can be ordered, and `total` the price of the number in the field, None where that is wrong. `left`
    is None without a stock. Of the fields, `problem` is what is wrong.
    """

    currency: str
    amount: str
    hint: Markup | None
    suggested: Sequence[tuple[str, str]]
    each: FiatResource | None
    quantity: str
    least: int
    most: int
    total: FiatResource | None
    left: int | None
    problem: Markup | None

    @property
    def is_sold_out(self) -> bool:
        """True if fewer pieces are left than one payer has to order."""
        return self.left is not None and self.left < self.least

    @property
    def asks_quantity(self) -> bool:
        """True if there is a number to choose."""
        return self.each is not None and self.least < self.most


class OrderRefusedError(Exception):
    """An order that the form must show again, with the sentence for its field."""

    def __init__(self, problem: Markup) -> None:
        super().__init__(str(problem))
        self.problem = problem


def read(link: Link, fields: Mapping[str, str], words: Translations) -> Order:
    """Return the order in a submitted form, as the link takes it. Raises OrderRefusedError."""
    price = link.price
    if price.amount is None:
        order = Order(fiat=_fiat(price, fields, words))
    else:
        assert link.quantity is not None, "a link without an amount to name counts pieces"
        order = Order(quantity=_pieces(link.quantity, fields.get(QUANTITY), words))
    check(link, order, words)
    return order


def check(link: Link, order: Order, words: Translations) -> None:
    """Raise OrderRefusedError for an order that the link doesn't take."""
    price = link.price
    try:
        terms_of(link, order.fiat, order.quantity)
    except AmountTooSmall:
        assert price.minimum is not None, "what is too small is less than this"
        raise OrderRefusedError(words("order_least", least=_money(price, price.minimum, words))) from None
    except AmountTooLarge:
        most = None if price.maximum is None else words("order_most", most=_money(price, price.maximum, words))
        raise OrderRefusedError(most or words("order_unpayable")) from None


def shown(
    link: Link,
    sales: LinkSales,
    words: Translations,
    fields: Mapping[str, str],
    problem: Markup | None = None,
    order: Order | None = None,
) -> OrderForm:
    """Return the form with the values of its fields; without those, with the values of an order made before."""
    price, quantity = link.price, link.quantity or LinkQuantity()
    left = None if link.quantity is None else sales.left_of(quantity)
    most = quantity.most if left is None else max(quantity.minimum, min(quantity.most, left))
    before = order or Order()
    number = fields.get(QUANTITY) or str(before.quantity or quantity.minimum)
    amount = fields.get(AMOUNT, "")
    if not amount and before.fiat is not None:
        amount = typed.plainly(str(before.fiat), words.formats)
    return OrderForm(
        currency=price.currency,
        amount=amount[: typed.LONGEST],
        hint=_hint(price, words),
        suggested=[(price.text(each), _money(price, each, words)) for each in price.suggested],
        each=None if price.amount is None else _resource(price, price.amount),
        quantity=number[: typed.LONGEST],
        least=quantity.minimum,
        most=most,
        total=_total(link, number),
        left=left,
        problem=problem,
    )


def asked_for(link: Link, query: Mapping[str, str], words: Translations) -> tuple[dict[str, str], Markup | None]:
    """Return the values of the page's address for the fields, and what is wrong with them.

    They are written by whoever made the address, so an amount is a plain decimal, as in the API.
    """
    price = link.price
    name = AMOUNT if price.amount is None else QUANTITY
    text = query.get(name, "").strip()[: typed.LONGEST]
    if not text:
        return {}, None
    try:
        if name == QUANTITY:
            read(link, {QUANTITY: text}, words)
            return {QUANTITY: text}, None
        fiat = parse_fiat(text, price.currency)
        check(link, Order(fiat), words)
    except OrderRefusedError as error:
        return {name: typed.plainly(text, words.formats) if name == AMOUNT else text}, error.problem
    except ValueError:
        return {name: text}, _malformed(price, words)
    return {AMOUNT: typed.plainly(price.text(fiat.amount), words.formats)}, None


def _fiat(price: LinkPrice, fields: Mapping[str, str], words: Translations) -> Fiat:
    """Return the suggested amount whose button was pressed, or the one that was typed. Raises OrderRefusedError."""
    pressed, text = fields.get(SUGGESTED), fields.get(AMOUNT, "")
    for each in price.suggested:
        if pressed == price.text(each):
            return Fiat(each, price.currency)
    try:
        return typed.amount(text, price.currency, words.formats)
    except typed.MistypedError as error:
        if error.reason is typed.Mistyped.AMBIGUOUS:
            example = typed.example(price.currency, words.formats, "1234")
            raise OrderRefusedError(words("order_ambiguous", text=text.strip(), example=example)) from None
        if error.reason is typed.Mistyped.TOO_FINE:
            example = typed.example(price.currency, words.formats)
            raise OrderRefusedError(words("order_too_fine", currency=price.currency, example=example)) from None
        raise OrderRefusedError(_malformed(price, words)) from None


def _malformed(price: LinkPrice, words: Translations) -> Markup:
    return words("order_malformed", example=typed.example(price.currency, words.formats))


def _pieces(quantity: LinkQuantity, text: str | None, words: Translations) -> int:
    """Return the number in the field; the least if the form has none. Raises OrderRefusedError."""
    number = quantity.minimum if text is None else typed.pieces(text)
    if number is None or not quantity.minimum <= number <= quantity.most:
        raise OrderRefusedError(words("order_number", least=quantity.minimum, most=quantity.most))
    return number


def _total(link: Link, text: str) -> FiatResource | None:
    number, price = typed.pieces(text), link.price
    if price.amount is None or link.quantity is None or number is None:
        return None
    is_possible = link.quantity.minimum <= number <= link.quantity.most
    return _resource(price, price.amount * number) if is_possible else None


def _hint(price: LinkPrice, words: Translations) -> Markup | None:
    low, high = price.minimum, price.maximum
    if low is not None and high is not None:
        return words("order_range", least=_money(price, low, words), most=_money(price, high, words))
    if low is not None:
        return words("order_least", least=_money(price, low, words))
    return None if high is None else words("order_most", most=_money(price, high, words))


def _resource(price: LinkPrice, amount: Decimal) -> FiatResource:
    return {"amount": price.text(amount), "currency": price.currency}


def _money(price: LinkPrice, amount: Decimal, words: Translations) -> str:
    return words.money(_resource(price, amount))
