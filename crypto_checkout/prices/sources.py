"""The table of price sources: the only list of them. Opening them, and choosing among them, is the caller's part.

The configuration takes its names from here, so nothing imported from here may load httpx.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from crypto_checkout.prices.chainlink import ChainlinkSource
from crypto_checkout.prices.coinbase import CoinbaseSource
from crypto_checkout.prices.coingecko import CoinGeckoSource
from crypto_checkout.prices.kraken import KrakenSource
from crypto_checkout.prices.source import Connections, Source

# By the name in the configuration, which is also the source's own `name`.
SOURCES: Mapping[str, Callable[[Connections], Source]] = MappingProxyType(
    {
        "chainlink": ChainlinkSource,
        "coinbase": CoinbaseSource,
        "kraken": KrakenSource,
        "coingecko": CoinGeckoSource,
    }
)
