"""Settings, Prices: the sources in use, and others tried now."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from starlette.responses import Response

from crypto_checkout.core.checkout.quotes import Rate
from crypto_checkout.core.errors import PriceUnavailable, UnsupportedAsset
from crypto_checkout.core.money import parse_currency
from crypto_checkout.core.owner.setup import SetupStep
from crypto_checkout.http.dashboard.frame.forms import sentence
from crypto_checkout.http.dashboard.frame.proposals import proposal
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import DashboardPage
from crypto_checkout.prices.trial import TrialResult
from crypto_checkout.services.reporting import config_snippets

PATH = "/settings/prices"

_NAMES = {"coingecko": "CoinGecko"}
_LONGEST_SYMBOL = 16
_LONGEST_PRICE = 30
_MOST = Decimal(10) ** 15


@dataclass(frozen=True, slots=True)
class _Trial:
    """A trial of sources as submitted; `own` is a price of one's own, which goes before all sources."""

    coin: str
    currency: str
    sources: tuple[str, ...]
    quorum: int
    own: str

    @property
    def pair(self) -> str:
        return f"{self.coin}/{self.currency}"


async def show(request: DashboardRequest) -> Response:
    """Show the sources of prices."""
    return _page(request)


async def check(request: DashboardRequest) -> Response:
    """Fetch the price of each coin now, as the shop's own sources say."""
    currency = _currency(request)
    if not request.form.is_valid:
        return _page(request, status=400)
    prices = request.services.checkout.payment_methods.of(request.livemode).prices
    rates: list[tuple[str, Rate | None, str]] = []
    for coin in _priced_assets(request):
        try:
            rates.append((coin, await prices.rate(coin, currency), ""))
        except (PriceUnavailable, UnsupportedAsset) as error:
            rates.append((coin, None, error.message))
    if request.livemode and any(rate for _, rate, _ in rates):
        await request.services.db.write(request.services.reporting.setup.mark(SetupStep.PRICE))
    return _page(request, rates=rates)


async def attempt(request: DashboardRequest) -> Response:
    """Ask chosen sources for one price, and show the lines for them."""
    trial = _trial(request)
    if trial is None:
        return _page(request, status=400)
    request.throttle.count_trial(request.browser.address)
    found = await request.services.price_trial.run(trial.coin, trial.currency, trial.sources, trial.quorum)
    if found.rate is not None:
        await request.services.db.write(request.services.reporting.setup.mark(SetupStep.PRICE))
    settings = request.services.settings
    fixed = {pair: f"{price:f}" for pair, price in settings.fixed_prices.items()}
    if trial.own:
        fixed[trial.pair] = trial.own
    is_same = (set(trial.sources), trial.quorum) == (set(settings.price_sources), settings.quorum) and not trial.own
    edit = config_snippets.prices(trial.sources, trial.quorum, fixed)
    return _page(
        request,
        trial=trial,
        result=found,
        away=_away(trial.own, found),
        proposal=None if is_same else await proposal(request, edit),
    )


def _trial(request: DashboardRequest) -> _Trial | None:
    form = request.form
    coin, currency = form.text("coin", _LONGEST_SYMBOL), _currency(request, "quote")
    if not (coin.isascii() and coin.replace(".", "").replace("_", "").replace("-", "").isalnum()):
        form.errors.setdefault("coin", "Write a coin’s symbol, such as ETH.")  # noqa: RUF001 - shown on a page
    chosen = form.some_of("source", request.services.settings.all_price_sources)
    sources = tuple(each for each in request.services.settings.all_price_sources if each in chosen)
    if request.services.settings.has_coingecko_key and "coingecko" not in sources:
        form.errors.setdefault("source", "The configuration has a CoinGecko key, so CoinGecko must be one of them.")
    quorum = form.text("quorum", 2)
    if not quorum.isascii() or not quorum.isdigit() or not 1 <= int(quorum) <= max(1, len(sources)):
        form.errors["quorum"] = "Between 1 and the number of sources."
    own = form.text("own", _LONGEST_PRICE, optional=True)
    if own and not _is_price(own):
        form.errors["own"] = "Write a plain price, such as 3000.00."
    return _Trial(coin, currency, sources, int(quorum), own) if form.is_valid else None


def _is_price(text: str) -> bool:
    try:
        price = Decimal(text)
    except InvalidOperation:
        return False
    return text.isascii() and text.replace(".", "", 1).isdigit() and 0 < price < _MOST


def _away(own: str, found: TrialResult) -> str | None:
    """Return the distance of a price of one's own from the market's, such as `+1.2%`."""
    if not own or found.rate is None:
        return None
    return f"{100 * (Decimal(own) - found.rate.value) / found.rate.value:+.1f}%".replace("-", "\u2212")


def _currency(request: DashboardRequest, name: str = "currency") -> str:
    currency = request.form.text(name, 3).upper()
    if name not in request.form.errors:
        try:
            parse_currency(currency)
        except ValueError as error:
            request.form.errors[name] = sentence(str(error))
    return currency


def _priced_assets(request: DashboardRequest) -> list[str]:
    """Return the coins of this mode that need a price: all but those pegged to the dollar."""
    chains = request.services.checkout.payment_methods.of(request.livemode).chains
    return sorted({asset.symbol for chain in chains for asset in chain.assets if not asset.usd_pegged})


def _page(request: DashboardRequest, *, status: int = 200, **tried: object) -> Response:
    content = {"rates": None, "trial": None, "result": None, "away": None, "proposal": None, **tried}
    sources = [(name, _NAMES.get(name, name.capitalize())) for name in request.services.settings.all_price_sources]
    assets = _priced_assets(request)
    return request.render("settings/prices.html", status=status, assets=assets, sources=sources, **content)


PAGES = (
    DashboardPage("GET", PATH, show),
    DashboardPage("POST", PATH, check),
    DashboardPage("POST", f"{PATH}/try", attempt),
)
