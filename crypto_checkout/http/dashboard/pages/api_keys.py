"""API keys: list, create, show once, revoke."""

from functools import partial

from starlette.responses import Response

from crypto_checkout.core.owner.api_key import Scope
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import Access, DashboardPage
from crypto_checkout.services.owner import api_keys
from crypto_checkout.store.owner import api_keys as store

PATH = "/api-keys"

_LIVE, _TEST = "live", "test"


async def index(request: DashboardRequest) -> Response:
    """List the keys of this mode, including revoked ones."""
    all_keys = await request.services.db.read(store.all_keys)
    keys_here = [key for key in all_keys if key.livemode == request.livemode]
    return request.render("api_keys/list.html", keys=keys_here, scopes=list(Scope))


async def new(request: DashboardRequest) -> Response:
    """Show the form for a new key."""
    return _new_page(request)


async def create(request: DashboardRequest) -> Response:
    """Create a key of the chosen mode, and show it once."""
    name, mode = request.form.text("name"), request.form.one_of("mode", [value for value, _ in _modes(request)])
    scopes = [Scope(scope) for scope in request.form.some_of("scope", list(Scope))]
    if not request.form.is_valid:
        return _new_page(request, status=400)
    request.livemode = mode == _LIVE
    work = partial(
        api_keys.create, events=request.services.webhooks.outbox, livemode=request.livemode, name=name, scopes=scopes
    )
    key, text = await request.write(work, EventType.API_KEY_CREATED, subject=lambda made: made[0].id, detail=name)
    return request.render("api_keys/created.html", status=201, key=key, text=text)


async def revoke(request: DashboardRequest) -> Response:
    """Revoke a key."""
    key_id = request.path_params["id"]
    work = partial(api_keys.revoke, events=request.services.webhooks.outbox, key_id=key_id, livemode=request.livemode)
    key = await request.write(work, EventType.API_KEY_REVOKED, subject=lambda revoked: revoked.id)
    return request.redirect(PATH, f"{key.name} ({key.prefix}…) was revoked. It stops working within a second.")


def _new_page(request: DashboardRequest, status: int = 200) -> Response:
    return request.render(
        "api_keys/new.html",
        status=status,
        modes=_modes(request),
        scopes=[(scope.value, scope.value) for scope in Scope],
        ticked=[scope.value for scope in Scope],
    )


def _modes(request: DashboardRequest) -> list[tuple[str, str]]:
    modes = ((_TEST, "Test: the simulated chain"), (_LIVE, "Live: real money"))
    return [
        (value, text) for value, text in modes if request.services.checkout.payment_methods.has(livemode=value == _LIVE)
    ]


PAGES = (
    DashboardPage("GET", PATH, index),
    DashboardPage("GET", f"{PATH}/new", new, Access.CONFIRMED),
    DashboardPage("POST", PATH, create, Access.CONFIRMED),
    DashboardPage("POST", f"{PATH}/{{id}}/revoke", revoke),
)
