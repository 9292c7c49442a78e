"""Token buckets: a burst of requests at once, and a rate per second. In memory; a restart refills them."""

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
    """The result of taking a token; `reset_seconds` is the time until the bucket is full again."""

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
        """Raise RateLimitExceeded if the bucket was empty."""
        if not self.is_allowed:
            raise RateLimitExceeded(
                f"Too many requests: {self.limit} at once are allowed. Try again in {self.retry_after_seconds} s.",
                retry_after_seconds=self.retry_after_seconds,
            )


class RateLimit:
    """Buckets by name, such as an API key's id or a client's address; `clock` is monotonic, in seconds."""

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
        """Refill a bucket."""
        self._buckets.pop(name, None)

    def _make_room(self, now: float) -> None:
        """Drop buckets that are full again, which changes no allowance."""
        if len(self._buckets) < _MOST_BUCKETS:
            return
        full_after = self._burst / self._per_second
        self._buckets = {name: bucket for name, bucket in self._buckets.items() if now - bucket.at < full_after}
        if len(self._buckets) >= _MOST_BUCKETS:
            # Drop the oldest tenth only; dropping all would lift every limit at once.
            oldest = sorted(self._buckets, key=lambda name: self._buckets[name].at)[: _MOST_BUCKETS // 10]
            for name in oldest:
                del self._buckets[name]


# Limits of one client on the payer's pages; visits that create a session are limited further.
_PAGES_PER_SECOND, _PAGES_BURST = 10, 100
_VISITS_PER_SECOND, _VISITS_BURST = 0.5, 20

# Wrong API keys of one client: a deployment with a revoked key may repeat it for a while, a guesser may not.
_WRONG_KEYS_PER_SECOND, _WRONG_KEYS_BURST = 0.5, 100

# Limits of all clients on the sessions of one link. Each session takes an address of the wallet forever, and is watched
# for hours: a flood from many networks may exhaust one link, but neither the wallet nor the watcher.
_SESSIONS_PER_SECOND, _SESSIONS_BURST = 1, 500

_IPV6_CLIENT_BITS = 64


def page_limit() -> Callable[[Request], None]:
    """Return the limit of one client on public pages; it raises RateLimitExceeded."""
    pages = RateLimit(per_second=_PAGES_PER_SECOND, burst=_PAGES_BURST)

    def limit(request: Request) -> None:
        pages.take(client_name(request.scope["client_address"])).check()

    return limit


def wrong_key_limit() -> RateLimit:
    """Return the buckets of wrong API keys, by the client's name."""
    return RateLimit(per_second=_WRONG_KEYS_PER_SECOND, burst=_WRONG_KEYS_BURST)


def link_limit() -> Callable[[Request, str], None]:
    """Return the limit of sessions created by visits, called with a request and a link's id.

    It raises RateLimitExceeded when one client creates too many, and LinkCrowded when all clients of a link do. A
    refused client takes nothing from the link's allowance.
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
    """Return a name for one client's addresses: the address, or its /64 network with IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:  # noqa: PLR2004 - IPv4
        return address
    return str(ipaddress.ip_network((parsed, _IPV6_CLIENT_BITS), strict=False))
