"""Payment links: make, show with what to put on a site or on paper, change, switch off and on, delete."""

from dataclasses import replace

from starlette.responses import Response

from crypto_checkout.core.checkout.link import Link
from crypto_checkout.core.errors import InvalidBody, UnsupportedAsset, UnsupportedChain, WalletNotConfigured
from crypto_checkout.core.public.types import LinkResource
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.http import qr
from crypto_checkout.http.dashboard.frame.pager import pager
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import DashboardPage
from crypto_checkout.http.dashboard.pages import link_form

PATH = "/links"

_REFUSALS = (InvalidBody, UnsupportedAsset, UnsupportedChain, WalletNotConfigured)
_FILTER = {"yes": True, "no": False}
_FORM_FIELDS = (
    "title", "fiat", "description", "chain_id", "asset", "assets", "success_url", "cancel_url", "metadata",
)  # fmt: skip


async def listed(request: DashboardRequest) -> Response:
    """Show the links of this mode."""
    window = request.window()
    page = await request.services.checkout.links.listed(
        request.livemode, _FILTER.get(request.query_params.get("active", "")), window
    )
    usage = await request.services.checkout.links.usage(request.livemode, [link["id"] for link in page.items])
    return request.render("links/list.html", links=page.items, usage=usage, pager=pager(request, page, window))


async def show(request: DashboardRequest) -> Response:
    """Show a link, with all there is to put on a site or on paper."""
    link = await _found(request)
    usage = await request.services.checkout.links.usage(request.livemode, [link["id"]])
    coins: list[str] = []
    if request.services.checkout.payment_methods.has(livemode=request.livemode):
        methods = request.services.checkout.payment_methods.of(request.livemode)
        choices = link_form.chosen(methods, link) or [methods.chain(None).asset(None).choice]
        coins = [link_form.describe(methods, choice) for choice in choices]
    return request.render("links/show.html", link=link, usage=usage[link["id"]], coins=coins)


async def draw(request: DashboardRequest) -> Response:
    """Send the QR code as a file."""
    link = await _found(request)
    headers = {"Content-Disposition": f'attachment; filename="{link["slug"]}.svg"', "Cache-Control": "no-store"}
    return Response(qr.file(link["checkoutUrl"]), media_type="image/svg+xml", headers=headers)


async def ask(request: DashboardRequest) -> Response:
    """Ask what a new link shall be."""
    return request.render("links/form.html", **link_form.content(request))


async def create(request: DashboardRequest) -> Response:
    """Make a link."""
    new = link_form.read(request)
    if new is not None:
        try:
            work = request.services.checkout.links.create(request.livemode, new)
            link = await request.write(work, EventType.LINK_CREATED, detail=new.title)
            return request.redirect(f"{PATH}/{link['id']}", "The link is made. Whoever opens it can pay.")
        except _REFUSALS as error:
            link_form.refused(request, error)
    return request.render("links/form.html", status=400, **link_form.content(request))


async def ask_change(request: DashboardRequest) -> Response:
    """Show a link's form as it stands."""
    return request.render("links/form.html", **link_form.content(request, await _found(request)))


async def change(request: DashboardRequest) -> Response:
    """Change a link; its sessions keep their price."""
    link = await _found(request)
    new = link_form.read(request, link)
    if new is not None:
        fields = {name: getattr(new, name) for name in _FORM_FIELDS}
        try:
            work = request.services.checkout.links.update(
                request.livemode, link["id"], lambda before: replace(before, **fields)
            )
            await request.write(work, EventType.LINK_UPDATED, detail=new.title)
            return request.redirect(
                f"{PATH}/{link['id']}", "The link is changed. Sessions made before keep their price."
            )
        except _REFUSALS as error:
            link_form.refused(request, error)
    return request.render("links/form.html", status=400, **link_form.content(request, link))


async def switch_off(request: DashboardRequest) -> Response:
    """Have a link take no more payments."""
    return await _switch(request, "The link is off: who opens it is told so. Sessions under way can still be paid.")


async def switch_on(request: DashboardRequest) -> Response:
    """Have a link take payments again."""
    return await _switch(request, "The link is on: it takes payments again.", active=True)


async def delete(request: DashboardRequest) -> Response:
    """Delete a link; its sessions stay."""
    link = await _found(request)
    work = request.services.checkout.links.delete(request.livemode, link["id"])
    await request.write(work, EventType.LINK_DELETED, detail=link["title"])
    return request.redirect(PATH, f"“{link['title']}” is deleted. Its payments stay.")


async def _switch(request: DashboardRequest, said: str, *, active: bool = False) -> Response:
    def switched(link: Link) -> Link:
        return replace(link, active=active)

    link_id = request.path_params["id"]
    work = request.services.checkout.links.update(request.livemode, link_id, switched)
    await request.write(work, EventType.LINK_UPDATED, detail="switched on" if active else "switched off")
    return request.redirect(f"{PATH}/{link_id}", said)


async def _found(request: DashboardRequest) -> LinkResource:
    return await request.services.checkout.links.get(request.livemode, request.path_params["id"])


PAGES = (
    DashboardPage("GET", PATH, listed),
    DashboardPage("POST", PATH, create),
    DashboardPage("GET", f"{PATH}/new", ask),
    DashboardPage("GET", f"{PATH}/{{id}}", show),
    DashboardPage("POST", f"{PATH}/{{id}}", change),
    DashboardPage("GET", f"{PATH}/{{id}}/edit", ask_change),
    DashboardPage("GET", f"{PATH}/{{id}}/qr.svg", draw),
    DashboardPage("POST", f"{PATH}/{{id}}/off", switch_off),
    DashboardPage("POST", f"{PATH}/{{id}}/on", switch_on),
    DashboardPage("POST", f"{PATH}/{{id}}/delete", delete),
)
