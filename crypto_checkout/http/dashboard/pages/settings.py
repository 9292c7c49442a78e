"""What the configuration says of shop, wallet, chains and prices: shown, tried out, and offered as lines to paste.

`checkout.toml` is the one source: nothing here writes it, and nothing of what is typed in is kept.
"""

import asyncio
from urllib.parse import urlsplit

from starlette.responses import Response

from crypto_checkout.core.checkout.quotes import Rate
from crypto_checkout.core.errors import PriceUnavailable, UnsupportedAsset
from crypto_checkout.core.money import parse_currency
from crypto_checkout.http.dashboard.frame.forms import sentence
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import Access, DashboardPage
from crypto_checkout.services.diagnosis import checks as check_up
from crypto_checkout.services.diagnosis import nodes
from crypto_checkout.services.ledger.watcher import ChainStatus
from crypto_checkout.services.reporting import config_snippets
from crypto_checkout.services.reporting.config_snippets import Preset

_MOST_NODES = 5
_MOST_XPUB = 200


async def show_name(request: DashboardRequest) -> Response:
    """Show how payers see the shop."""
    return request.render("settings/shop.html", lines=None)


async def offer_name(request: DashboardRequest) -> Response:
    """Offer the lines for another name."""
    name = request.form.text("name", 80)
    lines = config_snippets.name_lines(name) if request.form.is_good else None
    return request.render("settings/shop.html", status=200 if lines else 400, lines=lines)


async def show_wallet(request: DashboardRequest) -> Response:
    """Show the first addresses of the wallet that is configured."""
    return await _wallet(request, None)


async def offer_wallet(request: DashboardRequest) -> Response:
    """Show the first addresses of another wallet, and offer the lines for it."""
    text = request.form.text("xpub", _MOST_XPUB)
    offered = None
    if request.form.is_good:
        try:
            offered = await asyncio.to_thread(config_snippets.preview, text)
        except ValueError as error:
            # It may be a private key, or the words of a wallet: whatever it is, no page repeats it.
            request.form.forget("xpub")
            request.form.mistakes["xpub"] = sentence(str(error))
    return await _wallet(request, offered)


async def show_chains(request: DashboardRequest) -> Response:
    """Show how the chains fare, as their watchers see it."""
    return await _chains(request)


async def check_nodes(request: DashboardRequest) -> Response:
    """Ask every configured node of a chain now."""
    wanted = request.form.one_of("chain", [str(known) for known in request.services.settings.nodes])
    if not request.form.is_good:
        return await _chains(request, status=400)
    chain_id = int(wanted)
    checks = await nodes.check(request.services.settings.nodes[chain_id], chain_id, request.services.clock)
    return await _chains(request, checked=chain_id, checks=checks)


async def offer_chain(request: DashboardRequest) -> Response:
    """Ask nodes of the owner's choice now, and offer the lines for their chain."""
    preset = _preset(request)
    urls = _urls(request)
    if preset is None or not request.form.is_good:
        return await _chains(request, status=400)
    checks = await nodes.check(urls, preset.id, request.services.clock)
    return await _chains(request, offered=preset, checks=checks, lines=preset.with_nodes(urls))


async def show_prices(request: DashboardRequest) -> Response:
    """Show where prices come from."""
    return request.render("settings/prices.html", rates=None, assets=_coins(request))


async def ask_prices(request: DashboardRequest) -> Response:
    """Ask for the price of each coin now."""
    currency = request.form.text("currency", 3).upper()
    try:
        parse_currency(currency)
    except ValueError as error:
        request.form.mistakes["currency"] = sentence(str(error))
    if not request.form.is_good:
        return request.render("settings/prices.html", status=400, rates=None, assets=_coins(request))
    prices = request.services.checkout.payment_methods.of(request.livemode).prices
    rates: list[tuple[str, Rate | None, str]] = []
    for coin in _coins(request):
        try:
            rates.append((coin, await prices.rate(coin, currency), ""))
        except (PriceUnavailable, UnsupportedAsset) as error:
            rates.append((coin, None, error.message))
    return request.render("settings/prices.html", rates=rates, assets=_coins(request))


async def _wallet(request: DashboardRequest, offered: config_snippets.WalletPreview | None) -> Response:
    xpub = request.services.settings.xpub
    now = await asyncio.to_thread(config_snippets.preview, xpub) if xpub else None
    return request.render(
        "settings/wallet.html",
        status=200 if request.form.is_good else 400,
        now=now,
        offered=offered,
        lines=config_snippets.wallet_lines(offered) if offered else None,
    )


async def _chains(request: DashboardRequest, status: int = 200, **tried: object) -> Response:
    names = {chain.chain_id: chain.name for chain in _chains_here(request)}
    content = {"checked": None, "offered": None, "checks": None, "lines": None, **tried}
    return request.render(
        "settings/chains.html",
        status=status,
        chains=_chains_here(request),
        nodes=request.services.settings.nodes,
        used=await request.services.db.read(lambda unit: check_up.of_usage(unit, names)) if request.livemode else [],
        presets=[(str(preset.id), preset.name) for preset in config_snippets.presets()],
        **content,
    )


def _chains_here(request: DashboardRequest) -> list[ChainStatus]:
    """Return how the chains of this mode fare."""
    if not request.services.checkout.payment_methods.has(livemode=request.livemode):
        return []
    ids = {chain.id for chain in request.services.checkout.payment_methods.of(request.livemode).chains}
    return [watcher.status for watcher in request.services.ledger.watchers if watcher.status.chain_id in ids]


def _coins(request: DashboardRequest) -> list[str]:
    """Return the coins of this mode whose price is asked for: all but those that stand for a dollar themselves."""
    chains = request.services.checkout.payment_methods.of(request.livemode).chains
    return sorted({asset.symbol for chain in chains for asset in chain.assets if not asset.usd_pegged})


def _preset(request: DashboardRequest) -> Preset | None:
    wanted = request.form.one_of("preset", [str(preset.id) for preset in config_snippets.presets()])
    return next((preset for preset in config_snippets.presets() if str(preset.id) == wanted), None)


def _urls(request: DashboardRequest) -> list[str]:
    """Return the URLs of a field, one a line, noting what is wrong with them."""
    urls = list(dict.fromkeys(request.form.text("urls", 2_000, lines=True).split()))
    if len(urls) > _MOST_NODES:
        request.form.mistakes["urls"] = f"At most {_MOST_NODES} nodes are tried at once."
    for number, url in enumerate(urls, 1):
        if not _is_url(url):
            request.form.mistakes["urls"] = f"Number {number} is no URL of a node: it begins with https:// or http://."
    return urls


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and url.isascii()
    except ValueError:
        return False


PAGES = (
    DashboardPage("GET", "/settings/shop", show_name),
    DashboardPage("POST", "/settings/shop", offer_name),
    DashboardPage("GET", "/settings/wallet", show_wallet, Access.CONFIRMED),
    DashboardPage("POST", "/settings/wallet", offer_wallet, Access.CONFIRMED),
    DashboardPage("GET", "/settings/chains", show_chains),
    DashboardPage("POST", "/settings/chains", offer_chain, Access.CONFIRMED),
    DashboardPage("POST", "/settings/chains/check", check_nodes),
    DashboardPage("GET", "/settings/prices", show_prices),
    DashboardPage("POST", "/settings/prices", ask_prices),
)
