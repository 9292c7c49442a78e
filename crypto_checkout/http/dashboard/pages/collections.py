"""Collections: the transactions by which money left the payments' addresses."""

from starlette.responses import Response

from crypto_checkout.core.errors import ResourceNotFound
from crypto_checkout.http.dashboard.frame.labels import Label
from crypto_checkout.http.dashboard.frame.pager import pager
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import DashboardPage
from crypto_checkout.http.dashboard.pages.balances import PATH
from crypto_checkout.store.collect.collections import CollectionFilter

_STATUSES = {
    "seen": Label("Confirming"),
    "confirmed": Label("Confirmed", "good"),
    "reorged": Label("Reversed", "bad"),
}


async def index(request: DashboardRequest) -> Response:
    """List the collections."""
    window = request.window()
    page = await request.services.collections.listed(request.livemode, CollectionFilter(), window)
    return request.render(
        "collections.html",
        collections=page.items,
        statuses=_STATUSES,
        chains=request.services.checkout.payment_methods.all_chains(),
        pager=pager(request, page, window),
    )


async def collect(request: DashboardRequest) -> Response:
    """Collect from a payment's address on the simulated chain. Raises ResourceNotFound in live mode."""
    sandbox = request.services.sandbox
    if sandbox is None or request.livemode:
        raise ResourceNotFound("Only test mode can collect from here. Live money is collected with your own wallet.")
    await sandbox.collect(request.form.value("session"))
    return request.redirect(f"{PATH}/collections", "Collected on the simulated chain.")


PAGES = (
    DashboardPage("GET", f"{PATH}/collections", index),
    DashboardPage("POST", f"{PATH}/collect", collect),
)
