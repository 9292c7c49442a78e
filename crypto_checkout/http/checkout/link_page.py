"""The page of a payment link: a visit creates a session and leads to it; a preview, and a crowded link, show a button.

Where the payer has something to decide, the page is a form (`http.checkout.orders`). The button
sends a POST of this page's own, which neither a scanner nor another site's page can bring about.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from crypto_checkout.core.checkout.link import Link
from crypto_checkout.core.errors import LinkCrowded, LinkInactive, ResourceNotFound
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.http import origins
from crypto_checkout.http.checkout.orders.page import OrderPages, way_back
from crypto_checkout.http.checkout.renderer import CheckoutRenderer
from crypto_checkout.http.checkout.translations import LANGUAGES
from crypto_checkout.http.rate_limit import LinkLimit
from crypto_checkout.services.payer import Payers

from . import refusals, visitors, visits
from .preview_pages import price_of


@dataclass(frozen=True, slots=True)
class LinkSite:
    """This site as browsers see it: its URL, and the origins that may show it in a frame."""

    public_url: str
    framed_by: Collection[str]

    @property
    def is_https(self) -> bool:
        """True if browsers reach it by https."""
        return self.public_url.startswith("https:")


class LinkPages:
    """Handlers of a link's page; `clock` is that of the other pages, and `limit` that of visits."""

    def __init__(
        self,
        renderer: CheckoutRenderer,
        payers: Payers,
        clock: Callable[[bool], datetime],
        site: LinkSite,
        limit: LinkLimit,
    ) -> None:
        self._renderer = renderer
        self._payers = payers
        self._clock = clock
        self._site = site
        self._limit = limit
        self._orders = OrderPages(renderer, payers, self._limit, is_https=site.is_https)

    async def visit(self, request: Request) -> Response:
        """Create a session and redirect the payer to it, unless this is no visit or the link is crowded.

        A link that takes orders shows its form instead.
        """
        link = await self._payers.link(request.path_params["slug"])
        if link is None:
            return self._refuse(request, refusals.LINK_GONE)
        if link.takes_orders:
            return await self._orders.show(request, link)
        is_preview = visitors.is_preview(request.method, request.headers, is_https=self._site.is_https)
        if is_preview or visitors.is_foreign_frame(request.headers, self._site.framed_by):
            return self._button(request, link, "link_next")
        try:
            return await self._lead_to_session(request, link, self._limit.visit)
        except LinkCrowded:
            return self._button(request, link, "crowded_continue")

    async def press(self, request: Request) -> Response:
        """Create a session for someone who pressed the button, of a crowded link too, and redirect them to it."""
        if origins.is_cross_site(request.headers, self._site.public_url):
            return self._refuse(request, refusals.CROSS_SITE)
        link = await self._payers.link(request.path_params["slug"])
        if link is None:
            return self._refuse(request, refusals.LINK_GONE)
        if not link.takes_orders:
            return await self._lead_to_session(request, link, self._limit.insist)
        ordered = await self._orders.order(request, link)
        return ordered if isinstance(ordered, Response) else self._to_session(link, ordered)

    async def way_back(self, request: Request) -> str | None:
        """Return where a link's payers go who can't pay; None if the link names no such page."""
        link = await self._payers.link(request.path_params["slug"])
        return None if link is None else way_back(link)

    async def _lead_to_session(self, request: Request, link: Link, count: Callable[[str, str], None]) -> Response:
        address = request.scope["client_address"]
        before = visits.recall(request, link.slug, is_secure=self._site.is_https)
        try:
            session = await self._payers.visit_link(link, before, lambda link_id: count(address, link_id))
        except ResourceNotFound:  # it was deleted meanwhile
            return self._refuse(request, refusals.LINK_GONE)
        return self._to_session(link, session)

    def _to_session(self, link: Link, session: SessionResource) -> Response:
        response = RedirectResponse(f"/checkout/{session['id']}", 303, {"Cache-Control": "no-store"})
        now = self._clock(session["livemode"])
        visits.remember(response, link.slug, session, now, is_secure=self._site.is_https)
        return response

    def _button(self, request: Request, link: Link, note: str) -> Response:
        """Show a link with a button; `note` is the key of the sentence above it."""
        if not link.active:
            raise LinkInactive("the link is switched off")
        chosen = request.query_params.get(visitors.LANGUAGE, "")
        return self._renderer.render(
            "link.html",
            visitors.translations_for(request),
            path=_path(request),
            has_form=True,
            query={visitors.LANGUAGE: chosen} if chosen in LANGUAGES else {},
            link=link,
            price=price_of(link),
            note=note,
        )

    def _refuse(self, request: Request, refusal: refusals.RefusalPage) -> Response:
        return refusals.render(self._renderer, visitors.translations_for(request), refusal, _path(request))


def _path(request: Request) -> str:
    return quote(request.scope["path"])
