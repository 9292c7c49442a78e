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


async def listed(visit: DashboardRequest) -> Response:
    """Show the events that are asked for: of a type, or of a resource."""
    window, wanted = visit.window(), store.EventFilter(_type(visit), visit.query.get("resource", "").strip() or None)
    page = await visit.desk.db.read(lambda unit: store.bodies(unit, visit.livemode, wanted, window))
    return visit.show(
        "events/list.html",
        events=[json.loads(body) for body in page.items],
        types=[(each.value, f"{each.value}: {info.title}") for each, info in EVENTS.items()],
        is_filtered=wanted != store.EventFilter(),
        words=labels,
        place=place,
        pager=pager(visit, page, window),
    )


async def show(visit: DashboardRequest) -> Response:
    """Show an event with its body."""
    event_id = visit.path["id"]
    body = await visit.desk.db.read(lambda unit: store.body(unit, event_id, visit.livemode))
    if body is None:
        raise ResourceNotFound(f"There is no event {event_id[:40]} in this mode.")
    event = json.loads(body)
    pretty = json.dumps(event, ensure_ascii=False, indent=2)
    return visit.show("events/detail.html", event=event, body=pretty, words=labels, place=place)


def place(resource_id: str) -> str | None:
    """Return the path of a resource's page; None for one without."""
    path = _PLACES.get(resource_id.partition("_")[0])
    return None if path is None else f"{path}/{resource_id}"


def _type(visit: DashboardRequest) -> str | None:
    given = visit.query.get("type") or None
    if given is not None and given not in set(EventType):
        raise InvalidQuery(f'"{given[:40]}" is no type of event.', param="type")
    return given


PAGES = (
    DashboardPage("GET", PATH, listed),
    DashboardPage("GET", f"{PATH}/{{id}}", show),
)
