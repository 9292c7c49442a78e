"""Mail: what is sent to whom, and a test of whether it arrives."""

from starlette.responses import Response

from crypto_checkout.core.owner.audit import Action
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import DashboardPage

PATH = "/settings/mail"


async def show(request: DashboardRequest) -> Response:
    """Show what is sent to whom."""
    return _page(request)


async def test(request: DashboardRequest) -> Response:
    """Send a test to the owner, and show what became of it."""
    mail = request.services.mail_test
    problem = await mail.send(mail.owners)
    if problem is None:
        await request.write(lambda _: None, Action.MAIL_TESTED, subject=lambda _: None)
    return _page(request, is_tested=True, problem=problem)


def _page(request: DashboardRequest, *, is_tested: bool = False, problem: str | None = None) -> Response:
    return request.render("settings/mail.html", mail=request.services.mail_test, is_tested=is_tested, problem=problem)


PAGES = (DashboardPage("GET", PATH, show), DashboardPage("POST", PATH, test))
