"""Webhook endpoints: list, show, create, update, disable, enable, rotate the secret, delete.

Their deliveries are in `deliveries`.
"""

from starlette.responses import Response

from crypto_checkout.core.errors import InvalidBody
from crypto_checkout.core.owner.audit import Action
from crypto_checkout.core.webhooks.delivery import DeliveryStatus
from crypto_checkout.core.webhooks.endpoint import ALL_EVENTS
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.http.dashboard.frame.pager import pager
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import Access, DashboardPage
from crypto_checkout.services.webhooks.endpoints import EndpointRequest

PATH = "/webhooks"

_LONGEST_URL = 2_048
_LONGEST_DESCRIPTION = 1_000
_OVERLAPS = (
    ("86400", "For 24 hours"),
    ("3600", "For 1 hour"),
    ("604800", "For 7 days"),
    ("0", "Not at all: it has leaked"),
)
_TYPES = ((ALL_EVENTS, "All events"), *((each.value, each.value) for each in EventType))


async def index(request: DashboardRequest) -> Response:
    """List the endpoints of this mode, and their health."""
    return request.render(
        "webhooks/list.html", healths=await request.services.webhooks.endpoints.healths(request.livemode)
    )


async def show(request: DashboardRequest) -> Response:
    """Show an endpoint and its deliveries."""
    return await detail_page(request)


async def detail_page(request: DashboardRequest, status_code: int = 200) -> Response:
    """Render an endpoint's page, also with errors in one of its forms."""
    health = await request.services.webhooks.endpoints.health(request.livemode, request.path_params["id"])
    window, status = request.window(), request.query_params.get("status", "")
    page = await request.services.webhooks.deliveries.listed(
        request.livemode,
        request.path_params["id"],
        DeliveryStatus(status) if status in list(DeliveryStatus) else None,
        window,
    )
    return request.render(
        "webhooks/show.html",
        status=status_code,
        health=health,
        deliveries=page.items,
        pager=pager(request, page, window),
        statuses=[(each.value, each.value) for each in DeliveryStatus],
        overlaps=_OVERLAPS,
    )


async def new(request: DashboardRequest) -> Response:
    """Show the form for a new endpoint."""
    return request.render("webhooks/form.html", endpoint=None, types=_TYPES)


async def create(request: DashboardRequest) -> Response:
    """Create an endpoint, and show its secret once."""
    url, events, description = _read_form(request)
    if request.form.is_valid:
        try:
            work = request.services.webhooks.endpoints.create(
                request.livemode, EndpointRequest(url, events, description)
            )
            endpoint = await request.write(work, EventType.ENDPOINT_CREATED, detail=url)
            return request.render("webhooks/secret.html", status=201, endpoint=endpoint, overlap="")
        except InvalidBody as error:
            request.form.add_error(error)
    return request.render("webhooks/form.html", status=400, endpoint=None, types=_TYPES)


async def edit(request: DashboardRequest) -> Response:
    """Show the form of an existing endpoint."""
    endpoint = await request.services.webhooks.endpoints.get(request.livemode, request.path_params["id"])
    return request.render("webhooks/form.html", endpoint=endpoint, types=_TYPES)


async def update(request: DashboardRequest) -> Response:
    """Update an endpoint's URL, events and description."""
    endpoint = await request.services.webhooks.endpoints.get(request.livemode, request.path_params["id"])
    url, events, description = _read_form(request)
    if request.form.is_valid:
        changes = {"url": url, "events": events, "description": description}
        try:
            work = request.services.webhooks.endpoints.update(request.livemode, endpoint["id"], changes)
            await request.write(work, EventType.ENDPOINT_UPDATED, detail=url)
            return request.redirect(f"{PATH}/{endpoint['id']}", "Endpoint updated.")
        except InvalidBody as error:
            request.form.add_error(error)
    return request.render("webhooks/form.html", status=400, endpoint=endpoint, types=_TYPES)


async def disable(request: DashboardRequest) -> Response:
    """Disable an endpoint."""
    return await _set_active(request, "Endpoint disabled. Events it misses can be resent later.")


async def enable(request: DashboardRequest) -> Response:
    """Enable an endpoint; its page offers the missed events."""
    return await _set_active(request, "Endpoint enabled. New events are sent to it.", active=True)


async def rotate(request: DashboardRequest) -> Response:
    """Create a new secret, and show it once."""
    overlap = request.form.one_of("overlap", [value for value, _ in _OVERLAPS])
    if not request.form.is_valid:
        return await detail_page(request, 400)
    work = request.services.webhooks.endpoints.rotate_secret(request.livemode, request.path_params["id"], int(overlap))
    duration = dict(_OVERLAPS)[overlap].lower()
    endpoint = await request.write(work, Action.SECRET_ROTATED, detail=f"the old secret is valid: {duration}")
    return request.render("webhooks/secret.html", status=201, endpoint=endpoint, overlap=overlap)


async def delete(request: DashboardRequest) -> Response:
    """Delete an endpoint and its deliveries."""
    endpoint = await request.services.webhooks.endpoints.get(request.livemode, request.path_params["id"])
    work = request.services.webhooks.endpoints.delete(request.livemode, endpoint["id"])
    await request.write(work, EventType.ENDPOINT_DELETED, detail=endpoint["url"])
    return request.redirect(PATH, f"{endpoint['url'][:200]} was deleted. Nothing more is sent there.")


async def _set_active(request: DashboardRequest, notice: str, *, active: bool = False) -> Response:
    endpoint_id = request.path_params["id"]
    work = request.services.webhooks.endpoints.update(request.livemode, endpoint_id, {"active": active})
    await request.write(work, EventType.ENDPOINT_UPDATED, detail="enabled" if active else "disabled")
    return request.redirect(f"{PATH}/{endpoint_id}", notice)


def _read_form(request: DashboardRequest) -> tuple[str, tuple[str, ...], str | None]:
    form = request.form
    url = form.text("url", _LONGEST_URL)
    description = form.text("description", _LONGEST_DESCRIPTION, optional=True, lines=True)
    ticked = form.some_of("events", [ALL_EVENTS, *EventType])
    return url, (ALL_EVENTS,) if ALL_EVENTS in ticked else tuple(dict.fromkeys(ticked)), description or None


PAGES = (
    DashboardPage("GET", PATH, index),
    DashboardPage("POST", PATH, create, Access.CONFIRMED),
    DashboardPage("GET", f"{PATH}/new", new, Access.CONFIRMED),
    DashboardPage("GET", f"{PATH}/{{id}}", show),
    DashboardPage("POST", f"{PATH}/{{id}}", update, Access.CONFIRMED),
    DashboardPage("GET", f"{PATH}/{{id}}/edit", edit, Access.CONFIRMED),
    DashboardPage("POST", f"{PATH}/{{id}}/off", disable),
    DashboardPage("POST", f"{PATH}/{{id}}/on", enable),
    DashboardPage("POST", f"{PATH}/{{id}}/rotate", rotate, Access.CONFIRMED),
    DashboardPage("POST", f"{PATH}/{{id}}/delete", delete),
)
