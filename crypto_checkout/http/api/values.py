"""Checks of values that depend on other values: an amount on its currency, a URL on the key's mode."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from crypto_checkout.core import urls
from crypto_checkout.core.assets import Choice
from crypto_checkout.core.errors import InvalidBody
from crypto_checkout.core.money import Fiat, parse_currency, parse_fiat

from .schemas import AssetChoice


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
    given: Sequence[AssetChoice] | None, *, chain_id: int | None = None, asset: str | None = None
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


def changes(body: BaseModel) -> dict[str, Any]:
    """Return the fields given in a PATCH, by their names in the model."""
    return {name: getattr(body, name) for name in body.model_fields_set}
