"""The configured shop, wallet, chains and prices: shown, checked, and changed by lines to paste.

`checkout.toml` is the one source: nothing here writes it, and nothing typed in is stored.
"""

import asyncio
from urllib.parse import urlsplit

from starlette.responses import Response

from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.checkout.quotes import Rate
from crypto_checkout.core.collect.destination import parse_destination
from crypto_checkout.core.errors import PriceUnavailable, UnsupportedAsset
from crypto_checkout.core.ledger.chain_status import ChainStatus
from crypto_checkout.core.money import parse_currency
from crypto_checkout.core.owner.audit import Action
from crypto_checkout.http.dashboard.frame.forms import sentence
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import Access, DashboardPage
from crypto_checkout.services.diagnosis import checks, nodes
from crypto_checkout.services.reporting import config_snippets
from crypto_checkout.services.reporting.config_snippets import Preset
from crypto_checkout.services.reporting.setup_progress import is_wallet_compared

_MOST_NODES = 5
_MOST_XPUB = 4000


async def show_name(request: DashboardRequest) -> Response:
    """Show the shop's name and logo."""
    return request.render("settings/shop.html", lines=None)


async def preview_name(request: DashboardRequest) -> Response:
    """Show the lines for another name."""
    name = request.form.text("name", 80)
    lines = config_snippets.name_lines(name) if request.form.is_valid else None
    return request.render("settings/shop.html", status=200 if lines else 400, lines=lines)


async def show_wallet(request: DashboardRequest) -> Response:
    """Show the first addresses of the configured wallet."""
    return await _wallet_page(request, None)


async def preview_cold_address(request: DashboardRequest) -> Response:
    """Check a cold address, and show the lines for it."""
    text = request.form.text("cold_address", _MOST_XPUB)
    destination = None
    if request.form.is_valid:
        try:
            destination = parse_destination(text)
        except ValueError as error:
            # As below.
            request.form.forget("cold_address")
            request.form.errors["cold_address"] = sentence(str(error))
    return await _wallet_page(request, None, destination)


async def preview_wallet(request: DashboardRequest) -> Response:
    """Show the first addresses of another wallet, and the lines for it."""
    text = request.form.text("xpub", _MOST_XPUB)
    offered = None
    if request.form.is_valid:
        try:
            offered = await asyncio.to_thread(config_snippets.preview, text)
        except ValueError as error:
            # It may be a private key or a seed phrase, which no page may repeat.
            request.form.forget("xpub")
            request.form.errors["xpub"] = sentence(str(error))
    return await _wallet_page(request, offered)


async def confirm_wallet(request: DashboardRequest) -> Response:
    """Record that the addresses on the page are those of the owner's wallet program."""
    wallet_id = request.form.value("wallet")
    xpub = request.services.settings.xpub
    now = await asyncio.to_thread(config_snippets.preview, xpub) if xpub else None
    if now is None or now.wallet_id != wallet_id:
        return request.redirect("/settings/wallet", "The wallet is another one by now. Compare its addresses.")
    await request.write(lambda _: None, Action.WALLET_COMPARED, subject=lambda _: wallet_id)
    return request.redirect("/settings/wallet", "Noted: these are the addresses of your wallet.")


async def show_chains(request: DashboardRequest) -> Response:
    """Show the state of the chains, as reported by their watchers."""
    return await _chains_page(request)


async def check_nodes(request: DashboardRequest) -> Response:
    """Check every configured node of a chain now."""
    chain = request.form.one_of("chain", [str(each) for each in request.services.settings.nodes])
    if not request.form.is_valid:
        return await _chains_page(request, status=400)
    chain_id = int(chain)
    checks = await nodes.check(request.services.settings.nodes[chain_id], chain_id, request.services.clock)
    return await _chains_page(request, checked=chain_id, checks=checks)


async def preview_chain(request: DashboardRequest) -> Response:
    """Check the submitted nodes now, and show the lines for their chain."""
    preset = _preset(request)
    urls = _urls(request)
    if preset is None or not request.form.is_valid:
        return await _chains_page(request, status=400)
    checks = await nodes.check(urls, preset.id, request.services.clock)
    return await _chains_page(request, offered=preset, checks=checks, lines=preset.with_nodes(urls))


async def show_prices(request: DashboardRequest) -> Response:
    """Show the sources of prices."""
    return request.render("settings/prices.html", rates=None, assets=_priced_assets(request))


async def check_prices(request: DashboardRequest) -> Response:
    """Fetch the price of each coin now."""
    currency = request.form.text("currency", 3).upper()
    try:
        parse_currency(currency)
    except ValueError as error:
        request.form.errors["currency"] = sentence(str(error))
    if not request.form.is_valid:
        return request.render("settings/prices.html", status=400, rates=None, assets=_priced_assets(request))
    prices = request.services.checkout.payment_methods.of(request.livemode).prices
    rates: list[tuple[str, Rate | None, str]] = []
    for coin in _priced_assets(request):
        try:
            rates.append((coin, await prices.rate(coin, currency), ""))
        except (PriceUnavailable, UnsupportedAsset) as error:
            rates.append((coin, None, error.message))
    return request.render("settings/prices.html", rates=rates, assets=_priced_assets(request))


async def _wallet_page(
    request: DashboardRequest, offered: config_snippets.WalletPreview | None, destination: Address | None = None
) -> Response:
    lines = config_snippets.wallet_lines(offered) if offered else None
    configured = request.services.settings.cold_address
    xpub = request.services.settings.xpub
    now = await asyncio.to_thread(config_snippets.preview, xpub) if xpub else None
    return request.render(
        "settings/wallet.html",
        status=200 if request.form.is_valid else 400,
        now=now,
        is_compared=now is not None
        and await request.services.db.read(lambda unit: is_wallet_compared(unit, now.wallet_id)),
        offered=offered,
        configured=checksum(configured) if configured else None,
        uncollectable=request.services.settings.uncollectable(),
        destination=checksum(destination) if destination else None,
        lines=config_snippets.cold_address_lines(destination) if destination else lines,
    )


async def _chains_page(request: DashboardRequest, status: int = 200, **tried: object) -> Response:
    names = {chain.chain_id: chain.name for chain in _chain_statuses(request)}
    content = {"checked": None, "offered": None, "checks": None, "lines": None, **tried}
    return request.render(
        "settings/chains.html",
        status=status,
        chains=_chain_statuses(request),
        nodes=request.services.settings.nodes,
        used=await request.services.db.read(lambda unit: checks.of_usage(unit, names)) if request.livemode else [],
        presets=[(str(preset.id), preset.name) for preset in config_snippets.presets()],
        **content,
    )


def _chain_statuses(request: DashboardRequest) -> list[ChainStatus]:
    """Return the states of this mode's chains."""
    if not request.services.checkout.payment_methods.has(livemode=request.livemode):
        return []
    ids = {chain.id for chain in request.services.checkout.payment_methods.of(request.livemode).chains}
    return [watcher.status for watcher in request.services.ledger.watchers if watcher.status.chain_id in ids]


def _priced_assets(request: DashboardRequest) -> list[str]:
    """Return the coins of this mode that need a price: all but those pegged to the dollar."""
    chains = request.services.checkout.payment_methods.of(request.livemode).chains
    return sorted({asset.symbol for chain in chains for asset in chain.assets if not asset.usd_pegged})


def _preset(request: DashboardRequest) -> Preset | None:
    chosen = request.form.one_of("preset", [str(preset.id) for preset in config_snippets.presets()])
    return next((preset for preset in config_snippets.presets() if str(preset.id) == chosen), None)


def _urls(request: DashboardRequest) -> list[str]:
    """Return the URLs of a field, one a line, adding errors for invalid ones."""
    urls = list(dict.fromkeys(request.form.text("urls", 2_000, lines=True).split()))
    if len(urls) > _MOST_NODES:
        request.form.errors["urls"] = f"At most {_MOST_NODES} nodes are tried at once."
    for number, url in enumerate(urls, 1):
        if not _is_url(url):
            request.form.errors["urls"] = f"Number {number} is no URL of a node: it begins with https:// or http://."
    return urls


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and url.isascii()
    except ValueError:
        return False


PAGES = (
    DashboardPage("GET", "/settings/shop", show_name),
    DashboardPage("POST", "/settings/shop", preview_name),
    DashboardPage("GET", "/settings/wallet", show_wallet, Access.CONFIRMED),
    DashboardPage("POST", "/settings/wallet", preview_wallet, Access.CONFIRMED),
    DashboardPage("POST", "/settings/wallet/compared", confirm_wallet, Access.CONFIRMED),
    DashboardPage("POST", "/settings/wallet/cold-address", preview_cold_address, Access.CONFIRMED),
    DashboardPage("GET", "/settings/chains", show_chains),
    DashboardPage("POST", "/settings/chains", preview_chain, Access.CONFIRMED),
    DashboardPage("POST", "/settings/chains/check", check_nodes),
    DashboardPage("GET", "/settings/prices", show_prices),
    DashboardPage("POST", "/settings/prices", check_prices),
)
