"""Prices that never move."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from crypto_checkout.core.checkout.quotes import Rate
from crypto_checkout.core.errors import PriceUnavailable


class FixedPrices:
    """Prices in any currency by symbol, as in `FixedPrices(ETH=3000)`; a dollar is one, others have no price."""

    def __init__(self, **prices: int) -> None:
        self._prices, self._own = {"USD": 1, **prices}, prices

    async def rate(self, base: str, quote: str) -> Rate:
        if base not in self._prices:
            raise PriceUnavailable(f"no price of {base}")
        return Rate(base, quote, Decimal(self._prices[base]), ("test",), datetime.now(UTC))

    def has_own(self, base: str, _: str) -> bool:
        return base in self._own

    def jumps(self) -> Mapping[str, str]:
        return {}
