"""Checks of values that depend on other values: an amount on its currency, a URL on the key's mode."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from crypto_checkout.core import urls
from crypto_checkout.core.assets import Choice
from crypto_checkout.core.checkout.link import LinkPrice
from crypto_checkout.core.checkout.questions import Asked, CustomField, FieldKind, PayerFields
from crypto_checkout.core.errors import InvalidBody
from crypto_checkout.core.metadata import LONGEST_VALUE
from crypto_checkout.core.money import Fiat, parse_currency, parse_fiat

from . import schemas


def fiat(value: str, currency: str, *, value_param: str, currency_param: str) -> Fiat:
    """Parse an amount in a currency. Raises InvalidBody that names the wrong field."""
    try:
        parse_currency(currency)
    except ValueError as error:
        raise InvalidBody(f"{currency_param}: {error}.", param=currency_param) from None
    try:
        return parse_fiat(value, currency)
    except ValueError as error:
        raise InvalidBody(f"{value_param}: {error}.", param=value_param) from None


def link_price(
    amount: str | None, currency: str, *, minimum: str | None, maximum: str | None, suggested: Sequence[str] | None
) -> LinkPrice:
    """Parse the price of a link. Raises InvalidBody that names the wrong field."""

    def parsed(value: str, param: str) -> Decimal:
        return fiat(value, currency, value_param=param, currency_param="fiatCurrency").amount

    try:
        parse_currency(currency)
    except ValueError as error:
        raise InvalidBody(f"fiatCurrency: {error}.", param="fiatCurrency") from None
    return LinkPrice(
        None if amount is None else parsed(amount, "fiatAmount"),
        currency,
        None if minimum is None else parsed(minimum, "minFiatAmount"),
        None if maximum is None else parsed(maximum, "maxFiatAmount"),
        tuple(parsed(each, f"suggestedAmounts[{index}]") for index, each in enumerate(suggested or ())),
    )


def redirect_url(url: str | None, *, livemode: bool, param: str) -> str | None:
    """Check a URL that payers are sent to: absolute https; http for loopback hosts and in test mode.

    It may contain `{CHECKOUT_SESSION_ID}`. Raises InvalidBody.
    """
    if url is None:
        return None
    problem = urls.redirect_objection(url, livemode=livemode)
    if problem is not None:
        raise InvalidBody(f"{param}: {problem}.", param=param)
    return url


def assets(
    given: Sequence[schemas.AssetChoice] | None, *, chain_id: int | None = None, asset: str | None = None
) -> tuple[Choice, ...]:
    """Check the payer's choices: each listed once, and none beside a chain or an asset. Raises InvalidBody."""
    if given is not None and (chain_id is not None or asset is not None):
        raise InvalidBody("assets: give either assets, or chainId and asset.", param="assets")
    choices = [Choice(each.chain_id, each.asset) for each in given or ()]
    for index, choice in enumerate(choices):
        if choice in choices[:index]:
            param = f"assets[{index}]"
            raise InvalidBody(f"{param}: {choice.symbol} on chain {choice.chain_id} stands twice.", param=param)
    return tuple(choices)


def payer_fields(given: schemas.PayerFieldsCreate | None) -> PayerFields | None:
    """Return the usual questions to a payer."""
    return None if given is None else PayerFields(Asked(given.email), Asked(given.name), Asked(given.note))


def custom_fields(given: Sequence[schemas.CustomFieldCreate] | None) -> tuple[CustomField, ...] | None:
    """Check a merchant's own questions: their keys, and what belongs to the type of each. Raises InvalidBody."""
    if given is None:
        return None
    fields: list[CustomField] = []
    for index, each in enumerate(given):
        kind, place = FieldKind(each.type), f"customFields[{index}]"
        if each.key in {field.key for field in fields}:
            raise InvalidBody(f'{place}.key: "{each.key}" stands twice.', param=f"{place}.key")
        if kind is FieldKind.CHOICE and each.options is None:
            raise InvalidBody(f"{place}.options: a choice needs options.", param=f"{place}.options")
        if kind is FieldKind.TEXT and each.options is not None:
            raise InvalidBody(f"{place}.options: only a choice has options.", param=f"{place}.options")
        if kind is FieldKind.CHOICE and each.max_length is not None:
            raise InvalidBody(f"{place}.maxLength: only a text has a length.", param=f"{place}.maxLength")
        fields.append(
            CustomField(
                each.key, each.label, kind, each.required, tuple(each.options or ()), each.max_length or LONGEST_VALUE
            )
        )
    return tuple(fields)


def changes(body: BaseModel) -> dict[str, Any]:
    """Return the fields given in a PATCH, by their names in the model."""
    return {name: getattr(body, name) for name in body.model_fields_set}
