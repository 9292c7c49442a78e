"""About how much a payment costs its payer beside the price, and how long it takes: pure estimates."""

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from crypto_checkout.core.assets import Asset
from crypto_checkout.core.money import DECIMALS, MOST_AMOUNT, CoinUnits, Fiat

GAS_OF_COIN = 21_000
"""The gas of a plain transfer of a chain's coin."""

GAS_OF_TOKEN = 65_000
"""About the gas of a token's transfer to an address that never held it."""

TRANSFER_BYTES = 115
"""About the bytes of an unsigned token transfer, for chains that charge for data; a coin's is half as long."""

_MOST_COINS = 1_000
_SLOWEST_BLOCK_SECONDS = 60
_SHORTEST_STRETCH_SECONDS = 10


@dataclass(frozen=True, slots=True)
class GasCost:
    """The wei that a unit of gas costs now, and those of a transfer's data where a chain charges for it apart."""

    price_wei: CoinUnits
    data_fee_wei: CoinUnits = 0

    def of_transfer(self, asset: Asset) -> CoinUnits:
        """Return about what a transfer of an asset costs, in wei."""
        return self.price_wei * (GAS_OF_COIN if asset.is_native else GAS_OF_TOKEN) + self.data_fee_wei


@dataclass(frozen=True, slots=True)
class ChainPace:
    """The time between a chain's blocks, and how many the newest one is ahead of the newest final one.

    `final_lag_blocks` is None where depth decides what is final.
    """

    block_seconds: float
    final_lag_blocks: int | None = None

    def seconds_to_confirm(self, required_confirmations: int) -> float:
        """Return about how long after its sending a payment is credited."""
        blocks = required_confirmations if self.final_lag_blocks is None else self.final_lag_blocks
        return blocks * self.block_seconds


@dataclass(frozen=True, slots=True)
class NetworkFee:
    """About what the network takes for a payment; with `is_less`, less than this amount, the smallest there is."""

    fiat: Fiat
    is_less: bool


@dataclass(frozen=True, slots=True)
class NetworkCost:
    """The network's fee of a payment, and the seconds until it is credited; None for what isn't known now."""

    fee: NetworkFee | None
    seconds: float | None


def network_fee(wei: CoinUnits, coin: Asset, coin_price: Decimal, currency: str) -> NetworkFee | None:
    """Return the worth of a fee in a currency; `coin` is the chain's own, and `coin_price` the price of a whole one.

    None for a fee that no network takes: nodes say what gas costs, and may say anything.
    """
    smallest = Decimal(1).scaleb(-DECIMALS[currency])
    coins = Decimal(wei).scaleb(-coin.decimals)
    worth = coins * coin_price
    if coins > _MOST_COINS or worth > MOST_AMOUNT:
        return None
    if worth < smallest:
        return NetworkFee(Fiat(smallest, currency), is_less=True)
    return NetworkFee(Fiat(worth.quantize(smallest, ROUND_HALF_UP), currency), is_less=False)


def pace(older: tuple[int, datetime], newer: tuple[int, datetime], final_number: int | None = None) -> ChainPace | None:
    """Return the pace between two blocks, given by number and time; `final_number` is the newest final one.

    None for a stretch that is too short to tell, and for one in which the chain stood still.
    """
    blocks, seconds = newer[0] - older[0], (newer[1] - older[1]).total_seconds()
    if blocks < 1 or seconds < _SHORTEST_STRETCH_SECONDS or seconds / blocks > _SLOWEST_BLOCK_SECONDS:
        return None
    return ChainPace(seconds / blocks, None if final_number is None else max(1, newer[0] - final_number))
