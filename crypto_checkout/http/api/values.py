"""Checks of values that need more than their own shape: the currency beside an amount, the mode of the key."""

import ipaddress
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from crypto_checkout.core.assets import Choice
from crypto_checkout.core.errors import InvalidBody
from crypto_checkout.core.money import Fiat, parse_currency, parse_fiat

from .schemas import AssetChoice

_MOST_SHOWN = 60
_LABEL = re.compile(r"[\w-]{1,63}")


def fiat(value: str, currency: str, *, value_param: str, currency_param: str) -> Fiat:
    """Read an amount in a currency. Raises InvalidBody with the wrong field's name."""
    try:
        parse_currency(currency)
    except ValueError as error:
        raise InvalidBody(f"{currency_param}: {error}.", param=currency_param) from None
    try:
        return parse_fiat(value, currency)
    except ValueError as error:
        raise InvalidBody(f"{value_param}: {error}.", param=value_param) from None


def redirect_url(url: str | None, *, livemode: bool, param: str) -> str | None:
    """Check where payers are sent: absolute https; http for loopback hosts, and for any host in test mode.

    It may hold `{CHECKOUT_SESSION_ID}`. Raises InvalidBody.
    """
    if url is None:
        return None
    problem = _problem(url, livemode)
    if problem is not None:
        raise InvalidBody(f"{param}: {problem}.", param=param)
    return url


def _problem(url: str, livemode: bool) -> str | None:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port  # reading it checks it
    except ValueError:
        return f'"{url[:_MOST_SHOWN]}" is not a URL'
    if parts.scheme not in {"http", "https"} or not host:
        return f'must be an absolute URL that begins with https://; got "{url[:_MOST_SHOWN]}"'
    if parts.username is not None or parts.password is not None:
        return "must not hold a user name or password"
    if not _is_host(host):
        return f'"{host[:_MOST_SHOWN]}" is not a host name'
    if parts.scheme == "http" and livemode and not _is_loopback(host):
        return "must begin with https://; plain http is for loopback hosts and test mode"
    return None


def _is_host(host: str) -> bool:
    """Take IP addresses and names of any script; no label is empty, and none holds what belongs elsewhere in a URL."""
    if _is_ip(host):
        return True
    return all(_LABEL.fullmatch(label) for label in host.removesuffix(".").split("."))


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    return _is_ip(host) and ipaddress.ip_address(host).is_loopback


def assets(
    given: Sequence[AssetChoice] | None, *, chain_id: int | None = None, asset: str | None = None
) -> tuple[Choice, ...]:
    """Read what payers may choose from, each once, and not beside a chain or an asset. Raises InvalidBody."""
    if given is not None and (chain_id is not None or asset is not None):
        raise InvalidBody("assets: give either assets, or chainId and asset.", param="assets")
    choices = [Choice(each.chain_id, each.asset) for each in given or ()]
    for place, choice in enumerate(choices):
        if choice in choices[:place]:
            param = f"assets[{place}]"
            raise InvalidBody(f"{param}: {choice.symbol} on chain {choice.chain_id} stands twice.", param=param)
    return tuple(choices)


def changes(body: BaseModel) -> dict[str, Any]:
    """Return what a PATCH says, by the names of the model: what isn't given isn't there."""
    return {name: getattr(body, name) for name in body.model_fields_set}
