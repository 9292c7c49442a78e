"""Plans in words, for people."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from crypto_checkout.cli.support import tables

if TYPE_CHECKING:
    from crypto_checkout.core.assets import Asset
    from crypto_checkout.core.collect.plan import Item, LeftBehind, Plan

_COIN_DECIMALS = 18


def coin(wei: int, symbol: str) -> str:
    """Write wei as an amount of the chain's coin."""
    from crypto_checkout.core.money import format_units

    return f"{format_units(wei, _COIN_DECIMALS)} {symbol}"


def totals(items: "Sequence[Item]") -> list[str]:
    """Return a line for each asset: its total, and from how many addresses."""
    from crypto_checkout.core.money import format_units

    sums: Counter[Asset] = Counter()
    addresses: Counter[Asset] = Counter()
    for item in items:
        sums[item.asset] += item.units
        addresses[item.asset] += 1
    return [
        f"  {format_units(units, asset.decimals)} {tables.plain(asset.symbol)}"
        f" from {tables.count(addresses[asset], 'address', 'addresses')}"
        + (f" (token {_spelt(asset.contract)})" if asset.contract else "")
        for asset, units in sums.items()
    ]


def summary(plan: "Plan", chain: str) -> Iterator[str]:
    """Yield what moves, where, and in how many transactions."""
    from crypto_checkout.core.collect import plan as plans

    yield f"On {chain}, to {_spelt(plan.destination)}:"
    yield from totals(plan.items)
    yield f"In {tables.count(len(plans.transactions(plan)), 'transaction')}."


def left_behind(left: "Sequence[LeftBehind]", most: int) -> Iterator[str]:
    """Yield the amounts that stay, with the reason of each."""
    from crypto_checkout.core.money import format_units

    if not left:
        return
    yield f"Left where it is ({tables.count(len(left), 'amount')}):"
    for each in left[:most]:
        amount = f"{format_units(each.units, each.asset.decimals)} {tables.plain(each.asset.symbol)}"
        yield f"  index {each.index}, {_spelt(each.address)}: {amount}, {tables.plain(each.reason)}"
    if len(left) > most:
        yield f"  and {tables.count(len(left) - most, 'more', 'more')}, all in the plan's leftBehind"
    yield ""


def _spelt(address: str) -> str:
    from crypto_checkout.core.address import Address, checksum

    return checksum(Address(address))
