"""Mail: what is sent to whom, and a test of whether it arrives."""

from starlette.responses import Response

from crypto_checkout.core.owner.audit import Action
from crypto_checkout.http.dashboard.frame.proposals import proposal
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import DashboardPage
from crypto_checkout.services.reporting import config_snippets

PATH = "/settings/mail"


async def show(request: DashboardRequest) -> Response:
    """Show what is sent to whom."""
    return await _page(request)


async def test(request: DashboardRequest) -> Response:
    """Send a test to the owner, and show what became of it."""
    request.throttle.count_trial(request.browser.address)
    mail = request.services.mail_test
    problem = await mail.send(mail.owners)
    if problem is None:
        await request.write(lambda _: None, Action.MAIL_TESTED, subject=lambda _: None)
    return await _page(request, is_tested=True, problem=problem)


async def _page(request: DashboardRequest, *, is_tested: bool = False, problem: str | None = None) -> Response:
    mail = request.services.mail_test
    lines = None if mail.server else await proposal(request, config_snippets.mail_notices())
    return request.render("settings/mail.html", mail=mail, is_tested=is_tested, problem=problem, proposal=lines)


PAGES = (DashboardPage("GET", PATH, show), DashboardPage("POST", PATH, test))
