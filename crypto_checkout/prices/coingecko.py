"""CoinGecko's simple price: `GET /api/v3/simple/price?ids=ethereum&vs_currencies=usd`.

With an API key, `x-cg-demo-api-key` names a free one at api.coingecko.com, `x-cg-pro-api-key` a paid one at
pro-api.coingecko.com; which of them a key is, the answer 10010 tells
(https://docs.coingecko.com/docs/errors-and-rate-limits). Without a key all users of an address share 5 to 15 requests a
minute, and many are refused.

https://docs.coingecko.com/reference/simple-price. The answer is
`{"ethereum": {"usd": 3000.12, "last_updated_at": 1711356300}}`, refreshed about once a minute; the observation has that
time, not ours. An unknown currency is simply absent from the answer.

`USD` as a base is the quotient of two prices of ETH in the same answer. A dollar token (usd-coin) would be the obvious
stand-in, but it brings its own risk into every token's price on the day it loses its peg.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from crypto_checkout.core.checkout.quotes import Observation
from crypto_checkout.core.errors import SourceFailed
from crypto_checkout.prices.http_source import HttpSource, Reply, member, number, quotient
from crypto_checkout.prices.source import Connections, UnsupportedPair

# `matic-network` is the old token; POL has its own entry.
COIN_IDS: Mapping[str, str] = MappingProxyType(
    {
        "ETH": "ethereum",
        "POL": "polygon-ecosystem-token",
        "BNB": "binancecoin",
        "AVAX": "avalanche-2",
        "CELO": "celo",
        "XDAI": "xdai",
        "EURC": "euro-coin",
    }
)
_PIVOT = "ETH"

_IS_PAID_KEY = b"10010"
_REFUSALS = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)

# Unix seconds from 2001 to 2286; anything else is milliseconds, or nonsense.
_PLAUSIBLE_SECONDS = range(10**9, 10**10)


class CoinGeckoSource(HttpSource):
    """The simple prices of CoinGecko."""

    name = "coingecko"
    base_url = "https://api.coingecko.com"
    paid_url = "https://pro-api.coingecko.com"

    def __init__(self, connections: Connections) -> None:
        super().__init__(connections)
        self._api_key = connections.coingecko_api_key
        self._is_paid = False

    async def observe(self, base: str, quote: str) -> Observation:
        """Ask once; see `Source`."""
        if base == "USD":
            entry = await self._entry(_PIVOT, ("USD", quote))
            value = quotient(_price(entry, "USD", quote), _price(entry, "USD", "USD"))
        else:
            entry = await self._entry(base, (quote,))
            value = _price(entry, base, quote)
        return Observation(self.name, value, _updated_at(entry))

    async def _entry(self, coin: str, quotes: tuple[str, ...]) -> Any:
        if coin not in COIN_IDS:
            raise UnsupportedPair(f"does not quote {coin}")
        params = {
            "ids": COIN_IDS[coin],
            "vs_currencies": ",".join(quotes).lower(),
            "include_last_updated_at": "true",
            "precision": "full",
        }
        reply = await self._ask(params)
        if self._api_key and not self._is_paid and reply.status in _REFUSALS and _IS_PAID_KEY in reply.body:
            self._is_paid = True
            reply = await self._ask(params)
        if reply.status in _REFUSALS:
            wish = "it refuses [prices] coingecko_api_key" if self._api_key else "set [prices] coingecko_api_key"
            raise SourceFailed(f"answered with status {reply.status:d}: {wish}")
        reply.expect_ok()
        return member(reply.json(), COIN_IDS[coin])

    async def _ask(self, params: Mapping[str, str]) -> Reply:
        header = "x-cg-pro-api-key" if self._is_paid else "x-cg-demo-api-key"
        headers = {header: self._api_key} if self._api_key else {}
        url = self.paid_url if self._is_paid else self.base_url
        return await self._get("/api/v3/simple/price", params, headers, base_url=url)


def _price(entry: Any, base: str, quote: str) -> Decimal:
    if isinstance(entry, dict) and quote.lower() not in entry:
        raise UnsupportedPair(f"does not quote {base}/{quote}")
    return number(member(entry, quote.lower()))


def _updated_at(entry: Any) -> datetime:
    seconds = member(entry, "last_updated_at")
    if not isinstance(seconds, int) or seconds not in _PLAUSIBLE_SECONDS:
        raise SourceFailed("the answer does not say when it was made")
    return datetime.fromtimestamp(seconds, UTC)
