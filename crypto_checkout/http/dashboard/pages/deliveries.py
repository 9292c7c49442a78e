"""What is sent to a webhook endpoint: one delivery with its attempts, a test, and sending again."""

import json
from datetime import UTC, datetime

from starlette.responses import Response

from crypto_checkout.core.errors import ResourceNotFound
from crypto_checkout.core.owner.audit import Action
from crypto_checkout.core.public.types import ReplayResource
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import DashboardPage
from crypto_checkout.http.dashboard.pages import webhooks

_ENDPOINT = f"{webhooks.PATH}/{{id}}"


async def show(visit: DashboardRequest) -> Response:
    """Show a delivery: what is sent, and what came of each attempt."""
    endpoint = await visit.desk.endpoints.get(visit.livemode, visit.path["id"])
    delivery, body = await visit.desk.deliveries.get(visit.livemode, endpoint["id"], visit.path["event"])
    sent = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    return visit.show("webhooks/delivery.html", endpoint=endpoint, delivery=delivery, sent=sent)


async def test(visit: DashboardRequest) -> Response:
    """Send a made-up event to an endpoint, and show what came of it."""
    endpoint = await visit.desk.endpoints.get(visit.livemode, visit.path["id"])
    attempted = await visit.desk.deliveries.test(visit.livemode, endpoint["id"])
    said = "it was taken" if attempted["succeeded"] else "it was not taken"
    await visit.write(lambda _: attempted, Action.ENDPOINT_TESTED, subject=lambda _: endpoint["id"], detail=said)
    return visit.show("webhooks/tried.html", endpoint=endpoint, attempted=attempted)


async def replay_event(visit: DashboardRequest) -> Response:
    """Send one event again, whatever came of it before."""
    event_id = visit.form.text("event")
    if not visit.form.is_good:
        return await webhooks.shown(visit, 400)
    work = visit.desk.deliveries.replay_event(visit.livemode, visit.path["id"], event_id)
    try:
        await visit.write(work, Action.ENDPOINT_REPLAYED, subject=lambda _: visit.path["id"], detail=event_id)
    except ResourceNotFound as error:
        if error.param != "eventId":
            raise
        visit.form.note(error, {"eventId": "event"})
        return await webhooks.shown(visit, 400)
    return visit.go(f"{webhooks.PATH}/{visit.path['id']}/deliveries/{event_id}", "The event is on its way again.")


async def replay_since(visit: DashboardRequest) -> Response:
    """Send all that an endpoint wants and has not taken since a moment."""
    since = _moment(visit, "since")
    if since is None:
        return await webhooks.shown(visit, 400)
    work = visit.desk.deliveries.replay_since(visit.livemode, visit.path["id"], since)
    detail = f"since {since:%Y-%m-%d %H:%M:%S} UTC"
    replay = await visit.write(work, Action.ENDPOINT_REPLAYED, subject=lambda _: visit.path["id"], detail=detail)
    return visit.go(f"{webhooks.PATH}/{visit.path['id']}", _said(replay))


def _moment(visit: DashboardRequest, name: str) -> datetime | None:
    """Return a field of the form that is a time in UTC, noting a mistake where it is none, or in the future."""
    text = visit.form.text(name, 40)
    if name in visit.form.mistakes:
        return None
    try:
        found = datetime.fromisoformat(text)
        moment = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        visit.form.mistakes[name] = "Write a day and a time, like 2026-01-31T12:00."
        return None
    if moment > visit.desk.clock():
        visit.form.mistakes[name] = "This is in the future."
        return None
    return moment


def _said(replay: ReplayResource) -> str:
    queued = replay["queued"]
    if not queued:
        return "Nothing is to be sent: the endpoint has taken all that it wants."
    said = f"{queued} {'delivery is' if queued == 1 else 'deliveries are'} on the way again."
    return f"{said} There are more: do the same again for the rest." if replay["hasMore"] else said


PAGES = (
    DashboardPage("POST", f"{_ENDPOINT}/test", test),
    DashboardPage("POST", f"{_ENDPOINT}/replay", replay_event),
    DashboardPage("POST", f"{_ENDPOINT}/replay-since", replay_since),
    DashboardPage("GET", f"{_ENDPOINT}/deliveries/{{event}}", show),
)
