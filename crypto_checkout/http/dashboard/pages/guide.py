"""The set-up guide: from the password to a first test payment."""

import asyncio
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
from crypto_checkout.services.reporting import config_snippets
from crypto_checkout.services.reporting.setup_progress import Progress, is_wallet_compared, progress
from crypto_checkout.services.webhooks.endpoints import EndpointRequest
from crypto_checkout.store.paging import Window

PATH = "/guide"

_SAMPLE = Fiat(Decimal("10.00"), "USD")
_LONGEST_TITLE = 200


@dataclass(frozen=True, slots=True)
class GuideStep:
    """One step: its purpose, the page where it is done, and whether it is done."""

    title: str
    why: str
    path: str
    is_done: bool
    livemode: bool


async def steps(request: DashboardRequest) -> list[GuideStep]:
    """Return the steps. Real money is configured in the file; the rest is tried in test mode, if there is one."""
    services = request.services
    livemode = not services.checkout.payment_methods.has(livemode=False)
    done = await services.db.read(lambda unit: progress(unit, livemode))
    is_compared = await _is_wallet_compared(request)
    is_live = services.checkout.payment_methods.has(livemode=True)
    return [
        GuideStep(
            "Name your shop", "Payers see it on every page.", "/settings/shop", bool(services.shop_name), is_live
        ),
        GuideStep(
            "Connect your wallet",
            "One address of yours, or a key that makes many. This server can't spend from either.",
            "/settings/wallet",
            bool(services.settings.cold_address) or is_compared,
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
        *_test_mode_steps(done, livemode),
    ]


async def _is_wallet_compared(request: DashboardRequest) -> bool:
    """Tell whether a wallet is configured and its addresses were compared."""
    xpub = request.services.settings.xpub
    if not xpub:
        return False
    wallet_id = (await asyncio.to_thread(config_snippets.preview, xpub)).wallet_id
    return await request.services.db.read(lambda unit: is_wallet_compared(unit, wallet_id))


def _test_mode_steps(done: Progress, livemode: bool) -> list[GuideStep]:
    return [
        GuideStep(
            "Make an API key",
            "Your shop's software talks to this server with it.",
            "/api-keys/new",
            done.has_key,
            livemode,
        ),
        GuideStep(
            "Make a payment link",
            "A page where anybody can pay, without any software of yours.",
            f"{PATH}/link",
            done.has_link,
            livemode,
        ),
        GuideStep(
            "Connect a webhook",
            "Your shop is told of each payment. A shop that works with links alone needs none.",
            f"{PATH}/webhook",
            done.has_endpoint,
            livemode,
        ),
        GuideStep(
            "Make a test payment and see it come in",
            "The whole way, with money that isn't real.",
            f"{PATH}/payment",
            done.paid_session_id is not None,
            livemode,
        ),
    ]


async def show(request: DashboardRequest) -> Response:
    """Show the steps."""
    return request.render("guide/steps.html", steps=await steps(request))


async def new_link(request: DashboardRequest) -> Response:
    """Show the form for the first link."""
    return request.render("guide/link.html", link=None)


async def create_link(request: DashboardRequest) -> Response:
    """Create a link, and show it."""
    title, price = request.form.text("title", _LONGEST_TITLE), request.form.price()
    link = None
    if price is not None and request.form.is_valid:
        try:
            work = request.services.checkout.links.create(request.livemode, LinkRequest(title, price))
            link = await request.write(work, EventType.LINK_CREATED, detail=title)
        except CheckoutError as error:
            request.form.add_error(error)
    return request.render("guide/link.html", status=200 if link else 400, link=link)


async def new_webhook(request: DashboardRequest) -> Response:
    """Show the form for the first endpoint."""
    return request.render("guide/webhook.html", endpoint=None)


async def create_webhook(request: DashboardRequest) -> Response:
    """Create an endpoint for all events, and show its secret once."""
    url, endpoint = request.form.text("url", 2_000), None
    if request.form.is_valid:
        try:
            work = request.services.webhooks.endpoints.create(request.livemode, EndpointRequest(url, ("*",)))
            endpoint = await request.write(work, EventType.ENDPOINT_CREATED, detail=url)
        except CheckoutError as error:
            request.form.add_error(error)
    return request.render("guide/webhook.html", status=200 if endpoint else 400, endpoint=endpoint)


async def test_webhook(request: DashboardRequest) -> Response:
    """Send a made-up event to an endpoint, and show the outcome."""
    attempted = await request.services.webhooks.deliveries.test(request.livemode, request.path_params["id"])
    return request.render("guide/test_result.html", attempted=attempted)


async def new_payment(request: DashboardRequest) -> Response:
    """Offer a test payment."""
    return request.render("guide/payment.html", can_pay=_can_pay(request))


async def create_payment(request: DashboardRequest) -> Response:
    """Create a test session, from the newest link if there is one, and pay it on the simulated chain."""
    sandbox = request.services.sandbox
    if sandbox is None or request.livemode:
        raise ResourceNotFound("Test payments are made in test mode, and it is switched off here.")
    links = await request.services.checkout.links.listed(False, True, Window(1))
    session_request = SessionRequest(link_id=links.items[0]["id"]) if links.items else SessionRequest(fiat=_SAMPLE)
    session = await request.services.checkout.sessions.create(False, session_request)
    if request.form.value("by") == "server":
        await sandbox.pay(session["id"])
    return request.redirect(f"{PATH}/payment/{session['id']}")


async def show_payment(request: DashboardRequest) -> Response:
    """Show the progress of the test payment, until it is paid."""
    session = await request.services.checkout.session_reader.get(request.path_params["id"], request.livemode)
    return request.render("guide/payment_progress.html", session=session, is_paid=Status(session["status"]) in SETTLED)


def _can_pay(request: DashboardRequest) -> bool:
    return request.services.sandbox is not None and not request.livemode


PAGES = (
    DashboardPage("GET", PATH, show),
    DashboardPage("GET", f"{PATH}/link", new_link),
    DashboardPage("POST", f"{PATH}/link", create_link),
    DashboardPage("GET", f"{PATH}/webhook", new_webhook, Access.CONFIRMED),
    DashboardPage("POST", f"{PATH}/webhook", create_webhook, Access.CONFIRMED),
    DashboardPage("POST", f"{PATH}/webhook/{{id}}/test", test_webhook),
    DashboardPage("GET", f"{PATH}/payment", new_payment),
    DashboardPage("POST", f"{PATH}/payment", create_payment),
    DashboardPage("GET", f"{PATH}/payment/{{id}}", show_payment),
)
