"""Payment links: list, show with button and QR code, create, update, disable, enable, delete."""

from dataclasses import replace

from starlette.responses import Response

from crypto_checkout.core.checkout.link import Link
from crypto_checkout.core.checkout.pay_button import pay_button
from crypto_checkout.core.errors import InvalidBody, UnsupportedAsset, UnsupportedChain, WalletNotConfigured
from crypto_checkout.core.public.link_types import LinkResource
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.http import qr
from crypto_checkout.http.dashboard.frame.pager import pager
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import DashboardPage
from crypto_checkout.http.dashboard.pages import link_form
from crypto_checkout.store.paging import Window

PATH = "/links"

_REFUSALS = (InvalidBody, UnsupportedAsset, UnsupportedChain, WalletNotConfigured)
_FILTER = {"yes": True, "no": False}
_FORM_FIELDS = (
    "title", "price", "quantity", "description", "chain_id", "asset", "assets", "success_url", "cancel_url", "metadata",
    "payer_fields", "custom_fields",
)  # fmt: skip


async def index(request: DashboardRequest) -> Response:
    """List the links of this mode."""
    window = request.window()
    page = await request.services.checkout.links.listed(
        request.livemode, _FILTER.get(request.query_params.get("active", "")), window
    )
    usage = await request.services.checkout.links.usage(request.livemode, [link["id"] for link in page.items])
    return request.render("links/list.html", links=page.items, usage=usage, pager=pager(request, page, window))


async def show(request: DashboardRequest) -> Response:
    """Show a link, with its button and its QR code."""
    link = await _link(request)
    usage = await request.services.checkout.links.usage(request.livemode, [link["id"]])
    coins: list[str] = []
    if request.services.checkout.payment_methods.has(livemode=request.livemode):
        methods = request.services.checkout.payment_methods.of(request.livemode)
        choices = link_form.link_choices(methods, link) or [methods.chain(None).asset(None).choice]
        coins = [link_form.describe(methods, choice) for choice in choices]
    return request.render("links/show.html", link=link, usage=usage[link["id"]], coins=coins, button=pay_button)


async def qr_code(request: DashboardRequest) -> Response:
    """Send the QR code as a file."""
    link = await _link(request)
    headers = {"Content-Disposition": f'attachment; filename="{link["slug"]}.svg"', "Cache-Control": "no-store"}
    return Response(qr.file(link["checkoutUrl"]), media_type="image/svg+xml", headers=headers)


async def new(request: DashboardRequest) -> Response:
    """Show the form for a new link, with the currency and the coins of the newest one."""
    newest = (await request.services.checkout.links.listed(request.livemode, None, Window(1))).items
    return request.render("links/form.html", **link_form.context(request, like=newest[0] if newest else None))


async def create(request: DashboardRequest) -> Response:
    """Create a link."""
    link_request = link_form.read(request)
    if link_request is not None:
        try:
            work = request.services.checkout.links.create(request.livemode, link_request)
            link = await request.write(work, EventType.LINK_CREATED, detail=link_request.title)
            return request.redirect(f"{PATH}/{link['id']}", "Link created. Anyone who opens it can pay.")
        except _REFUSALS as error:
            link_form.note_refusal(request, error)
    return request.render("links/form.html", status=400, **link_form.context(request))


async def edit(request: DashboardRequest) -> Response:
    """Show the form of an existing link."""
    return request.render("links/form.html", **link_form.context(request, await _link(request)))


async def update(request: DashboardRequest) -> Response:
    """Update a link; existing sessions keep their price."""
    link = await _link(request)
    link_request = link_form.read(request, link)
    if link_request is not None:
        fields = {name: getattr(link_request, name) for name in _FORM_FIELDS}
        try:
            work = request.services.checkout.links.update(
                request.livemode, link["id"], lambda before: replace(before, **fields)
            )
            await request.write(work, EventType.LINK_UPDATED, detail=link_request.title)
            return request.redirect(f"{PATH}/{link['id']}", "Link updated. Existing payments keep their price.")
        except _REFUSALS as error:
            link_form.note_refusal(request, error)
    return request.render("links/form.html", status=400, **link_form.context(request, link))


async def disable(request: DashboardRequest) -> Response:
    """Stop a link from taking payments."""
    return await _set_active(request, "Link disabled. Payments in progress can still be completed.")


async def enable(request: DashboardRequest) -> Response:
    """Let a link take payments again."""
    return await _set_active(request, "Link enabled. It accepts payments again.", active=True)


async def delete(request: DashboardRequest) -> Response:
    """Delete a link, but not its sessions."""
    link = await _link(request)
    work = request.services.checkout.links.delete(request.livemode, link["id"])
    await request.write(work, EventType.LINK_DELETED, detail=link["title"])
    return request.redirect(PATH, f"“{link['title']}” was deleted. Its payments are kept.")


async def _set_active(request: DashboardRequest, notice: str, *, active: bool = False) -> Response:
    def switched(link: Link) -> Link:
        return replace(link, active=active)

    link_id = request.path_params["id"]
    work = request.services.checkout.links.update(request.livemode, link_id, switched)
    await request.write(work, EventType.LINK_UPDATED, detail="enabled" if active else "disabled")
    return request.redirect(f"{PATH}/{link_id}", notice)


async def _link(request: DashboardRequest) -> LinkResource:
    return await request.services.checkout.links.get(request.livemode, request.path_params["id"])


PAGES = (
    DashboardPage("GET", PATH, index),
    DashboardPage("POST", PATH, create),
    DashboardPage("GET", f"{PATH}/new", new),
    DashboardPage("GET", f"{PATH}/{{id}}", show),
    DashboardPage("POST", f"{PATH}/{{id}}", update),
    DashboardPage("GET", f"{PATH}/{{id}}/edit", edit),
    DashboardPage("GET", f"{PATH}/{{id}}/qr.svg", qr_code),
    DashboardPage("POST", f"{PATH}/{{id}}/off", disable),
    DashboardPage("POST", f"{PATH}/{{id}}/on", enable),
    DashboardPage("POST", f"{PATH}/{{id}}/delete", delete),
)
