"""The networks and ports that deliveries may go to. Pure: names and connections are in `webhooks.guard`."""

import ipaddress
from enum import StrEnum

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Reach(StrEnum):
    """The networks that deliveries may go to. Only ANY lifts the restriction of ports."""

    PUBLIC = "public"
    """The public internet."""
    LOOPBACK = "loopback"
    """The public internet and this machine, for development."""
    ANY = "any"
    """All networks, for receivers on the merchant's own."""


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

# Below 1024 only the web's own ports are allowed. Above, these are refused: services that act on parts of an HTTP
# request, or never serve webhooks, such as databases, caches, remote desktops, IRC, container and cluster control.
_WEB_PORTS = frozenset({80, 443})
_FIRST_UNPRIVILEGED_PORT = 1024
_REFUSED_PORTS = frozenset(
    {1433, 1521, 1723, 2049, 2181, 2375, 2376, 2379, 2380, 3306, 3389, 3659, 4045, 4190, 4369, 5060, 5061, 5432, 5672}
    | {5900, 5984, 6000, 6379, 6380, 6443, 6566, *range(6660, 6670), 6697, 9042, 9092, 9200, 9300, 10080, 10250, 11211}
    | {26379, 27017, 27018}
)


def refusal(address: Address) -> str | None:
    """Return the kind of forbidden network that an address lies in, or None for the public internet."""
    if address in _NAT64:
        # A NAT64 gateway dials the IPv4 address inside. On an IPv6-only server all IPv4 hosts have such addresses.
        return refusal(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    for network, kind in _REFUSED:
        if address in network:
            return kind
    if address.version == 6 and address not in _GLOBAL_UNICAST:  # noqa: PLR2004 - IP's own version number
        return "reserved"
    return None


def refusal_within(reach: Reach, address: Address) -> str | None:
    """Return the kind of network that puts an address out of reach, or None if it is within reach."""
    if reach is Reach.ANY or (reach is Reach.LOOPBACK and address.is_loopback):
        return None
    return refusal(address)


def is_web_port(port: int) -> bool:
    """Return True for a port that may serve webhooks: one of the web's, or one that no other service is known by."""
    return port in _WEB_PORTS or (port >= _FIRST_UNPRIVILEGED_PORT and port not in _REFUSED_PORTS)
