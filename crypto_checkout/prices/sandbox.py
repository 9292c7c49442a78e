"""The prices of test mode, which a test helper can withhold. Never from the network."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from crypto_checkout.core.checkout.quotes import Rate
from crypto_checkout.core.errors import PriceUnavailable
from crypto_checkout.prices.board import PriceBoard


@dataclass(frozen=True, slots=True)
class SandboxPrices:
    """The prices of test mode; none while `has_outage` reports an outage, which a test helper started.

    `own` are the pairs that the operator set, written `ETH/USD`.
    """

    board: PriceBoard
    has_outage: Callable[[], bool]
    own: Collection[str]

    async def rate(self, base: str, quote: str) -> Rate:
        """Return the price of one `base` in `quote`. Raises PriceUnavailable during an outage."""
        if self.has_outage():
            raise PriceUnavailable("Test mode has an outage of prices: its test helper asked for that.")
        return await self.board.rate(base, quote)

    def has_own(self, base: str, quote: str) -> bool:
        """Tell whether the operator set the price of a pair."""
        return f"{base}/{quote}" in self.own

    def jumps(self) -> Mapping[str, str]:
        """Return nothing: the table's prices don't move."""
        return {}
