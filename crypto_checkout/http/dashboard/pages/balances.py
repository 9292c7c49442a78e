"""Balances: the money at each address, and at all of them together."""

from starlette.responses import Response

from crypto_checkout.http.dashboard.frame.pager import pager
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import DashboardPage
from crypto_checkout.services.collect.balances import BalanceFilter

PATH = "/balances"

_REASONS = {
    "fee_too_high": "worth less than twice its fee",
    "unknown_fee": "the chain doesn\u2019t tell its fees now",
    "unknown_price": "it has no price now",
}
_CHOICES = (("held", "With money"), ("all", "All that ever got money"))
_MOST_DIGITS = 15


async def index(request: DashboardRequest) -> Response:
    """Show the totals of each asset, and the addresses behind them."""
    window = request.window()
    filters = BalanceFilter(chain_id=_chain_id(request), is_held=None if _shows_all(request) else True)
    found = await request.services.balances.of(request.livemode, filters, window)
    methods = request.services.checkout.payment_methods
    return request.render(
        "balances.html",
        totals=found.totals,
        balances=found.page.items,
        reasons=_REASONS,
        choices=_CHOICES,
        chains=methods.all_chains(),
        own_chains=methods.of(request.livemode).chains,
        pager=pager(request, found.page, window),
    )


def _shows_all(request: DashboardRequest) -> bool:
    return request.query_params.get("show") == "all"


def _chain_id(request: DashboardRequest) -> int | None:
    text = request.query_params.get("chain", "")
    is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    return int(text) if is_number else None


PAGES = (DashboardPage("GET", PATH, index),)
