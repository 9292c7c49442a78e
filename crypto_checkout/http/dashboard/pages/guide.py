"""The set-up guide: from the password to a test payment that was made and seen."""

from dataclasses import dataclass
from decimal import Decimal

from starlette.responses import Response

from crypto_checkout.core.checkout.session import SETTLED, Status
from crypto_checkout.core.errors import CheckoutError, ResourceNotFound
from crypto_checkout.core.money import Fiat
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import Access, DashboardPage
from crypto_checkout.services.checkout.links import LinkRequest
from crypto_checkout.services.checkout.sessions import SessionRequest
from crypto_checkout.services.reporting.setup_progress import Progress, progress
from crypto_checkout.services.webhooks.endpoints import EndpointRequest
from crypto_checkout.store.paging import Window

PATH = "/guide"

_SAMPLE = Fiat(Decimal("10.00"), "USD")
_LONGEST_TITLE = 200


@dataclass(frozen=True, slots=True)
class GuideStep:
    """One step: what it is good for, the page where it is done, and whether it is."""

    title: str
    why: str
    path: str
    is_done: bool
    livemode: bool


async def steps(visit: DashboardRequest) -> list[GuideStep]:
    """Return the steps. What concerns real money is set up in the file; the rest is tried in test mode."""
    desk = visit.desk
    trial = not desk.payment_methods.has(livemode=False)
    have = await desk.db.read(lambda unit: progress(unit, trial))
    is_live = desk.payment_methods.has(livemode=True)
    return [
        GuideStep("Name your shop", "Payers see it on every page.", "/settings/shop", bool(desk.shop_name), is_live),
        GuideStep(
            "Connect your wallet",
            "Payments go straight to addresses of your own wallet. This server can't spend from it.",
            "/settings/wallet",
            bool(desk.settings.xpub),
            is_live,
        ),
        GuideStep(
            "Choose chains and nodes",
            "A node tells this server what happens on its chain. Each is tried before you rely on it.",
            "/settings/chains",
            is_live,
            is_live,
        ),
        GuideStep(
            "Look at the prices",
            "Amounts in your currency become amounts in coins.",
            "/settings/prices",
            is_live,
            is_live,
        ),
        *_trials(have, trial),
    ]


def _trials(have: Progress, livemode: bool) -> list[GuideStep]:
    return [
        GuideStep(
            "Make an API key",
            "Your shop's software talks to this server with it.",
            "/api-keys/new",
            have.has_key,
            livemode,
        ),
        GuideStep(
            "Make a payment link",
            "A page where anybody can pay, without any software of yours.",
            f"{PATH}/link",
            have.has_link,
            livemode,
        ),
        GuideStep(
            "Connect a webhook",
            "Your shop is told of each payment. A shop that works with links alone needs none.",
            f"{PATH}/webhook",
            have.has_endpoint,
            livemode,
        ),
        GuideStep(
            "Make a test payment and see it come in",
            "The whole way, with money that isn't real.",
            f"{PATH}/payment",
            have.paid_session_id is not None,
            livemode,
        ),
    ]


async def show(visit: DashboardRequest) -> Response:
    """Show the steps, and which are done."""
    return visit.show("guide/steps.html", steps=await steps(visit))


async def ask_link(visit: DashboardRequest) -> Response:
    """Ask what the first link is for."""
    return visit.show("guide/link.html", link=None)


async def make_link(visit: DashboardRequest) -> Response:
    """Make a link, and show it."""
    title, price = visit.form.text("title", _LONGEST_TITLE), visit.form.price()
    link = None
    if price is not None and visit.form.is_good:
        try:
            work = visit.desk.links.create(visit.livemode, LinkRequest(title, price))
            link = await visit.write(work, EventType.LINK_CREATED, detail=title)
        except CheckoutError as error:
            visit.form.note(error)
    return visit.show("guide/link.html", status=200 if link else 400, link=link)


async def ask_webhook(visit: DashboardRequest) -> Response:
    """Ask where the shop listens."""
    return visit.show("guide/webhook.html", endpoint=None)


async def make_webhook(visit: DashboardRequest) -> Response:
    """Make an endpoint for every event, and show its secret this once."""
    url, endpoint = visit.form.text("url", 2_000), None
    if visit.form.is_good:
        try:
            work = visit.desk.endpoints.create(visit.livemode, EndpointRequest(url, ("*",)))
            endpoint = await visit.write(work, EventType.ENDPOINT_CREATED, detail=url)
        except CheckoutError as error:
            visit.form.note(error)
    return visit.show("guide/webhook.html", status=200 if endpoint else 400, endpoint=endpoint)


async def try_webhook(visit: DashboardRequest) -> Response:
    """Send a made-up event to an endpoint, and show what came of it."""
    attempted = await visit.desk.deliveries.test(visit.livemode, visit.path["id"])
    return visit.show("guide/tried.html", attempted=attempted)


async def ask_payment(visit: DashboardRequest) -> Response:
    """Offer a test payment."""
    return visit.show("guide/payment.html", can_pay=_can_pay(visit))


async def make_payment(visit: DashboardRequest) -> Response:
    """Make a test session, from the newest link where there is one, and pay it on the simulated chain."""
    sandbox = visit.desk.sandbox
    if sandbox is None or visit.livemode:
        raise ResourceNotFound("Test payments are made in test mode, and it is switched off here.")
    links = await visit.desk.links.listed(False, True, Window(1))
    wanted = SessionRequest(link_id=links.items[0]["id"]) if links.items else SessionRequest(fiat=_SAMPLE)
    session = await visit.desk.sessions.create(False, wanted)
    if visit.form.value("by") == "server":
        await sandbox.pay(session["id"])
    return visit.go(f"{PATH}/payment/{session['id']}")


async def show_payment(visit: DashboardRequest) -> Response:
    """Show how the test payment fares, until it is paid."""
    session = await visit.desk.sessions.get(visit.path["id"], visit.livemode)
    return visit.show("guide/seen.html", session=session, is_paid=Status(session["status"]) in SETTLED)


def _can_pay(visit: DashboardRequest) -> bool:
    return visit.desk.sandbox is not None and not visit.livemode


PAGES = (
    DashboardPage("GET", PATH, show),
    DashboardPage("GET", f"{PATH}/link", ask_link),
    DashboardPage("POST", f"{PATH}/link", make_link),
    DashboardPage("GET", f"{PATH}/webhook", ask_webhook, Access.CONFIRMED),
    DashboardPage("POST", f"{PATH}/webhook", make_webhook, Access.CONFIRMED),
    DashboardPage("POST", f"{PATH}/webhook/{{id}}/test", try_webhook),
    DashboardPage("GET", f"{PATH}/payment", ask_payment),
    DashboardPage("POST", f"{PATH}/payment", make_payment),
    DashboardPage("GET", f"{PATH}/payment/{{id}}", show_payment),
)
