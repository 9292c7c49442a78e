"""Where a delivery may go: the guard against server-side request forgery.

`check_url` is the early and friendly refusal, when an endpoint is made. The refusal that counts is `GuardedBackend`: it
resolves the name itself for each connection, judges every address, and connects to a judged address by number, so that
a name whose answer changes between check and use gains nothing. TLS still verifies the name. Deadlines, redirects and
HTTP itself are not known here.
"""

import asyncio
import contextlib
import ipaddress
import re
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any

import anyio
import httpcore
import httpx

from crypto_checkout.core.errors import RecoverableError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Reach(StrEnum):
    """Which networks deliveries may go to. Only ANY lifts the restriction of ports."""

    PUBLIC = "public"
    """The public internet."""
    LOOPBACK = "loopback"
    """That, and this machine: for trying things out."""
    ANY = "any"
    """Everything: for receivers on the merchant's own network."""


Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

MAX_URL_LENGTH = 2048

# One unreachable address of several (IPv6 on a host without a route is the usual one) must not eat the whole deadline.
CONNECT_SECONDS_PER_ADDRESS = 4.0

# Of one answer, its head and all framing counted; of its body 64 KiB are wanted (`webhooks.send`).
MAX_READ_BYTES = 128 * 1024
_PIECE_BYTES = 4 * 1024
_HEAD_END = b"\r\n\r\n"

_WAY_OUT = "set webhooks.allow_private_networks if this is meant"

# IANA's special-purpose registries (RFC 6890 and later), written out: Python's `is_global` differs between 3.11 and
# 3.13 and calls multicast and 6to4 global. The first network that matches gives the reason.
_REFUSED = tuple(
    (ipaddress.ip_network(network), kind)
    for network, kind in (
        ("169.254.169.254/32", "cloud metadata"),
        ("168.63.129.16/32", "cloud metadata"),  # Azure's, inside public space
        ("100.100.100.200/32", "cloud metadata"),  # Alibaba's
        ("192.0.0.192/32", "cloud metadata"),  # Oracle's
        ("fd00:ec2::254/128", "cloud metadata"),  # AWS's over IPv6
        ("fd20:ce::254/128", "cloud metadata"),  # Google's over IPv6
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared (carrier-grade NAT)"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "6to4"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::ffff:0:0/96", "IPv4-mapped"),
        ("64:ff9b:1::/48", "NAT64"),
        ("2001::/32", "Teredo"),
        ("2001::/23", "reserved"),  # benchmarking, ORCHID and others
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("3fff::/20", "documentation"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "private"),
        ("ff00::/8", "multicast"),
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")

# Below 1024 only the web's own ports. Above, those of services that act on what they can read of an HTTP request or
# that nobody serves webhooks from: databases, caches, remote desktops, IRC, container and cluster control.
_WEB_PORTS = frozenset({80, 443})
_FIRST_UNPRIVILEGED_PORT = 1024
_LAST_PORT = 65_535
_REFUSED_PORTS = frozenset(
    {1433, 1521, 1723, 2049, 2181, 2375, 2376, 2379, 2380, 3306, 3389, 3659, 4045, 4190, 4369, 5060, 5061, 5432, 5672}
    | {5900, 5984, 6000, 6379, 6380, 6443, 6566, *range(6660, 6670), 6697, 9042, 9092, 9200, 9300, 10080, 10250, 11211}
    | {26379, 27017, 27018}
)

# RFC 1123 letters, digits and hyphens; the underscore is not in it but in use.
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_MAX_NAME_LENGTH = 253


class BlockedAddress(RecoverableError):
    """The name leads to an address that deliveries may not go to. The message leaves the address out."""


class NameNotResolved(RecoverableError):
    """The name has no address, or its name servers did not tell."""


def refusal(address: Address) -> str | None:
    """Say what kind of forbidden network an address lies in, or None when it is an address of the public internet."""
    if address in _NAT64:
        # A NAT64 gateway dials the IPv4 address inside. To a server with only IPv6 every IPv4 host looks so.
        return refusal(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    for network, kind in _REFUSED:
        if address in network:
            return kind
    if address.version == 6 and address not in _GLOBAL_UNICAST:  # noqa: PLR2004 - IP's own version number
        return "reserved"
    return None


def refusal_within(reach: Reach, address: Address) -> str | None:
    """Say why an address is out of reach, or None when deliveries may be sent to it."""
    if reach is Reach.ANY or (reach is Reach.LOOPBACK and address.is_loopback):
        return None
    return refusal(address)


def parse_url(url: str) -> httpx.URL:
    """Read an endpoint's URL as the sender will, so that check and use can't disagree. Raises ValueError."""
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
        reach: where deliveries may go.
        allow_http: plain HTTP to any host (test mode). To a loopback host it is never the scheme that is refused.

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
    if reach is not Reach.ANY and parsed.port is not None and not _is_web_port(parsed.port):
        raise ValueError(f"port {parsed.port} belongs to another service than the web; {_WAY_OUT}")
    _check_host(host, reach)


def _is_web_port(port: int) -> bool:
    return port in _WEB_PORTS or (port >= _FIRST_UNPRIVILEGED_PORT and port not in _REFUSED_PORTS)


def _check_host(host: str, reach: Reach) -> None:
    kind = "loopback" if _is_loopback(host) and reach is Reach.PUBLIC else None
    address = _literal(host)
    if address is not None:
        kind = refusal_within(reach, address)
    if kind is not None:
        raise ValueError(f"{host} is a {kind} address, where webhooks are not sent; {_WAY_OUT}")


def _is_host(host: str) -> bool:
    """Take domain names and IP addresses as usually written; `127.1` and `0x7f000001`, which libc dials, are not."""
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

    A thread of its own, not the shared pool: a hostile name server can hold a look-up for half a minute, it can't be
    cancelled, and a few of them would stop every other one. A daemon, so that none holds up the end of the process.

    Raises:
        NameNotResolved: the resolver said no.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def settle(addresses: list[str] | None) -> None:
        if answer.done():  # the deadline came first
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


class _Stream(httpcore.AsyncNetworkStream):
    """A connection on which the head of a request goes out together with its body: in one packet, by one system call.

    What is read for an answer is bounded and comes in small pieces: thousands of `100 Continue`, or of chunks of one
    byte, would keep the whole process busy otherwise. It is also closed when its TLS handshake is cancelled, which
    httpcore 1.0.9 forgets.
    """

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._head = b""
        self._read_bytes = 0

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        if self._head:
            await self.write(b"", timeout)
        if self._read_bytes >= MAX_READ_BYTES:
            raise httpcore.RemoteProtocolError(f"more than {MAX_READ_BYTES} bytes, and no end of the answer")
        piece = await self._stream.read(min(max_bytes, _PIECE_BYTES), timeout)
        self._read_bytes += len(piece)
        return piece

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        if buffer.endswith(_HEAD_END) and not self._head:
            self._head = buffer
            self._read_bytes = 0
            return
        whole, self._head = self._head + buffer, b""
        if whole:  # httpcore writes the nothing after a body, too
            await self._stream.write(whole, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        async with contextlib.AsyncExitStack() as on_failure:
            on_failure.push_async_callback(self._close_even_when_cancelled)
            secured = await self._stream.start_tls(ssl_context, server_hostname, timeout)
            on_failure.pop_all()
            return _Stream(secured)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    async def _close_even_when_cancelled(self) -> None:
        with anyio.CancelScope(shield=True):
            await self._stream.aclose()


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens TCP connections for httpcore to public addresses only.

    Args:
        reach: which addresses are allowed.
        resolver: from a name and port to its addresses.
        dialer: opens the connection; it is only ever handed IP addresses.
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
        self._dialer = httpcore.AnyIOBackend() if dialer is None else dialer

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve, judge, and connect to the first address that answers.

        Raises:
            NameNotResolved: there is no address.
            BlockedAddress: the port is forbidden, or any of the addresses. One is enough: a name that points inside and
                outside is a trap or a mistake, and which address would be dialled first must not decide.
            httpcore.ConnectError, httpcore.ConnectTimeout: as the last address failed.
        """
        if self._reach is not Reach.ANY and not _is_web_port(port):  # it may have been allowed when the URL was given
            raise BlockedAddress(f"port {port} belongs to another service than the web; {_WAY_OUT}")
        *others, last = await self._judged_addresses(host, port)
        for address in others:
            seconds = CONNECT_SECONDS_PER_ADDRESS if timeout is None else min(timeout, CONNECT_SECONDS_PER_ADDRESS)
            with contextlib.suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return _Stream(await self._dialer.connect_tcp(address, port, seconds, local_address, socket_options))
        return _Stream(await self._dialer.connect_tcp(last, port, timeout, local_address, socket_options))

    async def connect_unix_socket(
        self,
        path: str,  # noqa: ARG002
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - httpcore's signature
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: nothing that receives webhooks from us is behind a Unix socket."""
        raise BlockedAddress("webhooks are not sent to Unix sockets")

    async def sleep(self, seconds: float) -> None:
        """Wait as httpcore asks."""
        await anyio.sleep(seconds)

    async def _judged_addresses(self, host: str, port: int) -> list[str]:
        addresses = [host] if _literal(host) else list(await self._resolver(host, port))
        if not addresses:
            raise NameNotResolved(f"the name {host} has no address")
        for address in addresses:
            kind = refusal_within(self._reach, ipaddress.ip_address(address))
            if kind is not None:
                raise BlockedAddress(f"{host} leads to a {kind} address, where webhooks are not sent; {_WAY_OUT}")
        return addresses
