"""The audit trail."""

from starlette.responses import Response

from crypto_checkout.http.dashboard.frame import labels
from crypto_checkout.http.dashboard.frame.pager import pager
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import DashboardPage


async def show(request: DashboardRequest) -> Response:
    """Show the audit trail."""
    window = request.window()
    page = await request.services.owner.audit_trail.listed(request.livemode, window)
    return request.render(
        "settings/audit_trail.html", entries=page.items, labels=labels, pager=pager(request, page, window)
    )


PAGES = (DashboardPage("GET", "/settings/trail", show),)
