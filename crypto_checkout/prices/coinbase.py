"""Coinbase's spot price: `GET /v2/prices/ETH-USD/spot`, no key needed.

https://docs.cdp.coinbase.com/coinbase-app/track-apis/prices. The answer is
`{"data": {"amount": "3000.12", "base": "ETH", "currency": "USD"}}`; it carries no time, so an observation has that of
the reading. `USD` works as a base too (USD-EUR).
"""

from http import HTTPStatus
from typing import Any

from crypto_checkout.core.checkout.quotes import Observation
from crypto_checkout.core.errors import SourceFailed
from crypto_checkout.prices.http_source import HttpSource, Reply, member, number
from crypto_checkout.prices.source import UnsupportedPair

BASES = frozenset({"ETH", "POL", "BNB", "AVAX", "CELO", "EURC", "USD"})


class CoinbaseSource(HttpSource):
    """The spot prices of Coinbase."""

    name = "coinbase"
    base_url = "https://api.coinbase.com"

    async def observe(self, base: str, quote: str) -> Observation:
        """Ask once; see `Source`."""
        if base not in BASES:
            raise UnsupportedPair(f"does not quote {base}/{quote}")
        reply = await self._get(f"/v2/prices/{base}-{quote}/spot")
        if _is_unknown_currency(reply):
            raise UnsupportedPair(f"does not quote {base}/{quote}")
        reply.expect_ok()
        data = member(reply.json(), "data")
        # It has answered with another pair than requested (coinbase/coinbase-python issues 36, 40 and 63).
        if member(data, "base") != base or member(data, "currency") != quote:
            raise SourceFailed(f"the answer is not about {base}/{quote}")
        return Observation(self.name, number(member(data, "amount")), self._clock())


def _is_unknown_currency(reply: Reply) -> bool:
    """Distinguish `{"errors":[{"id":"not_found","message":"Invalid base currency"}]}` from any other 400 or 404."""
    if reply.status not in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND}:
        return False
    try:
        errors: Any = member(reply.json(), "errors")
    except SourceFailed:
        return False
    messages = (
        [str(each.get("message")) for each in errors if isinstance(each, dict)] if isinstance(errors, list) else []
    )
    return any("currency" in message for message in messages)
