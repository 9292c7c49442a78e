"""The guard against server-side request forgery: it keeps deliveries away from forbidden addresses.

`check_url` is the early and friendly refusal, when an endpoint is created. The refusal that counts is `GuardedBackend`:
it resolves the name itself for each connection, checks every address, and connects to a checked address by number, so
that a name whose answer changes between check and use gains nothing. TLS still verifies the name. The forbidden
addresses are in `webhooks.networks`. Deadlines, redirects and HTTP itself are not known here.
"""

import asyncio
import contextlib
import ipaddress
import re
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence

import httpcore
import httpx

from crypto_checkout.core.errors import RecoverableError
from crypto_checkout.webhooks.networks import Address, Reach, is_web_port, refusal_within
from crypto_checkout.webhooks.stream import Dialer

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

MAX_URL_LENGTH = 2048

# One unreachable address of several (IPv6 on a host without a route is the usual one) must not eat the whole deadline.
CONNECT_SECONDS_PER_ADDRESS = 4.0

_WAY_OUT = "set webhooks.allow_private_networks if this is meant"

_LAST_PORT = 65_535

# Letters, digits and hyphens (RFC 1123), and the underscore, which is used all the same.
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_MAX_NAME_LENGTH = 253


class BlockedAddress(RecoverableError):
    """The name resolves to a forbidden address, which the message leaves out."""


class NameNotResolved(RecoverableError):
    """The name has no address, or its name servers gave none."""


def parse_url(url: str) -> httpx.URL:
    """Parse an endpoint's URL exactly as the sender will, so that check and use can't disagree. Raises ValueError."""
    if len(url) > MAX_URL_LENGTH:
        raise ValueError(f"the URL is longer than {MAX_URL_LENGTH} characters")
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as exc:
        raise ValueError(f"not a valid URL: {exc}") from exc
    if parsed.scheme not in {"http", "https"}:
        raise ValueError("the URL must be absolute and begin with https:// (or http:// where that is allowed)")
    if not _is_host(parsed.raw_host.decode("ascii")):
        raise ValueError("the URL needs a host: a domain name or an IP address")
    if parsed.port is not None and not 0 < parsed.port <= _LAST_PORT:
        raise ValueError(f"no such port: {parsed.port}")
    return parsed


def check_url(url: str, *, reach: Reach, allow_http: bool) -> None:
    """Refuse a URL that no delivery could or should go to. Names are not resolved here.

    Args:
        url: as the merchant wrote it.
        reach: the networks that deliveries may go to.
        allow_http: allow plain HTTP to any host (test mode). To loopback hosts it is always allowed.

    Raises:
        ValueError: with the reason, in words for the merchant.
    """
    parsed = parse_url(url)
    host = parsed.raw_host.decode("ascii")
    if parsed.userinfo:
        raise ValueError("the URL must not hold a user name or password; deliveries are signed instead")
    if parsed.fragment:
        raise ValueError("the URL must not hold a #fragment; it would never be sent")
    if parsed.scheme == "http" and not (allow_http or _is_loopback(host)):
        raise ValueError("the URL must begin with https://; plain http is for loopback hosts and test mode")
    if reach is not Reach.ANY and parsed.port is not None and not is_web_port(parsed.port):
        raise ValueError(f"port {parsed.port} belongs to another service than the web; {_WAY_OUT}")
    _check_host(host, reach)


def _check_host(host: str, reach: Reach) -> None:
    kind = "loopback" if _is_loopback(host) and reach is Reach.PUBLIC else None
    address = _literal(host)
    if address is not None:
        kind = refusal_within(reach, address)
    if kind is not None:
        raise ValueError(f"{host} is a {kind} address, where webhooks are not sent; {_WAY_OUT}")


def _is_host(host: str) -> bool:
    """Accept domain names and IP addresses in their usual form; not `127.1` and `0x7f000001`, which libc would dial."""
    if _literal(host) is not None:
        return True
    labels = host.removesuffix(".").split(".")
    named = all(_LABEL.fullmatch(label) for label in labels) and not _NUMBER.fullmatch(labels[-1])
    return named and len(host) <= _MAX_NAME_LENGTH


def _is_loopback(host: str) -> bool:
    name = host.removesuffix(".")
    address = _literal(host)
    return name == "localhost" or name.endswith(".localhost") or (address is not None and address.is_loopback)


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


async def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver for all addresses of a name, in its order of preference (RFC 6724).

    Each look-up has a thread of its own, not one of the shared pool: a hostile name server can hold it for half a
    minute, it can't be cancelled, and a few of them would block all others. The threads are daemons, so that none
    holds up the end of the process.

    Raises:
        NameNotResolved: the resolver found no address.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def settle(addresses: list[str] | None) -> None:
        if answer.done():  # the deadline passed first
            return
        if addresses:
            answer.set_result(addresses)
        else:
            answer.set_exception(NameNotResolved(f"the name {host} has no address"))

    def look_up() -> None:
        addresses = _look_up(host, port)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, addresses)

    threading.Thread(target=look_up, name="webhook-resolver", daemon=True).start()
    return await answer


def _look_up(host: str, port: int) -> list[str] | None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # UnicodeError: a label too long for IDNA
        return None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens TCP connections to public addresses only.

    Args:
        reach: the allowed networks.
        resolver: resolves a name and port to addresses.
        dialer: opens the connections; it is only ever given IP addresses.
    """

    def __init__(
        self,
        *,
        reach: Reach = Reach.PUBLIC,
        resolver: Resolver = resolve,
        dialer: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._reach = reach
        self._resolver = resolver
        self._dialer = Dialer() if dialer is None else dialer

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve a name, check its addresses, and connect to the first that answers.

        Raises:
            NameNotResolved: there is no address.
            BlockedAddress: the port or any of the addresses is forbidden. One is enough: a name that points both inside
                and outside is a trap or a mistake, and their order must not decide.
            httpcore.ConnectError, httpcore.ConnectTimeout: the last address failed so.
        """
        if self._reach is not Reach.ANY and not is_web_port(
            port
        ):  # it may have been allowed when the endpoint was created
            raise BlockedAddress(f"port {port} belongs to another service than the web; {_WAY_OUT}")
        *others, last = await self._checked_addresses(host, port)
        for address in others:
            seconds = CONNECT_SECONDS_PER_ADDRESS if timeout is None else min(timeout, CONNECT_SECONDS_PER_ADDRESS)
            with contextlib.suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await self._dialer.connect_tcp(address, port, seconds, local_address, socket_options)
        return await self._dialer.connect_tcp(last, port, timeout, local_address, socket_options)

    async def connect_unix_socket(
        self,
        path: str,  # noqa: ARG002
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - httpcore's signature
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: no receiver of webhooks is behind a Unix socket."""
        raise BlockedAddress("webhooks are not sent to Unix sockets")

    async def _checked_addresses(self, host: str, port: int) -> list[str]:
        addresses = [host] if _literal(host) else list(await self._resolver(host, port))
        if not addresses:
            raise NameNotResolved(f"the name {host} has no address")
        for address in addresses:
            kind = refusal_within(self._reach, ipaddress.ip_address(address))
            if kind is not None:
                leads = "is" if host == address else "leads to"
                raise BlockedAddress(f"{host} {leads} a {kind} address, where webhooks are not sent; {_WAY_OUT}")
        return addresses
