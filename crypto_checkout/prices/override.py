"""The operator's own prices, in front of the market's: for a pair of the table, no source is asked."""

from collections.abc import Collection, Mapping

from crypto_checkout.core.checkout.quotes import Rate
from crypto_checkout.prices.board import PriceBoard


class Override:
    """The rates of `fixed` for `pairs` (written `ETH/USD`), and of `market` for all others."""

    def __init__(self, fixed: PriceBoard, market: PriceBoard, pairs: Collection[str]) -> None:
        self._fixed = fixed
        self._market = market
        self._pairs = frozenset(pairs)

    async def rate(self, base: str, quote: str) -> Rate:
        """Return the price of one `base` in `quote`; raises as `PriceBoard.rate` does."""
        board = self._fixed if self.has_own(base, quote) else self._market
        return await board.rate(base, quote)

    def has_own(self, base: str, quote: str) -> bool:
        """Tell whether the operator set the price of a pair."""
        return f"{base}/{quote}" in self._pairs

    def jumps(self) -> Mapping[str, str]:
        """Return the market's refused jumps: the operator's own prices may move as they like."""
        return self._market.jumps()
