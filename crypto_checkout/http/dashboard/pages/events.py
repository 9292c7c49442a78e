"""Events: what happened, as it is kept and as webhooks tell of it."""

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

_PLACES = {
    ids.SESSION: "/payments",
    ids.LINK: "/links",
    ids.CUSTOMER: "/customers",
    ids.ENDPOINT: "/webhooks",
}
"""Where the resources have their pages."""


async def listed(request: DashboardRequest) -> Response:
    """Show the events that are asked for: of a type, or of a resource."""
    window, wanted = (
        request.window(),
        store.EventFilter(_type(request), request.query_params.get("resource", "").strip() or None),
    )
    page = await request.services.db.read(lambda unit: store.bodies(unit, request.livemode, wanted, window))
    return request.render(
        "events/list.html",
        events=[json.loads(body) for body in page.items],
        types=[(each.value, f"{each.value}: {info.title}") for each, info in EVENTS.items()],
        is_filtered=wanted != store.EventFilter(),
        words=labels,
        place=place,
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
    return request.render("events/detail.html", event=event, body=pretty, words=labels, place=place)


def place(resource_id: str) -> str | None:
    """Return the path of a resource's page; None for one without."""
    path = _PLACES.get(resource_id.partition("_")[0])
    return None if path is None else f"{path}/{resource_id}"


def _type(request: DashboardRequest) -> str | None:
    given = request.query_params.get("type") or None
    if given is not None and given not in set(EventType):
        raise InvalidQuery(f'"{given[:40]}" is no type of event.', param="type")
    return given


PAGES = (
    DashboardPage("GET", PATH, listed),
    DashboardPage("GET", f"{PATH}/{{id}}", show),
)
