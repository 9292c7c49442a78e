"""Chainlink's price feeds, read from the chains themselves: no web service, no key, one `eth_call`.

`latestRoundData()` of a feed's proxy returns (roundId, answer, startedAt, updatedAt, answeredInRound):
https://docs.chain.link/data-feeds/api-reference. Addresses: https://docs.chain.link/data-feeds/price-feeds/addresses.
How to read a chain is not known here: the reader is passed in.

**Freshness.** A feed writes a round when the price moves by its threshold (0.05 % to 0.5 %) or its heartbeat is over,
whichever is first. So an unchanged round *is* the feed's statement that the price has not moved, for as long as the
heartbeat holds: an hour for ETH/USD on Ethereum. Measured by `updatedAt` alone it would look stale most of the time.
So the observation has the time of the reading, and the silence since `updatedAt` is checked here, against the
heartbeat and a margin for congestion. Of a longer heartbeat (a day on Arbitrum) only `MAX_SILENCE_SECONDS` count: a
stopped sequencer or a lagging node looks just the same, and other sources are there to answer.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType

from crypto_checkout.core.checkout.quotes import FUTURE_TOLERANCE, Observation
from crypto_checkout.core.errors import RecoverableError, SourceFailed
from crypto_checkout.core.moments import from_unix
from crypto_checkout.prices.source import Connections, UnsupportedPair

LATEST_ROUND_DATA = "0xfeaf968c"  # the first four bytes of keccak("latestRoundData()")

# A due round may wait for a block, or for a lower gas price.
MARGIN_SECONDS = 300
MAX_SILENCE_SECONDS = 3600

_WORD = 32
_WORDS = 5
_MAX_UNIX_SECONDS = 10**10  # the year 2286; a larger word would overflow datetime


@dataclass(frozen=True, slots=True)
class PriceFeed:
    """A feed's proxy contract; `heartbeat_seconds` is the longest time between two rounds."""

    chain_id: int
    address: str
    heartbeat_seconds: int
    decimals: int = 8


# In order of preference: the longest established, then the most frequent. Test networks have none on purpose.
FEEDS: Mapping[str, tuple[PriceFeed, ...]] = MappingProxyType(
    {
        "ETH/USD": (
            PriceFeed(1, "0x5f4eC3Df9cbd43714FE2740f5E3616155c5b8419", 3600),
            PriceFeed(8453, "0x71041dddad3595F9CEd3DcCFBe3D1F4b0a16Bb70", 1200),
            PriceFeed(10, "0x13e3Ee699D1909E989722E753853AE30b17e08c5", 1200),
            PriceFeed(137, "0xF9680D99D6C9589e2a93a78A04A279e509205945", 27),
            PriceFeed(56, "0x9ef1B8c0E4F7dc8bF5719Ea496883DC6401d5b2e", 60),
            PriceFeed(42161, "0x639Fe6ab55C921f74e7fac1ee960C0B6293ba612", 86400),
        ),
        "POL/USD": (PriceFeed(137, "0xAB594600376Ec9fD91F8e885dADF0CE036862dE0", 27),),
        "BNB/USD": (PriceFeed(56, "0x0567F2323251f0Aab15c8dFb1967E4e8A7D42aeE", 60),),
    }
)


class ChainlinkSource:
    """The feeds on the configured chains; the next chain is tried when one can't be read."""

    name = "chainlink"

    def __init__(self, connections: Connections) -> None:
        self._read = connections.read_contract
        self._chain_ids = frozenset(connections.chain_ids)
        self._clock = connections.clock
        self._timeout_seconds = connections.timeout_seconds

    async def observe(self, base: str, quote: str) -> Observation:
        """Ask once; see `Source`."""
        feeds = [feed for feed in FEEDS.get(f"{base}/{quote}", ()) if feed.chain_id in self._chain_ids]
        if not feeds:
            raise UnsupportedPair(f"no configured chain has a {base}/{quote} feed")
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._first_good(feeds)
        except TimeoutError:
            raise SourceFailed(f"no answer within {self._timeout_seconds:g} s") from None

    async def _first_good(self, feeds: list[PriceFeed]) -> Observation:
        reasons: list[str] = []
        for feed in feeds:
            try:
                answer = await self._read(feed.chain_id, feed.address, LATEST_ROUND_DATA)
                now = self._clock()
                return Observation(self.name, price_of(answer, feed, now=now), now)
            except SourceFailed as error:
                reasons.append(f"chain {feed.chain_id}: {error}")
            except RecoverableError:
                # Its message may name a provider's address, with a key in it.
                reasons.append(f"chain {feed.chain_id} can't be read")
        raise SourceFailed("; ".join(reasons))


def price_of(answer: bytes, feed: PriceFeed, *, now: datetime) -> Decimal:
    """Decode and check the result of `latestRoundData()`. Raises SourceFailed for a round that proves no price."""
    if len(answer) != _WORDS * _WORD:
        raise SourceFailed("no price feed answers at its address")
    words = [answer[start : start + _WORD] for start in range(0, len(answer), _WORD)]
    round_id, updated_at, answered_in = (int.from_bytes(words[index]) for index in (0, 3, 4))
    price = int.from_bytes(words[1], signed=True)
    if round_id == 0 or updated_at == 0 or answered_in < round_id:
        raise SourceFailed("the feed's latest round is not complete")
    if price <= 0:
        raise SourceFailed("the feed's price is zero or negative")
    _check_silence(updated_at, feed, now)
    return Decimal(price).scaleb(-feed.decimals)


def _check_silence(updated_at: int, feed: PriceFeed, now: datetime) -> None:
    if updated_at > _MAX_UNIX_SECONDS or from_unix(updated_at) > now + FUTURE_TOLERANCE:
        raise SourceFailed("the feed's latest round is from the future")
    silence = now - from_unix(updated_at)
    if silence > timedelta(seconds=min(feed.heartbeat_seconds, MAX_SILENCE_SECONDS) + MARGIN_SECONDS):
        raise SourceFailed(f"the feed has been silent for {silence.total_seconds():.0f} s")
