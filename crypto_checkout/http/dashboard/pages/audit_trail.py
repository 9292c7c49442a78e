"""What was done by whom."""

from starlette.responses import Response

from crypto_checkout.http.dashboard.frame.pager import pager
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import DashboardPage


async def show(visit: DashboardRequest) -> Response:
    """Show the audit trail."""
    window = visit.window()
    page = await visit.desk.trail.listed(visit.livemode, window)
    return visit.show("settings/trail.html", entries=page.items, pager=pager(visit, page, window))


PAGES = (DashboardPage("GET", "/settings/trail", show),)
