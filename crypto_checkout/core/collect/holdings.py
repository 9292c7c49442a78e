"""Holdings: the assets at each address by the ledger, their worth, and whether moving them is worth its fee. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import NamedTuple

from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.money import DECIMALS, Fiat

GAS_OF_DEPOSIT = 62_000
"""About the gas of moving one asset from a deposit of cold-address mode, in a batch with others, its code deployed."""

GAS_OF_TOKEN = 60_000
"""About the gas of moving a token from a wallet's address, with the coin sent there first that pays for it."""

GAS_OF_COIN = 21_000
"""The gas of a plain transfer, which moves the coin of a wallet's address."""

_TIMES_THE_FEE = 2


class NotWorthMoving(StrEnum):
    """The reasons to leave money where it is, or not to know."""

    FEE_TOO_HIGH = "fee_too_high"
    UNKNOWN_FEE = "unknown_fee"
    UNKNOWN_PRICE = "unknown_price"


class Holding(NamedTuple):
    """An asset at one address: what came, matched or not, and what left. `key` is its place in the list of all.

    `session_id` is the address's session, None for an unassigned one; `number` and `path` are its place in the wallet,
    and `salt` that of a deposit of cold-address mode. `destination` is where the address's code sends its money, of an
    address too that delegates (EIP-7702) since something was collected from it; None for others.

    A tuple, because ten thousand of them are made for a page.
    """

    key: int
    address: Address
    session_id: str | None
    number: int
    path: str | None
    salt: bytes | None
    asset: Asset
    received: int
    left: int
    destination: Address | None = None

    @property
    def units(self) -> int:
        """The amount that is there now."""
        return max(0, self.received - self.left)


@dataclass(frozen=True, slots=True)
class Market:
    """The cost and the worth of moving money: gas prices in wei by chain, and prices of coins in a currency."""

    currency: str
    gas_prices: Mapping[int, int]
    coins: Mapping[int, Asset]
    prices: Mapping[Asset, Decimal]
    _least: dict[tuple[Asset, bool], int | NotWorthMoving] = field(default_factory=dict, init=False, compare=False)

    def worth(self, asset: Asset, units: int) -> Fiat | None:
        """Return the value of an amount now; None without a price."""
        price = self.prices.get(asset)
        if price is None:
            return None
        exact = Decimal(units).scaleb(-asset.decimals) * price
        return Fiat(exact.quantize(Decimal(1).scaleb(-DECIMALS[self.currency]), ROUND_HALF_UP), self.currency)

    def fee(self, holding: Holding) -> int | None:
        """Return about what moving a holding costs, in wei; None without a gas price."""
        gas_price = self.gas_prices.get(holding.asset.chain_id)
        if gas_price is None:
            return None
        of_wallet = GAS_OF_COIN if holding.asset.is_native else GAS_OF_TOKEN
        return gas_price * (of_wallet if holding.destination is None else GAS_OF_DEPOSIT)

    def reason_to_leave(self, holding: Holding) -> NotWorthMoving | None:
        """Return why a holding isn't worth moving, or why nobody knows; None if it is: worth twice its fee."""
        key = holding.asset, holding.destination is None
        least = self._least.get(key)
        if least is None:
            least = self._least[key] = self._least_units(holding)
        if isinstance(least, NotWorthMoving):
            return least
        return NotWorthMoving.FEE_TOO_HIGH if holding.units < least else None

    def _least_units(self, holding: Holding) -> int | NotWorthMoving:
        """Return the least amount of a holding's asset that is worth moving, or why it can't be told."""
        asset, fee = holding.asset, self.fee(holding)
        if fee is None:
            return NotWorthMoving.UNKNOWN_FEE
        if asset.is_native:
            return _TIMES_THE_FEE * fee
        price, coin = self.prices.get(asset), self.coins.get(asset.chain_id)
        coin_price = None if coin is None else self.prices.get(coin)
        if not price or coin is None or coin_price is None:
            return NotWorthMoving.UNKNOWN_PRICE
        costs = Decimal(_TIMES_THE_FEE * fee).scaleb(-coin.decimals) * coin_price
        return int((costs / price).scaleb(asset.decimals).to_integral_value(ROUND_CEILING))


@dataclass(slots=True)
class HoldingTotal:
    """The sums of one asset: what its addresses hold, how many of them, what left them, and what isn't worth moving."""

    asset: Asset
    units: int = 0
    addresses: int = 0
    left: int = 0
    unworthy_units: int = 0
    unworthy_addresses: int = 0
    reasons: dict[NotWorthMoving, int] = field(default_factory=dict)


def totals(holdings: Iterable[Holding], market: Market) -> list[HoldingTotal]:
    """Return the sums by asset: chain by chain, its coin first."""
    found: dict[Asset, HoldingTotal] = {}
    for each in holdings:
        total = found.setdefault(each.asset, HoldingTotal(each.asset))
        total.left += each.left
        if not each.units:
            continue
        total.units += each.units
        total.addresses += 1
        reason = market.reason_to_leave(each)
        if reason is not None:
            total.unworthy_units += each.units
            total.unworthy_addresses += 1
            total.reasons[reason] = total.reasons.get(reason, 0) + 1
    return sorted(
        found.values(), key=lambda total: (total.asset.chain_id, total.asset.contract or "", total.asset.symbol)
    )
