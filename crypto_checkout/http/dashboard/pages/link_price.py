"""The price in the form of a payment link: fixed, of a piece, or the payer's to decide."""

import re

from crypto_checkout.core.checkout.link import MOST_PIECES, MOST_STOCK, MOST_SUGGESTED, LinkPrice, LinkQuantity
from crypto_checkout.core.errors import CheckoutError
from crypto_checkout.core.money import parse_currency, parse_fiat
from crypto_checkout.core.public.link_types import LinkResource
from crypto_checkout.http.dashboard.frame.forms import Form, sentence

FIXED, FREE, PIECES = "fixed", "free", "pieces"
KINDS = (
    (FIXED, "Fixed price"),
    (PIECES, "Price per piece"),
    (FREE, "The payer decides"),
)

_FIELDS = {
    "fiatAmount": "amount",
    "minFiatAmount": "minimum",
    "maxFiatAmount": "maximum",
    "suggestedAmounts": "suggested",
    "quantity.min": "pieces_min",
    "quantity.max": "pieces_max",
}
_MOST_PIECES_USUALLY = "10"


def read(form: Form) -> tuple[LinkPrice, LinkQuantity | None] | None:
    """Return the submitted price, and the number of pieces that it sells; None with errors in the form."""
    kind = FIXED if not form.has("kind") else form.one_of("kind", [FIXED, FREE, PIECES])
    if kind == FREE:
        price = _free(form)
        return None if price is None else (price, None)
    fiat = form.price()
    quantity = _quantity(form) if kind == PIECES else None
    return None if fiat is None or not form.is_valid else (LinkPrice.of(fiat), quantity)


def field_of(error: CheckoutError) -> str:
    """Return the form's field of an error that a service raised."""
    param = (error.param or "").partition("[")[0]
    return _FIELDS.get(param, param)


def context(link: LinkResource | None) -> dict[str, str]:
    """Return the initial values of the fields."""
    quantity = None if link is None else link["quantity"]
    is_free = link is not None and link["fiatAmount"] is None
    return {
        "kind": FREE if is_free else PIECES if quantity else FIXED,
        "minimum": (link and link["minFiatAmount"]) or "",
        "maximum": (link and link["maxFiatAmount"]) or "",
        "suggested": " ".join((link and link["suggestedAmounts"]) or ()),
        "pieces_min": str(quantity["min"] if quantity else 1),
        "pieces_max": _text(quantity["max"]) if quantity else _MOST_PIECES_USUALLY,
        "stock": _text(quantity["stock"]) if quantity else "",
    }


def _text(number: int | None) -> str:
    return "" if number is None else str(number)


def _free(form: Form) -> LinkPrice | None:
    currency = form.text("currency", 3).upper()
    low, high = form.text("minimum", 40, optional=True), form.text("maximum", 40, optional=True)
    suggested = form.text("suggested", 200, optional=True)
    if form.errors.keys() & {"currency", "minimum", "maximum", "suggested"}:
        return None
    field = "currency"
    try:
        parse_currency(currency)
        field = "minimum"
        minimum = parse_fiat(low, currency).amount if low else None
        field = "maximum"
        maximum = parse_fiat(high, currency).amount if high else None
        field = "suggested"
        amounts = tuple(
            parse_fiat(each, currency).amount for each in re.split(r"(?:[\s;]|,(?=\s|$))+", suggested) if each
        )
    except ValueError as error:
        form.errors[field] = sentence(str(error))
        return None
    if len(amounts) > MOST_SUGGESTED:
        form.errors["suggested"] = f"At most {MOST_SUGGESTED} amounts; this has {len(amounts)}."
        return None
    return LinkPrice(None, currency, minimum, maximum, amounts)


def _quantity(form: Form) -> LinkQuantity:
    return LinkQuantity(
        _number(form, "pieces_min", 1, MOST_PIECES) or 1,
        _number(form, "pieces_max", 1, MOST_PIECES),
        _number(form, "stock", 0, MOST_STOCK),
    )


def _number(form: Form, name: str, least: int, most: int) -> int | None:
    """Return a whole number; None for an empty field, and for an error in it."""
    text = form.text(name, 20, optional=True)
    if not text or name in form.errors:
        return None
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        form.errors[name] = f"Enter a whole number from {least:,} to {most:,}."
        return None
    return int(text)
