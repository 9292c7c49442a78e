"""One payment: its history, the explanation of its status, and the merchant's decisions about it."""

from collections.abc import Awaitable
from functools import partial

from starlette.responses import Response

from crypto_checkout.core.checkout.session import ACCEPTED, CLOSED, Status
from crypto_checkout.core.errors import SessionNotOpen
from crypto_checkout.core.owner.audit import Action
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.core.receipts.mail import MAIL_STATUSES
from crypto_checkout.core.refunds.refund import REFUND_STATUSES
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.http.dashboard.frame import labels
from crypto_checkout.http.dashboard.frame.pager import pager
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import DashboardPage
from crypto_checkout.http.dashboard.pages import payment_state
from crypto_checkout.http.dashboard.pages.payments import PATH
from crypto_checkout.services.diagnosis.explain import UnknownSubject
from crypto_checkout.services.ledger.check_now import ChainCheck
from crypto_checkout.services.receipts.sender import ResendRefused
from crypto_checkout.store.paging import Window
from crypto_checkout.store.refunds.refunds import RefundFilter

_ONE = f"{PATH}/{{id}}"
_MOST_REFUNDS = 20


async def show(request: DashboardRequest) -> Response:
    """Show a session with everything about it."""
    detail = await request.services.diagnosis.payment_details.of(request.livemode, request.path_params["id"])
    session = detail.session
    refunds = request.services.checkout.refunds
    refunded = await refunds.listed(request.livemode, RefundFilter(session_id=session["id"]), Window(_MOST_REFUNDS))
    return request.render(
        "payments/detail.html",
        session=session,
        refunds=refunded.items,
        refund_statuses=REFUND_STATUSES,
        detail=detail,
        sums=payment_state.sums(detail),
        actions=payment_state.actions(detail, has_refunds=bool(refunded.items)),
        excess=payment_state.excess_to_refund(detail),
        explained=await request.services.diagnosis.explainer.session(session["id"], request.livemode),
        labels=labels,
        chains=request.services.checkout.payment_methods.all_chains(),
        receipt_mail=await request.services.receipts.mail_of(request.livemode, session["id"]),
        can_mail=request.services.receipts.has_server,
        mail_words=MAIL_STATUSES,
    )


async def transfers(request: DashboardRequest) -> Response:
    """List all payments to a session's address."""
    window = request.window()
    reader = request.services.checkout.session_reader
    session, page = await reader.with_payments(request.path_params["id"], request.livemode, window)
    return request.render(
        "payments/transfers.html",
        session=session,
        payments=page.items,
        labels=labels,
        chains=request.services.checkout.payment_methods.all_chains(),
        pager=pager(request, page, window),
    )


async def accept(request: DashboardRequest) -> Response:
    """Accept the amount received as the whole payment, and go on to refund its excess if that was chosen."""
    session_id = request.path_params["id"]
    detail = await request.services.diagnosis.payment_details.of(request.livemode, session_id)
    work = request.services.checkout.decisions.accept(request.livemode, session_id)
    response = await _decide(request, request.write(work, EventType.SESSION_PAID, detail=ACCEPTED))
    if response is not None:
        return response
    excess = payment_state.excess_to_refund(detail) if request.form.value("then") == "refund" else None
    if excess is None:
        return request.redirect_staying(f"{PATH}/{session_id}", _ACCEPTED)
    query = {"session": session_id, "amount": excess["value"]}
    return request.redirect("/refunds/new", _ACCEPTED, query=query)


async def expire(request: DashboardRequest) -> Response:
    """Close an unpaid session."""
    session_id = request.path_params["id"]
    work = request.services.checkout.decisions.expire(request.livemode, session_id)
    response = await _decide(request, request.write(work, EventType.SESSION_EXPIRED, detail=CLOSED))
    return response or request.redirect_staying(f"{PATH}/{session_id}", _CLOSED)


_ACCEPTED = "Accepted. The amount received counts as full payment."
_CLOSED = "Closed. Anything sent to its address from now on is shown as too late."
_CHANGED = "Nothing was changed: the payment has a new status. See below."


async def _decide(request: DashboardRequest, writing: Awaitable[SessionResource]) -> Response | None:
    """Carry out a decision; if a payment or another decision came first, return the page that shows it."""
    try:
        await writing
    except SessionNotOpen:
        return request.redirect_staying(f"{PATH}/{request.path_params['id']}", _CHANGED)
    return None


async def send_receipt(request: DashboardRequest) -> Response:
    """Have the receipt mailed to the customer, again if it was before."""
    request.throttle.count_trial(request.browser.address)
    session_id = request.path_params["id"]
    work = request.services.receipts.send(request.livemode, session_id)
    path = f"{PATH}/{session_id}"
    try:
        to = await request.write(work, Action.RECEIPT_SENT, subject=lambda _: session_id)
    except ResendRefused as error:
        return request.redirect(path, str(error))
    return request.redirect(path, f"The receipt is on its way to {to}.")


async def check(request: DashboardRequest) -> Response:
    """Check the session's chain now, and report the result."""
    get = partial(request.services.checkout.session_reader.get, request.path_params["id"], request.livemode)
    before = await get()
    checked = await request.services.ledger.check_now.check(before["chainId"])
    return request.redirect_staying(f"{PATH}/{before['id']}", _check_notice(before, await get(), checked))


def _check_notice(before: SessionResource, after: SessionResource, checked: ChainCheck | None) -> str:
    if checked is None:
        return f"Chain {before['chainId']} is no longer configured, so it can't be checked."
    name = checked.status.name
    if checked.problem is not None:
        return f"{name} could not be checked: {checked.problem}. Nothing is lost; the server keeps trying."
    received = int(after["amountReceived"]["units"]) - int(before["amountReceived"]["units"])
    new_payments = len(after["payments"]) - len(before["payments"])
    if before["status"] != after["status"]:
        news_text = f"The payment is now {labels.of_session(after).text.lower()}."
    elif received or new_payments:
        news_text = "New payments arrived: see below."
    else:
        news_text = _NOTHING_NEW.get(Status(after["status"]), "Nothing has changed.")
    lag = checked.status.lag
    behind = f" {lag:,} blocks have yet to be read; check again in a moment." if lag else ""
    return f"Checked {name} up to block {checked.status.processed:,}. {news_text}{behind}"


_NOTHING_NEW = {
    Status.PENDING: "Nothing new has arrived.",
    Status.UNDERPAID: "Nothing more has arrived.",
    Status.EXPIRED: "Nothing new has arrived.",
}


async def look_up(request: DashboardRequest) -> Response:
    """Explain a transaction, named by a payer."""
    session = await request.services.checkout.session_reader.get(request.path_params["id"], request.livemode)
    text = request.query_params.get("transaction", "").strip()
    try:
        explained = await request.services.diagnosis.explainer.of(text, request.livemode)
    except UnknownSubject:
        request.form.error = "That is not a transaction hash: it begins with 0x, followed by 64 digits."
        explained = None
    except ValueError as error:
        request.form.error = str(error)
        explained = None
    return request.render("payments/look_up.html", session=session, explained=explained, text=text)


PAGES = (
    DashboardPage("GET", _ONE, show),
    DashboardPage("GET", f"{_ONE}/transfers", transfers),
    DashboardPage("POST", f"{_ONE}/accept", accept),
    DashboardPage("POST", f"{_ONE}/expire", expire),
    DashboardPage("POST", f"{_ONE}/check", check),
    DashboardPage("POST", f"{_ONE}/receipt", send_receipt),
    DashboardPage("GET", f"{_ONE}/look-up", look_up),
)
