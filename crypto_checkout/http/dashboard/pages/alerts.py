"""Alerts: who gets them, and a test of whether they arrive."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.responses import Response

from crypto_checkout.core.owner.audit import Action
from crypto_checkout.core.owner.setup import SetupStep
from crypto_checkout.http.dashboard.frame.proposals import proposal
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import DashboardPage
from crypto_checkout.services.alerts.alert_test import AlertOutcome
from crypto_checkout.services.reporting import config_snippets

PATH = "/settings/alerts"


async def show(request: DashboardRequest) -> Response:
    """Show who gets alerts."""
    return await _page(request, ())


async def test(request: DashboardRequest) -> Response:
    """Send a test alert to everyone, and show who took it."""
    request.throttle.count_trial(request.browser.address)
    outcomes = await request.services.alert_test.send()
    if any(each.problem is None for each in outcomes):
        mark = request.services.reporting.setup.mark(SetupStep.ALERTS)
        await request.write(mark, Action.ALERTS_TESTED, subject=lambda _: None)
    return await _page(request, outcomes)


async def _page(request: DashboardRequest, outcomes: Sequence[AlertOutcome]) -> Response:
    targets = [(name, _shown(target)) for name, target in request.services.alert_test.targets]
    edit = config_snippets.mail_alerts(has_mail=request.services.settings.has_mail)
    lines = None if targets else await proposal(request, edit)
    return request.render("settings/alerts.html", targets=targets, outcomes=outcomes, proposal=lines)


def _shown(target: str) -> str:
    """Return the host of a webhook, whose path may be a secret, or the addresses of a mail."""
    return urlsplit(target).hostname or target if "://" in target else target


PAGES = (DashboardPage("GET", PATH, show), DashboardPage("POST", PATH, test))
