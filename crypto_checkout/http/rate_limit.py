"""Token buckets: a burst of requests at once, and a rate per second. In memory; a restart refills them.

Of several processes behind a load balancer each gives its share of a limit, at least one request at once. So together
they give no more than the limit, but for bursts smaller than their number; a client whose requests all reach the same
process gets that one's share.
"""

import ipaddress
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from starlette.requests import Request

from crypto_checkout.core.errors import LinkCrowded, RateLimitExceeded

VARYING_HEADERS = (b"ratelimit-remaining", b"ratelimit-reset")

_MOST_BUCKETS = 20_000

Processes = Callable[[], int]
"""Tells the number of processes that serve the same database, as `Database.processes` does."""


def _alone() -> int:
    return 1


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Allowance(NamedTuple):
    """The result of taking a token; `reset_seconds` is the time until the bucket is full again."""

    is_allowed: bool
    limit: int
    remaining: int
    reset_seconds: int
    retry_after_seconds: int

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the `RateLimit-*` headers as they are sent."""
        return [(b"ratelimit-limit", b"%d" % self.limit), *self.varying_headers().items()]

    def varying_headers(self) -> dict[bytes, bytes]:
        """Return the values of those that differ from request to request, `VARYING_HEADERS`."""
        remaining, reset = VARYING_HEADERS
        return {remaining: b"%d" % self.remaining, reset: b"%d" % self.reset_seconds}

    def check(self) -> None:
        """Raise RateLimitExceeded if the bucket was empty."""
        if not self.is_allowed:
            raise RateLimitExceeded(
                f"Too many requests: {self.limit} at once are allowed. Try again in {self.retry_after_seconds} s.",
                retry_after_seconds=self.retry_after_seconds,
            )


class RateLimit:
    """Buckets by name, such as an API key's id or a client's address.

    `processes` tells among how many the limit is shared; `clock` is monotonic, in seconds.
    """

    def __init__(
        self,
        *,
        per_second: float,
        burst: int,
        processes: Processes = _alone,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_second = per_second
        self._burst = burst
        self._processes = processes
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def take(self, name: str) -> Allowance:
        """Take a token from a bucket."""
        now, shares = self._clock(), self._processes()
        burst, per_second = max(1.0, self._burst / shares), self._per_second / shares
        bucket = self._buckets.get(name)
        if bucket is None:
            self._make_room(now)
            bucket = self._buckets[name] = _Bucket(burst, now)
        tokens = min(burst, bucket.tokens + (now - bucket.at) * per_second)
        is_allowed = tokens >= 1
        if is_allowed:
            tokens -= 1
        bucket.tokens, bucket.at = tokens, now
        return Allowance(
            is_allowed,
            self._burst,
            min(self._burst, int(tokens * shares)),  # the others have as much left, on average
            math.ceil((burst - tokens) / per_second),
            1 if is_allowed else max(1, math.ceil((1 - tokens) / per_second)),
        )

    def put_back(self, name: str) -> None:
        """Put a token back that was taken in vain."""
        bucket = self._buckets.get(name)
        if bucket is not None:
            bucket.tokens += 1  # `take` sees to the burst

    def refill(self, name: str) -> None:
        """Refill a bucket."""
        self._buckets.pop(name, None)

    def _make_room(self, now: float) -> None:
        """Drop buckets that are full again, which changes no allowance."""
        if len(self._buckets) < _MOST_BUCKETS:
            return
        shares = self._processes()
        full_after = max(1.0, self._burst / shares) / (self._per_second / shares)
        self._buckets = {name: bucket for name, bucket in self._buckets.items() if now - bucket.at < full_after}
        if len(self._buckets) > _MOST_BUCKETS - _MOST_BUCKETS // 10:
            # Drop the oldest tenth only; dropping all would lift every limit at once, and dropping fewer would walk
            # through them all again for the next client.
            oldest = sorted(self._buckets, key=lambda name: self._buckets[name].at)[: _MOST_BUCKETS // 10]
            for name in oldest:
                del self._buckets[name]


# Limits of one client on the payer's pages, and on the status that open pages ask for every 2.5 s, 75 of them at once.
_PAGES_PER_SECOND, _PAGES_BURST = 10, 100
_POLLS_PER_SECOND, _POLLS_BURST = 30, 300

# Limits of visits that create a session, which takes an address of the wallet forever and is watched for hours: of one
# client, such as the guests of one Wi-Fi, and of its network, all links together.
_VISITS_PER_SECOND, _VISITS_BURST = 1 / 60, 60
_NETWORK_PER_SECOND, _NETWORK_BURST = 1 / 10, 200

# Wrong API keys of one client: a deployment with a revoked key may repeat it for a while, a guesser may not.
_WRONG_KEYS_PER_SECOND, _WRONG_KEYS_BURST = 0.5, 100

# Limits of one link: a flood from many networks may crowd it, but exhausts neither the wallet nor the watcher. Of a
# crowded link each network still gets a share, for visitors who press a button.
_LINK_PER_SECOND, _LINK_BURST = 1, 500
_RESERVE_PER_SECOND, _RESERVE_BURST = 0.5, 300
_SHARE_PER_SECOND, _SHARE_BURST = 1 / 1200, 3

_IPV6_CLIENT_BITS = 64
_NETWORK_BITS = {4: 24, 6: 48}


def page_limit(processes: Processes) -> Callable[[Request], None]:
    """Return the limit of one client on public pages; it raises RateLimitExceeded."""
    return _limit_of_client(RateLimit(per_second=_PAGES_PER_SECOND, burst=_PAGES_BURST, processes=processes))


def poll_limit(processes: Processes) -> Callable[[Request], None]:
    """Return the limit of one client on the status of sessions; it raises RateLimitExceeded."""
    return _limit_of_client(RateLimit(per_second=_POLLS_PER_SECOND, burst=_POLLS_BURST, processes=processes))


def _limit_of_client(buckets: RateLimit) -> Callable[[Request], None]:
    def limit(request: Request) -> None:
        buckets.take(client_name(request.scope["client_address"])).check()

    return limit


def wrong_key_limit(processes: Processes) -> RateLimit:
    """Return the buckets of wrong API keys, by the client's name."""
    return RateLimit(per_second=_WRONG_KEYS_PER_SECOND, burst=_WRONG_KEYS_BURST, processes=processes)


class LinkLimit:
    """The limit of sessions created by visits to payment links, of a client, its network and the link.

    `processes` tells among how many it is shared.
    """

    def __init__(self, processes: Processes = _alone) -> None:
        self.processes = processes
        self._clients = RateLimit(per_second=_VISITS_PER_SECOND, burst=_VISITS_BURST, processes=processes)
        self._networks = RateLimit(per_second=_NETWORK_PER_SECOND, burst=_NETWORK_BURST, processes=processes)
        self._links = RateLimit(per_second=_LINK_PER_SECOND, burst=_LINK_BURST, processes=processes)
        self._reserves = RateLimit(per_second=_RESERVE_PER_SECOND, burst=_RESERVE_BURST, processes=processes)
        self._shares = RateLimit(per_second=_SHARE_PER_SECOND, burst=_SHARE_BURST, processes=processes)

    def visit(self, address: str, link_id: str) -> None:
        """Count a session that a visit from an address is about to create.

        Raises RateLimitExceeded when a client or its network creates too many, and LinkCrowded when all clients of the
        link do. Who is refused takes nothing from the others' allowance.
        """
        client, network = client_name(address), network_name(address)
        self._clients.take(client).check()
        of_network = self._networks.take(network)
        of_link = self._links.take(link_id) if of_network.is_allowed else None
        if of_link is not None and of_link.is_allowed:
            return
        self._clients.put_back(client)
        of_network.check()
        self._networks.put_back(network)
        assert of_link is not None, "the network was allowed"
        raise LinkCrowded(
            "Too many sessions were made from this link.", retry_after_seconds=of_link.retry_after_seconds
        )

    def insist(self, address: str, link_id: str) -> None:
        """Count a session for someone who pressed the button: of a crowded link, their network's share.

        Raises as `visit` does.
        """
        try:
            self.visit(address, link_id)
        except LinkCrowded:
            share = f"{link_id} {network_name(address)}"
            if not self._shares.take(share).is_allowed:
                raise
            if not self._reserves.take(link_id).is_allowed:
                self._shares.put_back(share)
                raise


@lru_cache(maxsize=4096)
def client_name(address: str) -> str:
    """Return a name for one client's addresses: the address, or its /64 network with IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:  # noqa: PLR2004 - IPv4
        return address
    return str(ipaddress.ip_network((parsed, _IPV6_CLIENT_BITS), strict=False))


def network_name(address: str) -> str:
    """Return a name for the network around an address: /24 with IPv4, /48 with IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((parsed, _NETWORK_BITS[parsed.version]), strict=False))
