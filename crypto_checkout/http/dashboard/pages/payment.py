"""One payment: what happened to a session, why it stands where it does, and what the merchant decides about it."""

from collections.abc import Awaitable
from functools import partial

from starlette.responses import Response

from crypto_checkout.core.checkout.session import ACCEPTED, CLOSED, Status
from crypto_checkout.core.errors import SessionNotOpen
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.http.dashboard.frame import labels
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import DashboardPage
from crypto_checkout.http.dashboard.pages.payments import PATH
from crypto_checkout.services.diagnosis.explain import UnknownSubject
from crypto_checkout.services.ledger.check_now import ChainCheck

_ONE = f"{PATH}/{{id}}"


async def show(visit: DashboardRequest) -> Response:
    """Show a session with all that belongs to it."""
    detail = await visit.desk.payment_details.of(visit.livemode, visit.path["id"])
    session = detail.session
    return visit.show(
        "payments/detail.html",
        session=session,
        detail=detail,
        explained=await visit.desk.explain.session(session["id"], visit.livemode),
        word=labels.of_session(session),
        words=labels,
        chains=visit.desk.payment_methods.all_chains(),
    )


async def accept(visit: DashboardRequest) -> Response:
    """Take what has arrived as the whole payment."""
    work = visit.desk.decisions.accept(visit.livemode, visit.path["id"])
    return await _decided(visit, visit.write(work, EventType.SESSION_PAID, detail=ACCEPTED), _ACCEPTED)


async def expire(visit: DashboardRequest) -> Response:
    """Close a session that waits."""
    work = visit.desk.decisions.expire(visit.livemode, visit.path["id"])
    return await _decided(visit, visit.write(work, EventType.SESSION_EXPIRED, detail=CLOSED), _CLOSED)


_ACCEPTED = "Accepted: what has arrived is taken as the whole payment."
_CLOSED = "Closed. What comes to its address from now on is shown as too late."


async def _decided(visit: DashboardRequest, writing: Awaitable[SessionResource], said: str) -> Response:
    path = f"{PATH}/{visit.path['id']}"
    try:
        await writing
    except SessionNotOpen:
        # Its page was open while something came or somebody decided; the page as it is now tells what.
        return visit.go(path, "Nothing was done: the payment has changed meanwhile. Look again.")
    return visit.go(path, said)


async def check(visit: DashboardRequest) -> Response:
    """Have the session's chain looked at now, and say what was found."""
    get = partial(visit.desk.sessions.get, visit.path["id"], visit.livemode)
    before = await get()
    checked = await visit.desk.check_now.check(before["chainId"])
    return visit.go(f"{PATH}/{before['id']}", _found(before, await get(), checked))


def _found(before: SessionResource, after: SessionResource, checked: ChainCheck | None) -> str:
    if checked is None:
        return f"Chain {before['chainId']} is not in the configuration any more, so nobody looks at it."
    name = checked.status.name
    if checked.problem is not None:
        return f"{name} could not be looked at: {checked.problem}. Nothing is lost; it is tried again and again."
    came = int(after["amountReceived"]["units"]) - int(before["amountReceived"]["units"])
    news = len(after["payments"]) - len(before["payments"])
    if before["status"] != after["status"]:
        news_text = f"The payment is now: {labels.of_session(after).text.lower()}."
    elif came or news:
        news_text = "Something has come: see below."
    else:
        news_text = _NOTHING_NEW.get(Status(after["status"]), "Nothing has changed.")
    lag = checked.status.lag
    behind = f" {lag:,} blocks are still to be read; look again in a moment." if lag else ""
    return f"Looked at {name} just now, up to block {checked.status.processed:,}. {news_text}{behind}"


_NOTHING_NEW = {
    Status.PENDING: "Nothing new has come to the address.",
    Status.UNDERPAID: "Nothing more has come to the address.",
    Status.EXPIRED: "Nothing new has come to the address.",
}


async def look_up(visit: DashboardRequest) -> Response:
    """Explain a transaction that a payer names."""
    session = await visit.desk.sessions.get(visit.path["id"], visit.livemode)
    text = visit.query.get("transaction", "").strip()
    try:
        explained = await visit.desk.explain.of(text, visit.livemode)
    except UnknownSubject:
        visit.form.mistake = "That is no transaction: its hash begins with 0x and has 64 digits after it."
        explained = None
    except ValueError as error:
        visit.form.mistake = str(error)
        explained = None
    return visit.show("payments/looked_up.html", session=session, explained=explained, text=text)


PAGES = (
    DashboardPage("GET", _ONE, show),
    DashboardPage("POST", f"{_ONE}/accept", accept),
    DashboardPage("POST", f"{_ONE}/expire", expire),
    DashboardPage("POST", f"{_ONE}/check", check),
    DashboardPage("GET", f"{_ONE}/look-up", look_up),
)
