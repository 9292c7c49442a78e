"""The interface of a price source, and the ways it can fail.

No source judges freshness or agreement with others (`core.checkout.quotes` does), and none retries (`prices.board`
does). Reasons of failures may reach API clients: they never carry addresses, headers or text that a remote server
chose.
"""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from crypto_checkout.core.checkout.quotes import Observation
from crypto_checkout.core.errors import SourceFailed
from crypto_checkout.core.moments import Clock

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS = 3.0

# (chain ID, contract address, calldata in hex) -> the returned bytes. Raises a RecoverableError on failure.
ReadContract = Callable[[int, str, str], Awaitable[bytes]]


class UnsupportedPair(SourceFailed):
    """The source works, but does not quote this pair."""


class SourceThrottled(SourceFailed):
    """The source throttles us; it demands a pause of `retry_after_seconds`, or names none (0)."""

    def __init__(self, message: str, *, retry_after_seconds: int = 0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True)
class Connections:
    """The resources that sources are opened with; each uses those it needs.

    `read_contract` reads the chains of `chain_ids`. `timeout_seconds` limits one observation.
    """

    client: "httpx.AsyncClient"
    read_contract: ReadContract
    chain_ids: Collection[int]
    clock: Clock
    timeout_seconds: float = TIMEOUT_SECONDS
    coingecko_api_key: str = field(default="", repr=False)


class Source(Protocol):
    """A source of prices."""

    @property
    def name(self) -> str:
        """The name in the configuration, and in a rate's `sources`."""

    async def observe(self, base: str, quote: str) -> Observation:
        """Ask once for the price of one unit of `base` (ETH, POL, BNB, USD) in `quote` (ISO 4217, upper case).

        Raises SourceFailed with a plain reason; UnsupportedPair and SourceThrottled are its two special cases.
        """
