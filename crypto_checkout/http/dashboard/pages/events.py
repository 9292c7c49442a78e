"""Events, as stored and as sent by webhooks."""

import json

from starlette.responses import Response

from crypto_checkout.core import ids
from crypto_checkout.core.errors import InvalidQuery, ResourceNotFound
from crypto_checkout.core.webhooks.events import EVENTS, EventType
from crypto_checkout.http.dashboard.frame import labels
from crypto_checkout.http.dashboard.frame.pager import pager
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import DashboardPage
from crypto_checkout.store.webhooks import events as store

PATH = "/events"

_PATHS = {
    ids.SESSION: "/payments",
    ids.LINK: "/links",
    ids.CUSTOMER: "/customers",
    ids.ENDPOINT: "/webhooks",
}
"""The paths of the resources' pages, by the prefix of their ids."""


async def index(request: DashboardRequest) -> Response:
    """List the events, filtered by type or resource."""
    window, resource_id = request.window(), request.query_params.get("resource", "").strip() or None
    event_filter = store.EventFilter(_event_type(request), resource_id)
    page = await request.services.db.read(lambda unit: store.bodies(unit, request.livemode, event_filter, window))
    return request.render(
        "events/list.html",
        events=[json.loads(body) for body in page.items],
        types=[(each.value, f"{each.value}: {info.title}") for each, info in EVENTS.items()],
        is_filtered=event_filter != store.EventFilter(),
        labels=labels,
        resource_path=resource_path,
        pager=pager(request, page, window),
    )


async def show(request: DashboardRequest) -> Response:
    """Show an event with its body."""
    event_id = request.path_params["id"]
    body = await request.services.db.read(lambda unit: store.body(unit, event_id, request.livemode))
    if body is None:
        raise ResourceNotFound(f"There is no event {event_id[:40]} in this mode.")
    event = json.loads(body)
    pretty = json.dumps(event, ensure_ascii=False, indent=2)
    return request.render("events/detail.html", event=event, body=pretty, labels=labels, resource_path=resource_path)


def resource_path(resource_id: str) -> str | None:
    """Return the path of a resource's page, if it has one."""
    path = _PATHS.get(resource_id.partition("_")[0])
    return None if path is None else f"{path}/{resource_id}"


def _event_type(request: DashboardRequest) -> str | None:
    text = request.query_params.get("type") or None
    if text is not None and text not in set(EventType):
        raise InvalidQuery(f'"{text[:40]}" is not an event type.', param="type")
    return text


PAGES = (
    DashboardPage("GET", PATH, index),
    DashboardPage("GET", f"{PATH}/{{id}}", show),
)
