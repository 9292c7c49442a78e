"""Prices from a table: the operator's own, and the built-in one of test mode. Never from the network, always fresh."""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from types import MappingProxyType

from crypto_checkout.core.checkout.quotes import Observation
from crypto_checkout.core.moments import Clock
from crypto_checkout.prices.source import UnsupportedPair

# The price of one dollar in test mode: round numbers of about the right size, so that pages look real.
_DOLLAR: Mapping[str, str] = {
    "USD": "1", "EUR": "0.92", "GBP": "0.79", "JPY": "150", "CHF": "0.88", "CAD": "1.36", "AUD": "1.52",
    "NZD": "1.65", "SEK": "10.5", "NOK": "10.7", "DKK": "6.86", "PLN": "3.95", "CZK": "23", "HUF": "360",
    "RON": "4.57", "TRY": "32", "UAH": "39", "ILS": "3.7", "AED": "3.6725", "SAR": "3.75",
    "KWD": "0.307", "BHD": "0.376", "ZAR": "18.5", "NGN": "1500", "KES": "130", "EGP": "48", "INR": "83",
    "IDR": "15700", "THB": "36", "VND": "24700", "PHP": "56", "MYR": "4.7", "SGD": "1.34", "HKD": "7.82",
    "TWD": "32", "CNY": "7.2", "KRW": "1330", "BRL": "5", "MXN": "17", "ARS": "1000", "CLP": "950", "COP": "3900",
    "ISK": "138",
}  # fmt: skip

_COINS: Mapping[str, str] = {
    "ETH": "3000",
    "POL": "0.5",
    "BNB": "600",
    "USD": "1",
    "USDC": "1",
    "USDT": "1",
    "DAI": "1",
}

TEST_PRICES: Mapping[str, Decimal] = MappingProxyType(
    {
        f"{coin}/{fiat}": (Decimal(price) * Decimal(dollar)).quantize(Decimal("0.0001"), ROUND_HALF_UP)
        for coin, price in _COINS.items()
        for fiat, dollar in _DOLLAR.items()
    }
)


class FixedSource:
    """The prices of `table`, whose keys are written `ETH/USD`."""

    name = "fixed"

    def __init__(self, table: Mapping[str, Decimal], *, clock: Clock) -> None:
        self._table = dict(table)
        self._clock = clock

    async def observe(self, base: str, quote: str) -> Observation:
        """Look the pair up; see `Source`."""
        value = self._table.get(f"{base}/{quote}")
        if value is None:
            raise UnsupportedPair(f"does not quote {base}/{quote}")
        return Observation(self.name, value, self._clock())
