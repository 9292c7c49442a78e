"""The setup: its steps in the order of a person, and the pages of those that have no page of their own."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from starlette.responses import Response

from crypto_checkout.core.checkout.link import LinkPrice
from crypto_checkout.core.checkout.session import SETTLED, Status
from crypto_checkout.core.errors import CheckoutError, ResourceNotFound
from crypto_checkout.core.money import Fiat
from crypto_checkout.core.owner.audit import Action
from crypto_checkout.core.owner.setup import SetupStep
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.http.dashboard.frame import labels
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import Access, DashboardPage
from crypto_checkout.http.dashboard.pages import link_form
from crypto_checkout.services.checkout.links import LinkRequest
from crypto_checkout.services.checkout.sessions import SessionRequest
from crypto_checkout.services.webhooks.endpoints import EndpointRequest
from crypto_checkout.store.paging import Window

PATH = "/guide"

_SAMPLE = Fiat(Decimal("10.00"), "USD")
_LONGEST_TITLE = 200


@dataclass(frozen=True, slots=True)
class GuideStep:
    """One step: what and why in a sentence, the page where it is done, and since when it is."""

    title: str
    why: str
    button: str
    path: str
    livemode: bool
    done_at: datetime | None


@dataclass(frozen=True, slots=True)
class SetupGuide:
    """The steps; the overview shows them until all are done, or the owner dismisses the rest."""

    steps: tuple[GuideStep, ...]
    is_dismissed: bool

    @property
    def done(self) -> int:
        """The number of steps that are done."""
        return sum(step.done_at is not None for step in self.steps)

    @property
    def next(self) -> GuideStep | None:
        """The first step that isn't done."""
        return next((step for step in self.steps if step.done_at is None), None)


@dataclass(frozen=True, slots=True)
class _Words:
    title: str
    why: str
    button: str
    path: str


_STEPS = {
    SetupStep.TRY: _Words(
        "Make a test payment",
        "Watch a payment arrive on a simulated chain, just as a real one does, without real money.",
        "Try it",
        f"{PATH}/payment",
    ),
    SetupStep.SHOP: _Words(
        "Name your shop",
        "Payers see its name, logo and color on every page, so they know who they are paying.",
        "Name your shop",
        "/settings/shop",
    ),
    SetupStep.WALLET: _Words(
        "Connect your wallet",
        "Payments go to addresses that only you control; this server holds no key that could spend them.",
        "Connect your wallet",
        "/settings/wallet",
    ),
    SetupStep.CHAIN: _Words(
        "Add a chain",
        "Choose where customers can pay, and check the node that tells this server about payments.",
        "Add a chain",
        "/settings/chains",
    ),
    SetupStep.PRICE: _Words(
        "Check the prices",
        "You charge in dollars or euros; see which sources turn that into coins, and that they agree.",
        "Check the prices",
        "/settings/prices",
    ),
    SetupStep.LINK: _Words(
        "Create a payment link",
        "A page where anyone can pay you: put it in a message, on your site, or on a printed QR code.",
        "Create a link",
        f"{PATH}/link",
    ),
    SetupStep.REAL_PAYMENT: _Words(
        "Make a small real payment",
        "Pay yourself a dollar and watch it arrive in your wallet, before a customer does.",
        "Make a small payment",
        f"{PATH}/real-payment",
    ),
    SetupStep.BACKUP: _Words(
        "Make a backup",
        "The server makes them by itself; download one, and keep it elsewhere in case you lose the machine.",
        "Download a backup",
        "/settings/backup",
    ),
    SetupStep.ALERTS: _Words(
        "Turn on alerts",
        "Get an email when something needs attention, such as an underpaid order, and check that it arrives.",
        "Set up alerts",
        "/settings/alerts",
    ),
    SetupStep.SECOND_FACTOR: _Words(
        "Turn on the second factor",
        "With a code from your phone at sign-in, a stolen password alone opens nothing.",
        "Turn it on",
        "/settings/second-factor",
    ),
}


async def setup_guide(request: DashboardRequest, *, even_if_dismissed: bool = False) -> SetupGuide:
    """Return the steps and their progress.

    Without test mode there is nothing to try, and a database on a PostgreSQL server is backed up there.
    """
    methods = request.services.checkout.payment_methods
    has_test, has_live = methods.has(livemode=False), methods.has(livemode=True)
    progress = await request.services.reporting.setup.progress(even_if_dismissed=even_if_dismissed)
    modes = {SetupStep.TRY: False, SetupStep.REAL_PAYMENT: True}
    is_possible = {SetupStep.TRY: has_test, SetupStep.BACKUP: request.services.settings.backup.server is None}
    steps = (
        GuideStep(
            words.title,
            words.why,
            words.button,
            words.path,
            modes.get(step, has_live or not has_test),
            progress.done.get(step),
        )
        for step, words in _STEPS.items()
        if is_possible.get(step, True)
    )
    return SetupGuide(tuple(steps), progress.is_dismissed)


async def show(request: DashboardRequest) -> Response:
    """Show the steps."""
    return request.render("guide/steps.html", guide=await setup_guide(request, even_if_dismissed=True))


async def dismiss(request: DashboardRequest) -> Response:
    """Take the steps off the overview; they stay under Setup."""
    work = request.services.reporting.setup.set_dismissed(dismissed=True)
    await request.write(work, Action.SETUP_DISMISSED, subject=lambda _: None)
    return request.redirect("/", "Setup dismissed. You can continue it any time under Setup.")


async def resume(request: DashboardRequest) -> Response:
    """Put the steps back on the overview."""
    work = request.services.reporting.setup.set_dismissed(dismissed=False)
    await request.write(work, Action.SETUP_RESUMED, subject=lambda _: None)
    return request.redirect(PATH)


async def new_link(request: DashboardRequest) -> Response:
    """Show the form for the first link."""
    return request.render("guide/link.html", link=None)


async def create_link(request: DashboardRequest) -> Response:
    """Create a link, and show it."""
    title, price = request.form.text("title", _LONGEST_TITLE), request.form.price()
    link = None
    if price is not None and request.form.is_valid:
        try:
            work = request.services.checkout.links.create(request.livemode, LinkRequest(title, LinkPrice.of(price)))
            link = await request.write(work, EventType.LINK_CREATED, detail=title)
        except CheckoutError as error:
            request.form.add_error(error)
    methods = request.services.checkout.payment_methods.of(request.livemode)
    return request.render(
        "guide/link.html",
        status=200 if link else 400,
        link=link,
        usual=link_form.usual(methods) if link else "",
        others=sum(len(chain.assets) for chain in methods.chains) > 1,
    )


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


async def new_real_payment(request: DashboardRequest) -> Response:
    """Ask for the amount of a small real payment, or show what it needs first."""
    return await _real_payment_page(request)


async def create_real_payment(request: DashboardRequest) -> Response:
    """Create a session with real money, and lead to its progress."""
    if not _takes_real_money(request):
        raise ResourceNotFound("Real payments need a wallet and a chain in the configuration.")
    price = request.form.price()
    if price is None or not request.form.is_valid:
        return await _real_payment_page(request, status=400)
    try:
        session = await request.services.checkout.sessions.create(True, SessionRequest(fiat=price))
    except CheckoutError as error:
        request.form.add_error(error)
        return await _real_payment_page(request, status=400)
    return request.redirect(f"{PATH}/payment/{session['id']}")


async def show_payment(request: DashboardRequest) -> Response:
    """Show the progress of the payment, until it is paid."""
    session = await request.services.checkout.session_reader.get(request.path_params["id"], request.livemode)
    is_paid = Status(session["status"]) in SETTLED
    label = labels.of_session(session)
    return request.render("guide/payment_progress.html", session=session, is_paid=is_paid, label=label)


async def _real_payment_page(request: DashboardRequest, status: int = 200) -> Response:
    guide = await setup_guide(request, even_if_dismissed=True)
    missing = [step for step in guide.steps if step.path in {"/settings/wallet", "/settings/chains"}]
    return request.render(
        "guide/real_payment.html",
        status=status,
        can_pay=_takes_real_money(request),
        missing=[step for step in missing if step.done_at is None] or missing,
    )


def _takes_real_money(request: DashboardRequest) -> bool:
    return request.livemode and request.services.checkout.payment_methods.has(livemode=True)


def _can_pay(request: DashboardRequest) -> bool:
    return request.services.sandbox is not None and not request.livemode


PAGES = (
    DashboardPage("GET", PATH, show),
    DashboardPage("POST", f"{PATH}/dismiss", dismiss),
    DashboardPage("POST", f"{PATH}/resume", resume),
    DashboardPage("GET", f"{PATH}/link", new_link),
    DashboardPage("POST", f"{PATH}/link", create_link),
    DashboardPage("GET", f"{PATH}/webhook", new_webhook, Access.CONFIRMED),
    DashboardPage("POST", f"{PATH}/webhook", create_webhook, Access.CONFIRMED),
    DashboardPage("POST", f"{PATH}/webhook/{{id}}/test", test_webhook),
    DashboardPage("GET", f"{PATH}/payment", new_payment),
    DashboardPage("POST", f"{PATH}/payment", create_payment),
    DashboardPage("GET", f"{PATH}/payment/{{id}}", show_payment),
    DashboardPage("GET", f"{PATH}/real-payment", new_real_payment),
    DashboardPage("POST", f"{PATH}/real-payment", create_real_payment),
)
