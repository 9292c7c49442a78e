"""The address of a request's client, as far as the proxies before it are trusted; and who counts as this machine."""

import ipaddress
from collections.abc import Callable, Sequence
from functools import lru_cache

from starlette.datastructures import Headers
from starlette.types import Scope

from crypto_checkout.http.headers import fields
from crypto_checkout.log import get_logger
from crypto_checkout.services.diagnosis.proxy import FORGED

log = get_logger("http")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NEAR = [
    ipaddress.ip_network(network)
    for network in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
]
_MOST_KNOWN = 4096
_SHORT = 100
_FORWARDED_FOR = b"x-forwarded-for"
_FORWARDED = frozenset({"forwarded", "via", "x-real-ip", "cf-connecting-ip", "true-client-ip"})


class ClientAddresses:
    """Finds the client of each request.

    `on_untrusted_proxy` is called once, with the address of a nearby peer that sends `X-Forwarded-For` and isn't
    trusted: most likely a proxy that the configuration forgot, whose clients then all count as one.
    """

    def __init__(self, trusted_proxies: Sequence[Network], on_untrusted_proxy: Callable[[str], None]) -> None:
        self._trusted_proxies = trusted_proxies
        self._on_untrusted_proxy = on_untrusted_proxy
        self._has_noticed = False
        self._known: dict[tuple[str, bytes], str] = {}

    def of(self, scope: Scope) -> str:
        """Return the address of a request's client."""
        peer = scope["client"][0] if scope.get("client") else ""
        forwarded = b""
        if _FORWARDED_FOR in fields(scope):
            forwarded = b",".join([value for name, value in scope["headers"] if name == _FORWARDED_FOR])
        known = self._known.get((peer, forwarded))  # connections are kept, and send many requests
        if known is not None:
            return known
        found = self._find(scope)
        if len(forwarded) <= _SHORT:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[peer, forwarded] = found
        return found

    def _find(self, scope: Scope) -> str:
        if not self._has_noticed and _is_of_untrusted_proxy(scope, self._trusted_proxies):
            self._has_noticed = True
            peer = str(scope["client"][0])
            log.warning(
                "X-Forwarded-For comes from a proxy that [server] trusted_proxies doesn't name: all its clients count "
                "as one, and share one rate limit",
                address=peer,
            )
            self._on_untrusted_proxy(peer)
        return client_address(scope, self._trusted_proxies)


def client_address(scope: Scope, trusted_proxies: Sequence[Network]) -> str:
    """Return the client's address: the peer, or, behind trusted proxies, the nearest address that isn't one of them.

    Every proxy appends its client's address, so the chain is read from its end. Anything before the first untrusted
    address was written by that client, and may be forged.
    """
    peer = scope["client"][0] if scope.get("client") else ""
    found = _address(peer)
    if found is None or not _is_in(found, trusted_proxies):
        return str(peer if found is None else found)
    for text in reversed(_chain(scope)):
        previous = _forwarded_address(text)
        if previous is None:
            break
        found = previous
        if not _is_in(found, trusted_proxies):
            break
    return str(found)


def is_local(scope: Scope) -> bool:
    """Tell whether a request comes from this machine, not through a proxy on it, and knows that it goes there.

    A web page in a browser here can send requests too, under a name that its owner pointed at 127.0.0.1 (DNS
    rebinding); that name is their `Host`.
    """
    address = _address(scope["client_address"])
    if address is None or not address.is_loopback or not _is_own_host(Headers(scope=scope).get("host", "localhost")):
        return False
    return not any(name in _FORWARDED or name.startswith("x-forwarded-") for name in Headers(scope=scope))


def is_trusted(peer: str, trusted_proxies: Sequence[Network]) -> bool:
    """Tell whether a peer is a trusted proxy."""
    address = _address(peer)
    return address is not None and _is_in(address, trusted_proxies)


def _is_own_host(host: str) -> bool:
    name = host.lower()
    return name.partition(":")[0] == "localhost" or _forwarded_address(name) is not None


def _is_of_untrusted_proxy(scope: Scope, trusted_proxies: Sequence[Network]) -> bool:
    if _FORWARDED_FOR not in fields(scope):
        return False
    address = _address(scope["client"][0]) if scope.get("client") else None
    if address is None or not _is_in(address, _NEAR) or _is_in(address, trusted_proxies):
        return False
    # What `doctor` writes itself, and no proxy added to, is no sign of one.
    return any(_forwarded_address(text) is not None for text in _chain(scope) if text != FORGED)


def _chain(scope: Scope) -> list[str]:
    return [part.strip() for value in Headers(scope=scope).getlist("x-forwarded-for") for part in value.split(",")]


def _forwarded_address(text: str) -> Address | None:
    """Parse an address as proxies write it: plain, in brackets, in quotes, and with a port or without."""
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        return _address(host) if ":" in host and (not port or _is_port(port.removeprefix(":"))) else None
    host, colon, port = text.partition(":")
    return _address(host) if colon and "." in host and _is_port(port) else _address(text)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit()


@lru_cache(maxsize=4096)  # connections are kept, and send many requests
def _address(text: str) -> Address | None:
    """Parse an address without its zone; an IPv4-mapped IPv6 address becomes IPv4."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
