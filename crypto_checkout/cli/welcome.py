"""The message that `serve` starts with: its URLs, its modes and chains, and the next step."""

import asyncio
import shlex
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from crypto_checkout.cli.support.setup import shown_place, this_program

if TYPE_CHECKING:
    from crypto_checkout.app.server import RunningServer
    from crypto_checkout.config import Config

_WAIT_FOR_CHAINS_SECONDS = 2.0
_HERE = frozenset({"127.0.0.1", "localhost", "::1"})
_FIRST_BODY = """-d '{"amount": {"value": "10.00", "currency": "USD"}}'"""


async def welcome(config: "Config", server: "RunningServer", url: str, serving: "asyncio.Task[None]") -> None:
    """Print the message, unless `serving` ends before; make the first key if there is none."""
    await _wait_for_chains(server, serving)
    if serving.done():
        return
    key = await _first_key(server)
    dashboard = _dashboard(config, url)
    lines = [
        "",
        f"Crypto Checkout listens on {url}",
        *_network(config, url),
        *_public(config, url),
        *_modes(config, server),
        *await _wallet(config, server, dashboard),
        f"  owner    {dashboard}",
        f"  data     {shown_place(config)}",
        *_leader(server),
        f"  settings {_settings(config)}",
        "",
        *await _set_up(config, server, url, dashboard),
        *_next_step(config, server, url, key, has_key=await _has_key(server)),
    ]
    click.echo("\n".join(lines))


def _leader(server: "RunningServer") -> list[str]:
    """Say which of the processes leads, where there can be several."""
    state = server.election()
    if state.leader is None:
        return []
    leads = "this process" if state.is_leader else f"{state.leader.process}; this process answers beside it"
    return [f"  leader   {leads}"]


def _settings(config: "Config") -> str:
    if config.path is None:
        return f"all defaults ({this_program()} init writes a file)"
    return str(config.path.absolute())


def _public(config: "Config", url: str) -> list[str]:
    """Show the URL that payers are sent to, with a warning if it can't be this server."""
    public_url = config.server.public_url
    lines = [f"  payers   {public_url}"]
    there, here = urlsplit(public_url), urlsplit(url)
    if there.hostname in _HERE and (there.port or 80) != here.port:
        lines.append(
            f"  WARNING  [server] public_url names port {there.port or 80}: checkout links lead there, not here"
        )
    return lines


def _network(config: "Config", url: str) -> list[str]:
    """Say that other machines reach the port too, where it isn't open to this one alone."""
    host = config.server.host
    if host in _HERE or host.startswith("127."):
        return []
    where = f"every address of this machine ({host})" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - compared
    return [f"  network  {where}, port {urlsplit(url).port}: other machines can connect, unless a firewall stops them"]


async def _wallet(config: "Config", server: "RunningServer", dashboard: str) -> list[str]:
    """Warn of a wallet that takes real money, and that nobody has compared with a wallet program yet."""
    from crypto_checkout.app import wallets
    from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey
    from crypto_checkout.services.reporting.setup_progress import is_wallet_compared

    wallet, public = wallets.live(config), wallets.public_key_of(config)
    if config.chains and public is not None:
        return [f"  WARNING  [wallet] {public} is the public test wallet: anyone can take its money"]
    if not config.chains or not isinstance(wallet, ExtendedPublicKey):
        return []
    if await server.db.read(lambda unit: is_wallet_compared(unit, wallet.wallet_id)):
        return []
    return [
        "  WARNING  the first addresses haven't been compared with those in your wallet; do so before you sell:",
        f"           {dashboard}/settings/wallet",
    ]


def _dashboard(config: "Config", url: str) -> str:
    """Return the URL of the dashboard: under the public URL, unless that is on this machine."""
    public_url = config.server.public_url
    return f"{url if urlsplit(public_url).hostname in _HERE else public_url}/dashboard"


async def _set_up(config: "Config", server: "RunningServer", url: str, dashboard: str) -> list[str]:
    """Show the one-time link if the dashboard has no password yet, and how to open it from elsewhere."""
    if await server.owner.sign_in.account() is not None:
        return []
    return [
        "The dashboard has no password yet. Set it within 30 minutes with this link, which works once:",
        "",
        f"  {dashboard}/set-up?token={await server.owner.set_up_link.make()}",
        "",
        *_tunnel(url, dashboard),
        f"or on the command line: {this_program()}{_config_option(config)} admin reset-password",
        "",
    ]


def _tunnel(url: str, dashboard: str) -> list[str]:
    """Show how a browser on another computer gets to a link that leads to this one."""
    if not dashboard.startswith(url):
        return []
    here = urlsplit(url)
    return [
        "If your browser is on another computer, first run this there, and leave it open:",
        "",
        f"  ssh -L {here.port}:{here.netloc} you@{socket.gethostname()}",
        "",
    ]


def _config_option(config: "Config") -> str:
    return f" --config {shlex.quote(str(config.path))}" if config.path else ""


async def _first_key(server: "RunningServer") -> str | None:
    """Make a test key if there is no key at all, so that the first request can be made at once."""
    from crypto_checkout.core.owner.api_key import Scope
    from crypto_checkout.core.webhooks.events import EventType
    from crypto_checkout.services.owner import api_keys, audit
    from crypto_checkout.store.database import WriteUnit
    from crypto_checkout.store.owner import api_keys as store

    name = "First start"

    def make(unit: WriteUnit) -> str | None:
        if store.all_keys(unit) or not server.payment_methods.has(livemode=False):
            return None
        made, text = api_keys.create(unit, server.events, livemode=False, name=name, scopes=list(Scope))
        audit.record_command(unit, EventType.API_KEY_CREATED, livemode=False, subject=made.id, detail=name)
        return text

    return await server.db.write(make)


async def _wait_for_chains(server: "RunningServer", serving: "asyncio.Task[None]") -> None:
    """Give the nodes a moment, so that their heads can be shown, while the server already answers."""
    deadline = asyncio.get_running_loop().time() + _WAIT_FOR_CHAINS_SECONDS
    while asyncio.get_running_loop().time() < deadline and not serving.done():
        if all(watcher.status.seen_at or watcher.status.error for watcher in server.watchers):
            return
        await asyncio.sleep(0.02)


def _modes(config: "Config", server: "RunningServer") -> list[str]:
    live = "live and test" if config.test_mode.enabled else "live"
    without = (
        "test only, no real money" if config.test_mode.enabled else "none: [test_mode] is off, and no [[chains]] is set"
    )
    lines = [f"  mode     {live if config.chains else without}"]
    for watcher in server.watchers:
        status = watcher.status
        if status.head is None:
            state = f"not reached yet ({status.error or 'waiting for its node'})"
        else:
            state = f"block {status.head:,}, {status.lag or 0:,} behind"
        lines.append(f"  chain    {status.name} ({status.chain_id}): {state}")
    return lines


def _mode(server: "RunningServer") -> str:
    """Return the mode that matters to the operator: live, if it is configured."""
    return "live" if server.payment_methods.has(livemode=True) else "test"


async def _has_key(server: "RunningServer") -> bool:
    from crypto_checkout.store.owner import api_keys as store

    keys = await server.db.read(store.all_keys)
    return any(key.revoked_at is None and key.livemode == (_mode(server) == "live") for key in keys)


def _next_step(config: "Config", server: "RunningServer", url: str, key: str | None, *, has_key: bool) -> list[str]:
    mode = _mode(server)
    make_key = f"{this_program()}{_config_option(config)} keys create --mode {mode} --name my-shop"
    if key is None:
        return [] if has_key else [f"Next: {make_key}", ""]
    authorization = f'-H "Authorization: Bearer {key}" -H "Content-Type: application/json"'
    return [
        "This is the first start. Here is a test key; it is shown only once:",
        "",
        f"  {key}",
        "",
        "Create a checkout session (paste this), then open its checkoutUrl in a browser:",
        "",
        f"  curl {url}/api/v1/checkout_sessions {authorization} {_FIRST_BODY}",
        "",
        *([f"For real money, create another key: {make_key}", ""] if mode == "live" else []),
    ]
