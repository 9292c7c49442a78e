"""The routes of the payer's pages. `view` decides the content of a page, `visitors` tells payers from bots."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from crypto_checkout.core import moments
from crypto_checkout.core.checkout.wallet_apps import links_to
from crypto_checkout.core.errors import (
    CheckoutError,
    LinkInactive,
    LinkSoldOut,
    RateLimitExceeded,
    RecoverableError,
    RouteNotFound,
    SessionNotOpen,
)
from crypto_checkout.core.public.render import json_bytes
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.core.sandbox import Scenario
from crypto_checkout.http import body_limit, etags, origins
from crypto_checkout.http.checkout.branding import logos
from crypto_checkout.http.checkout.branding.shop import LOGO_PATH, Branding
from crypto_checkout.http.checkout.link_page import LinkPages, LinkSite
from crypto_checkout.http.checkout.receipt import pages as receipt
from crypto_checkout.http.checkout.renderer import CheckoutRenderer
from crypto_checkout.http.checkout.translations import LANGUAGES
from crypto_checkout.http.checkout.view import Code, PayerChain, Phase, View, public_part, view, web_url
from crypto_checkout.http.checkout.visitors import LANGUAGE, is_bot, translations_for
from crypto_checkout.http.entry import kept_answers
from crypto_checkout.http.entry.kept_answers import Count
from crypto_checkout.http.poll_pace import PollPace
from crypto_checkout.http.rate_limit import LinkLimit
from crypto_checkout.services.checkout.rendered import RenderedSession
from crypto_checkout.services.payer import Payers, PayerView
from crypto_checkout.services.receipts.payer import PayerReceipts
from crypto_checkout.services.refunds.claims import Claims

from . import arrivals, choose, details, preview_pages, refund, refusals
from .branding import colors

_COLORS_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "public, max-age=31536000, immutable"}

_STATUS_HEADERS = ((b"cache-control", b"no-cache"), (b"x-content-type-options", b"nosniff"))

_PAY_PATH = "/test/pay"
_CODE = "qr"
_REFRESH = "refresh"
_A_YEAR_SECONDS = 366 * 86_400
_COUNTED = "counted_poll"

Handler = Callable[[Request], Awaitable[Response]]


def system_clock(livemode: bool) -> datetime:  # noqa: ARG001 - the same in both modes
    """Return this machine's time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class PayerServices:
    """The services and settings of the payer's pages.

    `limit` and `limit_polls` raise RateLimitExceeded. `clock` returns the time of live (True) or test mode (False),
    which can be moved ahead; it must be the clock behind `expiresAt`. `public_url` tells whether cookies are restricted
    to https, and from where forms may come; `opens_on_phones` whether it is https and leads here from anywhere, so that
    wallet apps can open it.
    """

    sessions: Payers
    claims: Claims
    receipts: PayerReceipts
    chains: Mapping[int, PayerChain]
    branding: Branding
    public_url: str
    limit: Callable[[Request], None]
    limit_polls: Callable[[Request], None]
    limit_visits: LinkLimit
    poll_pace: PollPace = field(default_factory=PollPace)
    opens_on_phones: bool = False
    allow_embedding_from: Sequence[str] = ()
    clock: Callable[[bool], datetime] = system_clock


@dataclass(frozen=True, slots=True)
class Site:
    """The routes of the payer's pages, and the answer to browsers for pages that don't exist."""

    routes: list[Route]
    page_not_found: Callable[[Request], Response | None]


def site(checkout: PayerServices) -> Site:
    """Return the payer's pages; templates are compiled and assets hashed at their first use."""
    pages = _CheckoutPages(checkout)
    routes = [
        Route("/", pages.for_people(pages.front)),
        Route("/l/{slug}", pages.for_people(pages.links.visit), methods=["GET"]),
        Route("/l/{slug}", pages.for_people(pages.links.press), methods=["POST"]),
        Route("/l/{slug}" + preview_pages.PATH, pages.for_people(pages.previews.of_link)),
        Route("/checkout/{id}", pages.for_people(pages.session)),
        Route("/checkout/{id}" + preview_pages.PATH, pages.for_people(pages.previews.of_session)),
        Route("/checkout/{id}/status", pages.status),
        Route("/checkout/{id}" + details.PATH, pages.for_people(pages.details.page), methods=["GET"]),
        Route("/checkout/{id}" + details.PATH, pages.for_people(pages.details.fill_in), methods=["POST"]),
        Route("/checkout/{id}" + choose.PATH, pages.for_people(pages.choices.page), methods=["GET"]),
        Route("/checkout/{id}" + choose.PATH, pages.for_people(pages.choices.choose), methods=["POST"]),
        Route("/checkout/{id}" + refund.PATH, pages.for_people(pages.refunds.page), methods=["GET"]),
        Route("/checkout/{id}" + refund.PATH, pages.for_people(pages.refunds.act), methods=["POST"]),
        Route("/checkout/{id}" + receipt.PATH, pages.for_people(pages.receipts.page)),
        Route("/checkout/{id}" + receipt.SIGNED_PATH, pages.for_people(pages.receipts.signed)),
        Route(receipt.KEYS_PATH, pages.for_people(pages.receipts.keys)),
        Route("/checkout/{id}" + _PAY_PATH, pages.for_people(pages.pay_in_test_mode), methods=["POST"]),
        Route("/checkout/{id}" + _PAY_PATH, pages.to_session, methods=["GET"]),
    ]
    if checkout.branding.logo is not None:
        routes.append(Route(LOGO_PATH, pages.logo))
    if checkout.branding.color:
        routes.append(Route(colors.PATH, pages.colors))
    return Site(routes, pages.not_found)


class _CheckoutPages:
    """The handlers."""

    def __init__(self, checkout: PayerServices) -> None:
        self._checkout = checkout
        self._renderer = CheckoutRenderer(
            branding=checkout.branding,
            public_url=checkout.public_url,
            allow_embedding_from=checkout.allow_embedding_from,
        )
        self._is_https = checkout.public_url.startswith("https:")
        site = LinkSite(checkout.public_url, frozenset(checkout.allow_embedding_from))
        self.links = LinkPages(self._renderer, checkout.sessions, checkout.clock, site, checkout.limit_visits)
        self.previews = preview_pages.PreviewPages(checkout.sessions, checkout.branding)
        self.details = details.DetailsPages(self._renderer, checkout.sessions, checkout.public_url)
        self.choices = choose.ChoicePages(
            self._renderer,
            checkout.sessions,
            lambda chain_id: self._chain(chain_id).name,
            checkout.clock,
            checkout.public_url,
            self._ways_out,
        )
        self.refunds = refund.RefundPages(
            self._renderer, checkout.claims, lambda chain_id: self._chain(chain_id).name, checkout.public_url
        )
        self.receipts = receipt.ReceiptPages(self._renderer, checkout.receipts, self._chain)

    def for_people(self, handler: Handler) -> Handler:
        """Apply the rate limit to a handler, and answer its errors with a page."""

        async def endpoint(request: Request) -> Response:
            try:
                self._checkout.limit(request)
                response = await handler(request)
            except (CheckoutError, RecoverableError) as error:
                back = await self.links.way_back(request) if isinstance(error, LinkInactive | LinkSoldOut) else None
                response = refusals.render_error(
                    self._renderer, translations_for(request), error, _page_of(request), back
                )
            self._keep_language(request, response)
            return response

        return endpoint

    async def front(self, request: Request) -> Response:
        """Show the page at `/`."""
        return self._renderer.render("front.html", translations_for(request), path="/")

    def not_found(self, request: Request) -> Response | None:
        """Answer a browser with a page; None for programs, which get the API's error."""
        if request.scope["path"].startswith("/api/") or "text/html" not in request.headers.get("accept", ""):
            return None
        return refusals.render_error(self._renderer, translations_for(request), RouteNotFound("no such page"), "/")

    async def session(self, request: Request) -> Response:
        """Show a session: the payment to make, or its outcome."""
        payer_view = await self._checkout.sessions.view(request.path_params["id"])
        session, words = payer_view.session, translations_for(request)
        asked = await self.details.ask(request, session)
        if asked is not None:
            return asked
        if not is_bot(request.headers.get("user-agent", "")):
            await self._checkout.receipts.note_language(session, words.code)
        if self.choices.is_due(session):
            return await self.choices.ask(request, session)
        shown = view(
            session,
            chain=self._chain(session["chainId"]),
            now=self._checkout.clock(session["livemode"]),
            code=_code(request),
            taken_back=payer_view.taken_back,
            chain_visible=payer_view.chain_visible,
        )
        came = arrivals.arrivals(payer_view.receipts, self._checkout.chains)
        page = arrivals.SessionPage(
            view=shown,
            app_links=self._app_links(request, session, shown),
            link=await self._checkout.sessions.link_of(session),
            may_correct=self.details.may_correct(request, session),
            arrivals=came,
            refund=await self.refunds.offer(session["id"]) if came.has_wrong or not shown.asks else arrivals.NO_REFUND,
            version=etags.tag(_json(payer_view)),
        )
        return self._renderer.render(
            "session.html",
            words,
            path=_page_of(request),
            query=_query(request),
            has_form=not session["livemode"],
            **page.context(),
        )

    async def _ways_out(self, session_id: str) -> refusals.Ways:
        """Return what a payer who can't go on is told: what came, the refunds, and where the shop is."""
        current = await self._checkout.sessions.view(session_id)
        urls = (current.session["returnUrl"], current.session["cancelUrl"])
        return refusals.Ways(
            back_url=next(filter(None, (web_url(url, session_id) for url in urls)), None),
            arrivals=arrivals.arrivals(current.receipts, self._checkout.chains),
            refund=await self.refunds.offer(session_id),
        )

    def _app_links(self, request: Request, session: SessionResource, shown: View) -> Mapping[str, str]:
        """Return links that open the page in wallet apps, in the language that the payer chose; none in test mode.

        After a reorg the page shows on request how to pay again.
        """
        may_pay = shown.asks or shown.phase is Phase.REORGED
        if not self._checkout.opens_on_phones or not shown.livemode or not may_pay:
            return {}
        code = request.query_params.get(LANGUAGE) or request.cookies.get(LANGUAGE)
        return links_to(session["checkoutUrl"] + (f"?{LANGUAGE}={code}" if code in LANGUAGES else ""))

    def _chain(self, chain_id: int) -> PayerChain:
        return self._checkout.chains.get(chain_id) or PayerChain(f"chain {chain_id}", "")

    async def status(self, request: Request) -> Response:
        """Answer with the session's public fields as JSON; errors are JSON, too."""
        counted: dict[bytes, bytes] | None = request.scope.get(_COUNTED)
        if counted is None:
            self._checkout.limit_polls(request)
        session_id = request.path_params["id"]
        payer_view = await self._checkout.sessions.view(session_id)
        body = _json(payer_view)
        varying = self._vary(payer_view.session["livemode"]) if counted is None else counted

        async def holds() -> bool:
            return _json(await self._checkout.sessions.view(session_id)) == body

        kept_answers.allow(request.scope, self._count_poll(payer_view, len(varying)), holds, tuple(varying), body)
        return etags.answer(request, body, [*_STATUS_HEADERS, *varying.items()])

    def _vary(self, livemode: bool) -> dict[bytes, bytes]:
        """Count a poll; return the headers of its answer that vary, of which the pause is there in a crowd only."""
        # Not `Date`, which is the machine's time even where test mode's clock was moved.
        time = {b"x-server-time": moments.to_text(self._checkout.clock(livemode)).encode()}
        pause = self._checkout.poll_pace.seconds()
        return time if pause is None else {**time, b"x-poll-seconds": b"%d" % pause}

    def _count_poll(self, told: PayerView, headers: int) -> Count:
        """Return what counts a poll whose answer is kept, while the chain is seen as it was then."""
        checkout, is_visible = self._checkout, told.chain_visible
        chain_id, livemode = told.session["chainId"], told.session["livemode"]

        def count(scope: Scope) -> dict[bytes, bytes] | None:
            if checkout.sessions.sees(chain_id) != is_visible:
                return None
            try:
                checkout.limit_polls(Request(scope))
            except RateLimitExceeded:
                return None
            varying = scope[_COUNTED] = self._vary(livemode)
            return varying if len(varying) == headers else None

        return count

    async def pay_in_test_mode(self, request: Request) -> Response:
        """Pay with test money, by the scenario of the button pressed, and show the session again."""
        page = _page_of(request)
        if origins.is_cross_site(request.headers, self._checkout.public_url):
            return refusals.render(self._renderer, translations_for(request), refusals.CROSS_SITE, page)
        session = (await self._checkout.sessions.view(request.path_params["id"])).session
        if session["livemode"]:
            return refusals.render(self._renderer, translations_for(request), refusals.NOT_A_TEST, page)
        # After a second click, or on a page left open, the session's page tells what happened.
        with suppress(SessionNotOpen):
            await self._checkout.sessions.pay_in_test_mode(
                session["id"], _scenario(await body_limit.read_form(request))
            )
        return RedirectResponse(page, 303, {"Cache-Control": "no-store"})

    async def to_session(self, request: Request) -> Response:
        """Lead whoever opens a form's address, as on a page that was refused, back to the session."""
        return RedirectResponse(_page_of(request), 303, {"Cache-Control": "no-store"})

    def _keep_language(self, request: Request, response: Response) -> None:
        """Keep the chosen language in a cookie, and in redirects, for frames without cookies."""
        code = request.query_params.get(LANGUAGE)
        if code is None or code not in LANGUAGES:
            return
        response.set_cookie(
            LANGUAGE, code, max_age=_A_YEAR_SECONDS, secure=self._is_https, httponly=True, samesite="lax"
        )
        if "location" in response.headers:
            response.headers["location"] += f"?{LANGUAGE}={code}"

    async def logo(self, request: Request) -> Response:
        """Send the shop's logo."""
        logo = self._checkout.branding.logo
        if logo is None or not logo.is_file():
            return refusals.render_error(
                self._renderer, translations_for(request), RouteNotFound("there is no logo"), "/"
            )
        return FileResponse(logo, media_type=logos.media_type(logo), headers=logos.HEADERS)

    async def colors(self, _: Request) -> Response:
        """Send the stylesheet of the shop's color."""
        return Response(self._checkout.branding.stylesheet, media_type="text/css", headers=_COLORS_HEADERS)


def _scenario(form: Mapping[str, str]) -> Scenario | None:
    """Return the scenario of the button pressed; the one to pay has none."""
    try:
        return Scenario(form.get("scenario", ""))
    except ValueError:
        return None


def _page_of(request: Request) -> str:
    """Return the path of the session's or link's page, quoted for a link."""
    return quote(request.scope["path"]).removesuffix(_PAY_PATH)


def _code(request: Request) -> Code | None:
    try:
        return Code(request.query_params.get(_CODE, ""))
    except ValueError:
        return None


def _query(request: Request) -> dict[str, str]:
    """Return the known parameters of a page's query."""
    given = request.query_params
    known = {
        LANGUAGE: given.get(LANGUAGE) in LANGUAGES,
        _CODE: _code(request) is not None,
        _REFRESH: given.get(_REFRESH) == "off",
    }
    return {name: given[name] for name, is_known in known.items() if is_known}


def _json(current: PayerView) -> bytes:
    write = _kept_json if current.rendered.is_small else _written
    return write(current.rendered, len(current.receipts.unmatched), current.taken_back, current.chain_visible)


def _written(rendered: RenderedSession, unmatched: int, taken_back: bool, chain_visible: bool) -> bytes:
    body = {
        **public_part(rendered.resource),
        "takenBack": taken_back,
        "unmatched": unmatched,
        "chainVisible": chain_visible,
    }
    return json_bytes(body)


# Open pages ask every 2.5 s for what rarely changes.
_kept_json = lru_cache(maxsize=2_000)(_written)
