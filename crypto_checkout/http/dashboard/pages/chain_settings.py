"""Settings, Chains: the chains that are followed, and other nodes tried now."""

from urllib.parse import urlsplit

from starlette.responses import Response

from crypto_checkout.core.ledger.chain_status import ChainStatus
from crypto_checkout.http.dashboard.frame.proposals import proposal
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import Access, DashboardPage
from crypto_checkout.services.diagnosis import checks, nodes
from crypto_checkout.services.reporting import config_snippets
from crypto_checkout.services.reporting.config_snippets import Preset

PATH = "/settings/chains"

_MOST_NODES = 5


async def show(request: DashboardRequest) -> Response:
    """Show the state of the chains, as reported by their watchers."""
    return await _page(request)


async def check(request: DashboardRequest) -> Response:
    """Check every configured node of a chain now."""
    chain = request.form.one_of("chain", [str(each) for each in request.services.settings.nodes])
    if not request.form.is_valid:
        return await _page(request, status=400)
    request.throttle.count_trial(request.browser.address)
    chain_id = int(chain)
    found = await nodes.check(request.services.settings.nodes[chain_id], chain_id, request.services.clock)
    return await _page(request, checked=chain_id, checks=found)


async def attempt(request: DashboardRequest) -> Response:
    """Check the submitted nodes now, and show the lines for their chain."""
    preset, urls = _preset(request), _urls(request)
    if preset is None or not request.form.is_valid:
        return await _page(request, status=400)
    request.throttle.count_trial(request.browser.address)
    found = await request.services.node_trial.run(urls, preset.id)
    return await _page(request, offered=preset, checks=found, proposal=await proposal(request, preset.edit(urls)))


async def _page(request: DashboardRequest, status: int = 200, **tried: object) -> Response:
    names = {chain.chain_id: chain.name for chain in _chain_statuses(request)}
    content = {"checked": None, "offered": None, "checks": None, "proposal": None, **tried}
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
            request.form.errors["urls"] = f"Number {number} is not the URL of a node: start with https:// or http://."
    return urls


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and url.isascii()
    except ValueError:
        return False


PAGES = (
    DashboardPage("GET", PATH, show),
    DashboardPage("POST", PATH, attempt, Access.CONFIRMED),
    DashboardPage("POST", f"{PATH}/check", check),
)
