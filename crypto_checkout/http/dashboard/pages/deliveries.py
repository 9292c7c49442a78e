"""The deliveries of a webhook endpoint: one with its attempts, a test, and replays."""

import json
from datetime import UTC, datetime

from starlette.responses import Response

from crypto_checkout.core.errors import ResourceNotFound
from crypto_checkout.core.owner.audit import Action
from crypto_checkout.core.public.webhook_types import ReplayResource
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import DashboardPage
from crypto_checkout.http.dashboard.pages import webhooks

_ENDPOINT = f"{webhooks.PATH}/{{id}}"


async def show(request: DashboardRequest) -> Response:
    """Show a delivery: its body, and the outcome of each attempt."""
    endpoint = await request.services.webhooks.endpoints.get(request.livemode, request.path_params["id"])
    delivery, body = await request.services.webhooks.deliveries.get(
        request.livemode, endpoint["id"], request.path_params["event"]
    )
    sent = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    return request.render("webhooks/delivery.html", endpoint=endpoint, delivery=delivery, sent=sent)


async def test(request: DashboardRequest) -> Response:
    """Send a made-up event to an endpoint, and show the outcome."""
    endpoint = await request.services.webhooks.endpoints.get(request.livemode, request.path_params["id"])
    attempted = await request.services.webhooks.deliveries.test(request.livemode, endpoint["id"])
    outcome = "it succeeded" if attempted["succeeded"] else "it failed"
    await request.write(lambda _: attempted, Action.ENDPOINT_TESTED, subject=lambda _: endpoint["id"], detail=outcome)
    return request.render("webhooks/test_result.html", endpoint=endpoint, attempted=attempted)


async def replay_event(request: DashboardRequest) -> Response:
    """Send one event again, even if it was delivered."""
    event_id = request.form.text("event")
    if not request.form.is_valid:
        return await webhooks.detail_page(request, 400)
    work = request.services.webhooks.deliveries.replay_event(request.livemode, request.path_params["id"], event_id)
    try:
        await request.write(
            work, Action.ENDPOINT_REPLAYED, subject=lambda _: request.path_params["id"], detail=event_id
        )
    except ResourceNotFound as error:
        if error.param != "eventId":
            raise
        request.form.add_error(error, {"eventId": "event"})
        return await webhooks.detail_page(request, 400)
    return request.redirect(
        f"{webhooks.PATH}/{request.path_params['id']}/deliveries/{event_id}", "The event is being sent again."
    )


async def replay_since(request: DashboardRequest) -> Response:
    """Send all events since a moment that were not delivered."""
    since = _moment(request, "since")
    if since is None:
        return await webhooks.detail_page(request, 400)
    work = request.services.webhooks.deliveries.replay_since(request.livemode, request.path_params["id"], since)
    detail = f"since {since:%Y-%m-%d %H:%M:%S} UTC"
    replay = await request.write(
        work, Action.ENDPOINT_REPLAYED, subject=lambda _: request.path_params["id"], detail=detail
    )
    return request.redirect(f"{webhooks.PATH}/{request.path_params['id']}", _replay_notice(replay))


def _moment(request: DashboardRequest, name: str) -> datetime | None:
    """Return a field of the form as a time in UTC, or None with an error."""
    text = request.form.text(name, 40)
    if name in request.form.errors:
        return None
    try:
        found = datetime.fromisoformat(text)
        moment = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        request.form.errors[name] = "Enter a date and time, like 2026-01-31T12:00."
        return None
    if moment > request.services.clock():
        request.form.errors[name] = "This is in the future."
        return None
    return moment


def _replay_notice(replay: ReplayResource) -> str:
    queued = replay["queued"]
    if not queued:
        return "Nothing to resend: the endpoint has received everything it subscribed to."
    notice = f"{queued} {'delivery is' if queued == 1 else 'deliveries are'} being sent again."
    return f"{notice} There are more: repeat this for the rest." if replay["hasMore"] else notice


PAGES = (
    DashboardPage("POST", f"{_ENDPOINT}/test", test),
    DashboardPage("POST", f"{_ENDPOINT}/replay", replay_event),
    DashboardPage("POST", f"{_ENDPOINT}/replay-since", replay_since),
    DashboardPage("GET", f"{_ENDPOINT}/deliveries/{{event}}", show),
)
