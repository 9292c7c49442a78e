"""The page of a payment link: a visit creates a session and leads to it; a preview, and a crowded link, show a button.

The button sends a POST of this page's own, which neither a scanner nor another site's page can bring about.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from crypto_checkout.core.errors import LinkCrowded, LinkInactive, ResourceNotFound
from crypto_checkout.http import origins
from crypto_checkout.http.checkout.renderer import CheckoutRenderer
from crypto_checkout.http.checkout.translations import LANGUAGES
from crypto_checkout.http.rate_limit import LinkLimit
from crypto_checkout.services.payer import Payers

from . import refusals, visitors, visits
from .preview_pages import price_of
from .view import web_url


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
    """Handlers of a link's page; `clock` is that of the other pages."""

    def __init__(
        self, renderer: CheckoutRenderer, payers: Payers, clock: Callable[[bool], datetime], site: LinkSite
    ) -> None:
        self._renderer = renderer
        self._payers = payers
        self._clock = clock
        self._site = site
        self._limit = LinkLimit()

    async def visit(self, request: Request) -> Response:
        """Create a session and redirect the payer to it, unless this is no visit or the link is crowded."""
        is_preview = visitors.is_preview(request.method, request.headers, is_https=self._site.is_https)
        if is_preview or visitors.is_foreign_frame(request.headers, self._site.framed_by):
            return await self._button(request, "link_next")
        try:
            return await self._lead_to_session(request, self._limit.visit)
        except LinkCrowded:
            return await self._button(request, "crowded_continue")

    async def press(self, request: Request) -> Response:
        """Create a session for someone who pressed the button, of a crowded link too, and redirect them to it."""
        if origins.is_cross_site(request.headers, self._site.public_url):
            return self._refuse(request, refusals.CROSS_SITE)
        return await self._lead_to_session(request, self._limit.insist)

    async def way_back(self, request: Request) -> str | None:
        """Return where a link's payers go who can't pay; None if the link names no such page."""
        link = await self._payers.link(request.path_params["slug"])
        url = None if link is None else web_url(link.cancel_url, "")
        return url if link is not None and url == link.cancel_url else None  # not one that wants a session's id

    async def _lead_to_session(self, request: Request, count: Callable[[str, str], None]) -> Response:
        slug, address = request.path_params["slug"], request.scope["client_address"]
        before = visits.recall(request, slug, is_secure=self._site.is_https)
        try:
            session = await self._payers.visit_link(slug, before, lambda link_id: count(address, link_id))
        except ResourceNotFound:
            return self._refuse(request, refusals.LINK_GONE)
        response = RedirectResponse(f"/checkout/{session['id']}", 303, {"Cache-Control": "no-store"})
        now = self._clock(session["livemode"])
        visits.remember(response, slug, session, now, is_secure=self._site.is_https)
        return response

    async def _button(self, request: Request, note: str) -> Response:
        """Show the link with a button; `note` is the key of the sentence above it."""
        link = await self._payers.link(request.path_params["slug"])
        if link is None:
            return self._refuse(request, refusals.LINK_GONE)
        if not link.active:
            raise LinkInactive("the link is switched off")
        chosen = request.query_params.get(visitors.LANGUAGE, "")
        response = self._renderer.render(
            "link.html",
            visitors.translations_for(request),
            path=_path(request),
            query={visitors.LANGUAGE: chosen} if chosen in LANGUAGES else {},
            link=link,
            price=price_of(link),
            note=note,
        )
        # With no-referrer, browsers send `Origin: null` with the page's own form; see `http.checkout.pages`.
        response.headers["Referrer-Policy"] = "same-origin"
        return response

    def _refuse(self, request: Request, refusal: refusals.RefusalPage) -> Response:
        return refusals.render(self._renderer, visitors.translations_for(request), refusal, _path(request))


def _path(request: Request) -> str:
    return quote(request.scope["path"])
