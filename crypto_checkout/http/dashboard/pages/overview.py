"""The first page: what needs the owner, what came in, and how many sessions were paid."""

from datetime import timedelta

from starlette.responses import Response

from crypto_checkout.core.alerts.issues import DISMISSIBLE
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import DashboardPage
from crypto_checkout.http.dashboard.pages import revenue
from crypto_checkout.http.dashboard.pages.guide import steps

RANGES = {7: "7 days", 30: "30 days", 90: "90 days", 365: "a year"}
"""The ranges that can be looked at, in days."""

_USUAL_DAYS = 30
_SHOWN = 5
"""How many things of each kind are shown."""


async def show(request: DashboardRequest) -> Response:
    """Show where the shop stands."""
    services = request.services
    wanted = request.query_params.get("days", "")
    days = next((each for each in RANGES if str(each) == wanted), _USUAL_DAYS)
    # By the chain's time: that of test mode may run ahead.
    last = services.checkout.payment_methods.chain_time(request.livemode, services.clock()).date()
    overview = await services.reporting.totals.overview(request.livemode, last - timedelta(days=days - 1), last)
    found = await services.issues.gather(request.livemode, _SHOWN)
    return request.render(
        "overview.html",
        steps=await steps(request),
        found=found,
        dismissible=DISMISSIBLE,
        days=days,
        ranges=RANGES,
        overview=overview,
        parts=revenue.parts(overview),
        conversion=revenue.conversion(overview),
    )


async def dismiss(request: DashboardRequest) -> Response:
    """Put aside what the owner has settled elsewhere."""
    cause = request.form.text("cause")
    await request.write(request.services.issues.dismiss(cause), "attention.dismissed", subject=lambda _: cause)
    return request.redirect("/", "Put aside.")


PAGES = (DashboardPage("GET", "/", show), DashboardPage("POST", "/attention/dismiss", dismiss))
