"""The overview: revenue, what needs attention, and the progress of the setup."""

from datetime import timedelta

from starlette.responses import Response

from crypto_checkout.core import moments
from crypto_checkout.core.alerts.groups import SESSION_KINDS
from crypto_checkout.core.alerts.issues import DISMISSIBLE, IssueKind
from crypto_checkout.core.errors import InvalidBody
from crypto_checkout.core.owner.audit import Action
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import DashboardPage
from crypto_checkout.http.dashboard.pages import revenue
from crypto_checkout.http.dashboard.pages.guide import setup_guide

RANGES = {7: "7 days", 30: "30 days", 90: "90 days", 365: "1 year"}
"""The ranges of the chart to choose from, in days."""

_USUAL_DAYS = 30


async def show(request: DashboardRequest) -> Response:
    """Show the overview."""
    services = request.services
    text = request.query_params.get("days", "")
    days = next((each for each in RANGES if str(each) == text), _USUAL_DAYS)
    # By the chain's time, which may run ahead in test mode.
    now = services.checkout.payment_methods.chain_time(request.livemode, services.clock())
    last = now.date()
    overview = await services.reporting.totals.overview(
        request.livemode,
        last - timedelta(days=days - 1),
        last,
        since=last - timedelta(days=revenue.COMPARED_DAYS - 1),
    )
    currencies = revenue.currencies(overview)
    currency = _currency(request, currencies)
    response = request.render(
        "overview.html",
        guide=await setup_guide(request),
        groups=await services.issues.groups(request.livemode),
        dismissible=DISMISSIBLE,
        together=DISMISSIBLE & {*SESSION_KINDS, IssueKind.UNMATCHED},
        until=moments.to_text(max(now, services.clock())),
        days=days,
        ranges=RANGES,
        overview=overview,
        currencies=currencies,
        currency=currency,
        figures=revenue.figures(overview, currency) if currency else [],
        part=revenue.part(overview, currency) if currency else None,
        conversion=revenue.conversion(overview),
    )
    if request.query_params.get("currency") == currency:
        request.cookies.set_currency(response, currency)
    return response


def _currency(request: DashboardRequest, currencies: list[str]) -> str:
    """Return the currency asked for, the one chosen last, or the most frequent one; empty without revenue."""
    wanted = (request.query_params.get("currency"), request.cookies.currency(request.http))
    return next((each for each in wanted if each in currencies), next(iter(currencies), ""))


async def dismiss(request: DashboardRequest) -> Response:
    """Dismiss an issue that was settled elsewhere."""
    cause = request.form.text("cause")
    await request.write(request.services.issues.dismiss(cause), Action.ATTENTION_DISMISSED, subject=lambda _: cause)
    return request.redirect("/", "Dismissed.")


async def dismiss_group(request: DashboardRequest) -> Response:
    """Dismiss all issues of a kind that were there when the page was made."""
    kind = request.form.one_of("kind", list(IssueKind))
    try:
        until = moments.from_text(request.form.text("until"))
    except ValueError:
        raise InvalidBody("The time of the page is missing: load the overview again.", param="until") from None
    if not request.form.is_valid:
        raise InvalidBody("There is no such kind of issue.", param="kind")
    work = request.services.issues.dismiss_group(request.livemode, IssueKind(kind), until)
    count = await request.write(work, Action.ATTENTION_DISMISSED, subject=lambda _: kind, detail="all of a kind")
    return request.redirect("/", f"{count:,} dismissed.")


PAGES = (
    DashboardPage("GET", "/", show),
    DashboardPage("POST", "/attention/dismiss", dismiss),
    DashboardPage("POST", "/attention/dismiss-all", dismiss_group),
)
