"""Token buckets: so many requests at once, so many per second over time. In memory; a restart refills them."""

import ipaddress
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request

from crypto_checkout.core.errors import LinkCrowded, RateLimitExceeded

_MOST_BUCKETS = 10_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one request found in its bucket; `reset_seconds` is how long until it is full again."""

    is_allowed: bool
    limit: int
    remaining: int
    reset_seconds: int
    retry_after_seconds: int

    def headers(self) -> dict[str, str]:
        """Return the `RateLimit-*` headers."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_seconds),
        }

    def check(self) -> None:
        """Raise RateLimitExceeded where the bucket was empty."""
        if not self.is_allowed:
            raise RateLimitExceeded(
                f"Too many requests: {self.limit} at once are allowed. Try again in {self.retry_after_seconds} s.",
                retry_after_seconds=self.retry_after_seconds,
            )


class RateLimit:
    """Buckets by name: an API key's id, or a client's address. `clock` counts seconds and never goes back."""

    def __init__(self, *, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def take(self, name: str) -> Allowance:
        """Take a token from a bucket."""
        now = self._clock()
        bucket = self._buckets.get(name)
        if bucket is None:
            self._make_room(now)
            bucket = self._buckets[name] = _Bucket(self._burst, now)
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.at) * self._per_second)
        bucket.at = now
        is_allowed = bucket.tokens >= 1
        if is_allowed:
            bucket.tokens -= 1
        return Allowance(
            is_allowed=is_allowed,
            limit=self._burst,
            remaining=int(bucket.tokens),
            reset_seconds=math.ceil((self._burst - bucket.tokens) / self._per_second),
            retry_after_seconds=max(1, math.ceil((1 - bucket.tokens) / self._per_second)),
        )

    def refill(self, name: str) -> None:
        """Make a bucket full again."""
        self._buckets.pop(name, None)

    def _make_room(self, now: float) -> None:
        """Forget buckets that are full again: forgetting them gives nobody anything."""
        if len(self._buckets) < _MOST_BUCKETS:
            return
        full_after = self._burst / self._per_second
        self._buckets = {name: bucket for name, bucket in self._buckets.items() if now - bucket.at < full_after}
        if len(self._buckets) >= _MOST_BUCKETS:
            # The oldest tenth goes; forgetting all would forgive everybody at once.
            oldest = sorted(self._buckets, key=lambda name: self._buckets[name].at)[: _MOST_BUCKETS // 10]
            for name in oldest:
                del self._buckets[name]


# How much one client may ask of the payer's pages; a visit that makes a session costs more.
_PAGES_PER_SECOND, _PAGES_BURST = 10, 100
_VISITS_PER_SECOND, _VISITS_BURST = 0.5, 20

# How many sessions the visits to one link make, from wherever they come. Each takes an address of the wallet for good,
# and is watched for hours: a flood from many networks may fill one link, and neither the wallet nor the watcher.
_SESSIONS_PER_SECOND, _SESSIONS_BURST = 1, 500

_IPV6_CLIENT_BITS = 64


def page_limit() -> Callable[[Request], None]:
    """Return the limit of the public pages, per client; it raises RateLimitExceeded."""
    looks = RateLimit(per_second=_PAGES_PER_SECOND, burst=_PAGES_BURST)

    def limit(request: Request) -> None:
        looks.take(client_name(request.scope["client_address"])).check()

    return limit


def link_limit() -> Callable[[Request, str], None]:
    """Return the limit of new sessions from visits, for a request and a link's id.

    It raises RateLimitExceeded for a client that makes too many, and LinkCrowded for a link of which all clients
    together make too many. What a client is refused takes nothing from the link.
    """
    visits = RateLimit(per_second=_VISITS_PER_SECOND, burst=_VISITS_BURST)
    sessions = RateLimit(per_second=_SESSIONS_PER_SECOND, burst=_SESSIONS_BURST)

    def limit(request: Request, link_id: str) -> None:
        visits.take(client_name(request.scope["client_address"])).check()
        allowance = sessions.take(link_id)
        if not allowance.is_allowed:
            raise LinkCrowded(
                "Too many sessions were made from this link.", retry_after_seconds=allowance.retry_after_seconds
            )

    return limit


def client_name(address: str) -> str:
    """Return what one client's addresses share: with IPv6 a client has a whole network of them."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:  # noqa: PLR2004 - of the protocol
        return address
    return str(ipaddress.ip_network((parsed, _IPV6_CLIENT_BITS), strict=False))
