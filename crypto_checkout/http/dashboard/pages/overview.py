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


async def show(visit: DashboardRequest) -> Response:
    """Show where the shop stands."""
    desk = visit.desk
    wanted = visit.query.get("days", "")
    days = next((each for each in RANGES if str(each) == wanted), _USUAL_DAYS)
    # By the chain's time: that of test mode may run ahead.
    last = desk.payment_methods.chain_time(visit.livemode, desk.clock()).date()
    overview = await desk.totals.overview(visit.livemode, last - timedelta(days=days - 1), last)
    found = await desk.issues.found(visit.livemode, _SHOWN)
    return visit.show(
        "overview.html",
        steps=await steps(visit),
        found=found,
        dismissible=DISMISSIBLE,
        days=days,
        ranges=RANGES,
        overview=overview,
        parts=revenue.parts(overview),
        conversion=revenue.conversion(overview),
    )


async def dismiss(visit: DashboardRequest) -> Response:
    """Put aside what the owner has settled elsewhere."""
    cause = visit.form.text("cause")
    await visit.write(visit.desk.issues.dismiss(cause), "attention.dismissed", subject=lambda _: cause)
    return visit.go("/", said="Put aside.")


PAGES = (DashboardPage("GET", "/", show), DashboardPage("POST", "/attention/dismiss", dismiss))
