"""Check the reverse proxy before the server for `doctor`, by what became of a request on its way."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from crypto_checkout.core.diagnosis.checks import Check, ok, warn

FORGED = "192.0.2.1"
"""The address that the request claims to come from; nobody has it (RFC 5737)."""


@dataclass(frozen=True, slots=True)
class ArrivedRequest:
    """A request as it arrived at the server: its peer, which is the proxy, and what the proxy says of its client."""

    peer: str
    host: str
    forwarded_for: Sequence[str]


def of_request(public_url: str, arrived: ArrivedRequest, *, is_trusted: bool) -> list[Check]:
    """Check what a proxy made of a request to the public URL; `is_trusted` says that the server believes its peer."""
    found = [*_host(public_url, arrived), *_client(arrived, is_trusted=is_trusted)]
    return found or [ok("proxy", f"{arrived.peer} passes on the name and the visitor's address")]


def _host(public_url: str, arrived: ArrivedRequest) -> list[Check]:
    wanted = urlsplit(public_url).hostname
    if urlsplit(f"//{arrived.host}").hostname == wanted:
        return []
    what = f"it sends Host: {arrived.host} in place of {wanted}"
    return [warn("proxy: Host", what, "Under nginx: proxy_set_header Host $host;")]


def _client(arrived: ArrivedRequest, *, is_trusted: bool) -> list[Check]:
    name, advice = "proxy: X-Forwarded-For", "Under nginx: proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
    if not arrived.forwarded_for:
        what = "it sends none: all visitors count as one, and share one rate limit"
        return [warn(name, what, advice)]
    if arrived.forwarded_for[-1] == FORGED:
        if not is_trusted:  # no proxy of ours stands between, and nobody is believed
            return []
        what = "it passes on what visitors write: anybody can take any address, and evade every limit"
        return [warn(name, what, advice)]
    if not is_trusted:
        what = (
            f"{arrived.peer} isn't among the trusted proxies: all its visitors count as one, and share one rate limit"
        )
        return [warn(name, what, f'Add "{arrived.peer}" to [server] trusted_proxies, and start the server again.')]
    return []


def of_script(status: int, *, is_ours: bool) -> list[Check]:
    """Check that the page's script comes from the server, and not from a folder of the proxy's."""
    if is_ours:
        return []
    what = f"/static/checkout.js answers {status}, but not as this server does: pages go without their script"
    return [
        warn("proxy: files", what, "Lead every path to the server: no location of its own for .js, .css or images.")
    ]


def of_write(status: int, code: str | None) -> list[Check]:
    """Check that a long PATCH without a key is refused by the API itself (401, `missing_api_key`)."""
    if code == "missing_api_key":
        return []
    what = f"a PATCH of 60 kB without a key is answered with {status}, and not by the API"
    advice = (
        "Let every method and 64 kB pass (client_max_body_size), and errors as they are (no proxy_intercept_errors)."
    )
    return [warn("proxy: requests", what, advice)]


def of_policy(policies: Sequence[str], wanted: str) -> list[Check]:
    """Check that pages keep their own Content-Security-Policy, and no other one is added."""
    if list(policies) == [wanted]:
        return []
    what = "it changes the pages' Content-Security-Policy, which may keep browsers from running or framing them"
    return [warn("proxy: headers", what, "Take out its add_header Content-Security-Policy; the server sends its own.")]


def of_plain_http(host: str, *, is_served: bool) -> list[Check]:
    """Check that http only redirects to https."""
    if not is_served:
        return []
    what = f"http://{host} serves pages, too: no login holds there, and anybody on the way can change an address to pay"
    return [warn("proxy: http", what, "Redirect it: return 301 https://$host$request_uri;")]
