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


async def listed(visit: DashboardRequest) -> Response:
    """Show the links of this mode."""
    window = visit.window()
    page = await visit.desk.links.listed(visit.livemode, _FILTER.get(visit.query.get("active", "")), window)
    usage = await visit.desk.links.usage(visit.livemode, [link["id"] for link in page.items])
    return visit.show("links/list.html", links=page.items, usage=usage, pager=pager(visit, page, window))


async def show(visit: DashboardRequest) -> Response:
    """Show a link, with all there is to put on a site or on paper."""
    link = await _found(visit)
    usage = await visit.desk.links.usage(visit.livemode, [link["id"]])
    coins: list[str] = []
    if visit.desk.payment_methods.has(livemode=visit.livemode):
        methods = visit.desk.payment_methods.of(visit.livemode)
        choices = link_form.chosen(methods, link) or [methods.chain(None).asset(None).choice]
        coins = [link_form.describe(methods, choice) for choice in choices]
    return visit.show("links/show.html", link=link, usage=usage[link["id"]], coins=coins)


async def draw(visit: DashboardRequest) -> Response:
    """Send the QR code as a file."""
    link = await _found(visit)
    headers = {"Content-Disposition": f'attachment; filename="{link["slug"]}.svg"', "Cache-Control": "no-store"}
    return Response(qr.file(link["checkoutUrl"]), media_type="image/svg+xml", headers=headers)


async def ask(visit: DashboardRequest) -> Response:
    """Ask what a new link shall be."""
    return visit.show("links/form.html", **link_form.content(visit))


async def create(visit: DashboardRequest) -> Response:
    """Make a link."""
    new = link_form.read(visit)
    if new is not None:
        try:
            work = visit.desk.links.create(visit.livemode, new)
            link = await visit.write(work, EventType.LINK_CREATED, detail=new.title)
            return visit.go(f"{PATH}/{link['id']}", "The link is made. Whoever opens it can pay.")
        except _REFUSALS as error:
            link_form.refused(visit, error)
    return visit.show("links/form.html", status=400, **link_form.content(visit))


async def ask_change(visit: DashboardRequest) -> Response:
    """Show a link's form as it stands."""
    return visit.show("links/form.html", **link_form.content(visit, await _found(visit)))


async def change(visit: DashboardRequest) -> Response:
    """Change a link; its sessions keep their price."""
    link = await _found(visit)
    new = link_form.read(visit, link)
    if new is not None:
        fields = {name: getattr(new, name) for name in _FORM_FIELDS}
        try:
            work = visit.desk.links.update(visit.livemode, link["id"], lambda before: replace(before, **fields))
            await visit.write(work, EventType.LINK_UPDATED, detail=new.title)
            return visit.go(f"{PATH}/{link['id']}", "The link is changed. Sessions made before keep their price.")
        except _REFUSALS as error:
            link_form.refused(visit, error)
    return visit.show("links/form.html", status=400, **link_form.content(visit, link))


async def switch_off(visit: DashboardRequest) -> Response:
    """Have a link take no more payments."""
    return await _switch(visit, "The link is off: who opens it is told so. Sessions under way can still be paid.")


async def switch_on(visit: DashboardRequest) -> Response:
    """Have a link take payments again."""
    return await _switch(visit, "The link is on: it takes payments again.", active=True)


async def delete(visit: DashboardRequest) -> Response:
    """Delete a link; its sessions stay."""
    link = await _found(visit)
    work = visit.desk.links.delete(visit.livemode, link["id"])
    await visit.write(work, EventType.LINK_DELETED, detail=link["title"])
    return visit.go(PATH, f"“{link['title']}” is deleted. Its payments stay.")


async def _switch(visit: DashboardRequest, said: str, *, active: bool = False) -> Response:
    def switched(link: Link) -> Link:
        return replace(link, active=active)

    link_id = visit.path["id"]
    work = visit.desk.links.update(visit.livemode, link_id, switched)
    await visit.write(work, EventType.LINK_UPDATED, detail="switched on" if active else "switched off")
    return visit.go(f"{PATH}/{link_id}", said)


async def _found(visit: DashboardRequest) -> LinkResource:
    return await visit.desk.links.get(visit.livemode, visit.path["id"])


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
