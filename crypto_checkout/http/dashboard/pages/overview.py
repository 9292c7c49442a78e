"""The overview: open issues, revenue, and conversion."""

from datetime import timedelta

from starlette.responses import Response

from crypto_checkout.core.alerts.issues import DISMISSIBLE
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import DashboardPage
from crypto_checkout.http.dashboard.pages import revenue
from crypto_checkout.http.dashboard.pages.guide import steps

RANGES = {7: "7 days", 30: "30 days", 90: "90 days", 365: "a year"}
"""The ranges to choose from, in days."""

_USUAL_DAYS = 30
_SHOWN = 5
"""The most issues of each kind on the page."""


async def show(request: DashboardRequest) -> Response:
    """Show the overview."""
    services = request.services
    text = request.query_params.get("days", "")
    days = next((each for each in RANGES if str(each) == text), _USUAL_DAYS)
    # By the chain's time, which may run ahead in test mode.
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
    """Dismiss an issue that was settled elsewhere."""
    cause = request.form.text("cause")
    await request.write(request.services.issues.dismiss(cause), "attention.dismissed", subject=lambda _: cause)
    return request.redirect("/", "Put aside.")


PAGES = (DashboardPage("GET", "/", show), DashboardPage("POST", "/attention/dismiss", dismiss))
