"""Ask for prices before payers need them."""

import asyncio
from collections.abc import Mapping

from crypto_checkout.core.errors import PriceUnavailable, UnsupportedAsset
from crypto_checkout.services.checkout.payment_methods import PaymentMethods

_CURRENCY = "USD"


class PriceWatch:
    """Asks for the price of each coin of a mode, so that a dead source is noticed before a payer meets it."""

    def __init__(self, payment_methods: PaymentMethods) -> None:
        self.unpriced: Mapping[str, str] = {}
        """The coins that had no price when they were tried last, with the reason."""
        self._payment_methods = payment_methods

    async def try_all(self) -> None:
        """Ask for all of them now."""
        coins = sorted(
            {each.symbol for chain in self._payment_methods.chains for each in chain.assets if not each.usd_pegged}
        )
        answers = await asyncio.gather(*(self._refusal(coin) for coin in coins))
        self.unpriced = {coin: why for coin, why in zip(coins, answers, strict=True) if why is not None}

    def jumps(self) -> Mapping[str, str]:
        """Return the pairs of which a price is refused because it has jumped, with the reason."""
        return self._payment_methods.prices.jumps()

    async def _refusal(self, coin: str) -> str | None:
        """Return the reason for which a coin has no price; None if it has one."""
        try:
            await self._payment_methods.prices.rate(coin, _CURRENCY)
        except (PriceUnavailable, UnsupportedAsset) as error:
            return error.message
        return None
