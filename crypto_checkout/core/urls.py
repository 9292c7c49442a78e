"""Rules for the URLs that a merchant sends payers to."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

_MOST_SHOWN = 60
_LABEL = re.compile(r"[\w-]{1,63}")


def redirect_objection(url: str, *, livemode: bool) -> str | None:
    """Return the fault of a URL, as words to follow its name, or None for a good one.

    The URL must be absolute and https; http is for loopback hosts, and for any host in test mode. It may contain
    `{CHECKOUT_SESSION_ID}`.
    """
    if has_unsafe_characters(url):
        return "must have no spaces, line breaks or backslashes; write %20 and the like"
    try:
        parts = urlsplit(url)
        _ = parts.port  # reading it checks it
    except ValueError:
        return f'"{url[:_MOST_SHOWN]}" is not a URL'
    return _objection(parts, livemode=livemode)


def _objection(parts: SplitResult, *, livemode: bool) -> str | None:
    host = parts.hostname or ""
    if parts.scheme not in {"http", "https"} or not host:
        return f'must be an absolute URL that begins with https://; got "{parts.geturl()[:_MOST_SHOWN]}"'
    if parts.username is not None or parts.password is not None:
        return "must not hold a user name or password"
    if not _is_host(host):
        return f'"{host[:_MOST_SHOWN]}" is not a host name'
    if parts.scheme == "http" and livemode and not _is_loopback(host):
        return "must begin with https://; plain http is for loopback hosts and test mode"
    return None


def has_unsafe_characters(url: str) -> bool:
    """Tell whether parsers would disagree about a URL: some drop line breaks, and browsers read a backslash as /."""
    return any(character.isspace() or not character.isprintable() or character == "\\" for character in url)


def _is_host(host: str) -> bool:
    """Accept IP addresses, and names in any script whose labels are not empty and hold no other part of a URL."""
    if is_ip(host):
        return True
    return all(_LABEL.fullmatch(label) for label in host.removesuffix(".").split("."))


def is_ip(host: str) -> bool:
    """Tell whether a host is an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    return is_ip(host) and ipaddress.ip_address(host).is_loopback
