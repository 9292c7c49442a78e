"""The payer's routes. What is shown is decided in `view`, who is asking in `visitors`; here both meet HTTP."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from urllib.parse import parse_qsl, quote

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from crypto_checkout.core import moments
from crypto_checkout.core.errors import (
    CheckoutError,
    LinkInactive,
    RecoverableError,
    ResourceNotFound,
    RouteNotFound,
    SessionNotOpen,
)
from crypto_checkout.core.sandbox import Scenario
from crypto_checkout.http import body_limit, etags, origins
from crypto_checkout.http.checkout.renderer import CheckoutRenderer
from crypto_checkout.http.checkout.translations import LANGUAGES
from crypto_checkout.http.checkout.view import Code, PayerChain, public_part, view
from crypto_checkout.services.payer import Payers, PayerView

from . import choose, refusals, visitors, visits
from .visitors import LANGUAGE, words_of

_LOGO_TYPES = {
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
}

_LOGO_HEADERS = {
    # An SVG that is opened by itself is a document, and could bring scripts.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "public, max-age=600",
}

_PAY_PATH = "/test/pay"
_INSIST = "open"
_CODE = "qr"
_REFRESH = "refresh"
_A_YEAR_SECONDS = 366 * 86_400

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class PageBranding:
    """What payers see of the shop; an empty name and no logo leave only the amount."""

    name: str
    logo: Path | None


def system_clock(livemode: bool) -> datetime:  # noqa: ARG001 - both modes have the same time here
    """Read the clock of this machine."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class PayerServices:
    """All that the pages stand on.

    `limit` raises RateLimitExceeded, and so does `limit_sessions`, or LinkCrowded, where a request is about to make a
    session of the link with an id. `clock` tells the time of
    live (True) or test mode (False), whose time can be moved ahead; it must be the clock that `expiresAt` was taken
    from. `public_url` tells whether cookies need https.
    """

    sessions: Payers
    chains: Mapping[int, PayerChain]
    branding: PageBranding
    public_url: str
    limit: Callable[[Request], None]
    limit_sessions: Callable[[Request, str], None]
    allow_embedding_from: Sequence[str] = ()
    clock: Callable[[bool], datetime] = system_clock


@dataclass(frozen=True, slots=True)
class Site:
    """The payer's side: its routes, and what answers a browser that asks for a page that isn't there."""

    routes: list[Route]
    page_not_found: Callable[[Request], Response | None]


def site(checkout: PayerServices) -> Site:
    """Make the payer's side; the templates are compiled and the assets hashed as they are first used."""
    pages = _CheckoutPages(checkout)
    routes = [
        Route("/", pages.for_people(pages.front)),
        Route("/l/{slug}", pages.for_people(pages.link)),
        Route("/checkout/{id}", pages.for_people(pages.session)),
        Route("/checkout/{id}/status", pages.status),
        Route("/checkout/{id}" + choose.PATH, pages.for_people(pages.choices.page), methods=["GET"]),
        Route("/checkout/{id}" + choose.PATH, pages.for_people(pages.choices.choose), methods=["POST"]),
        Route("/checkout/{id}" + _PAY_PATH, pages.for_people(pages.pay_in_test_mode), methods=["POST"]),
    ]
    if checkout.branding.logo is not None:
        routes.append(Route("/branding/logo", pages.logo))
    return Site(routes, pages.not_found)


class _CheckoutPages:
    """The handlers, with what they stand on."""

    def __init__(self, checkout: PayerServices) -> None:
        self._checkout = checkout
        self._paper = CheckoutRenderer(
            shop_name=checkout.branding.name,
            has_logo=checkout.branding.logo is not None,
            allow_embedding_from=checkout.allow_embedding_from,
        )
        self._is_https = checkout.public_url.startswith("https:")
        self.choices = choose.ChoicePages(
            self._paper, checkout.sessions, lambda chain_id: self._face(chain_id).name, checkout.clock
        )

    def for_people(self, handler: Handler) -> Handler:
        """Limit a handler, and answer its errors with a page."""

        async def endpoint(request: Request) -> Response:
            try:
                self._checkout.limit(request)
                response = await handler(request)
            except (CheckoutError, RecoverableError) as error:
                response = refusals.page(self._paper, words_of(request), error, _page_of(request))
            self._keep_language(request, response)
            return response

        return endpoint

    async def front(self, request: Request) -> Response:
        """Say what this is to whoever opens the bare address."""
        return self._paper.page("front.html", words_of(request), path="/")

    def not_found(self, request: Request) -> Response | None:
        """Answer a browser with a page; None for programs, who get the API's error."""
        if request.scope["path"].startswith("/api/") or "text/html" not in request.headers.get("accept", ""):
            return None
        return refusals.page(self._paper, words_of(request), RouteNotFound("no such page"), "/")

    async def link(self, request: Request) -> Response:
        """Make a session and send the payer there; who only looks makes none."""
        slug = request.path_params["slug"]
        insists = _INSIST in request.query_params
        if visitors.only_looks(request.method, request.headers, insists=insists):
            link = await self._checkout.sessions.link(slug)
            if link is None:
                return refusals.show(self._paper, words_of(request), refusals.LINK_GONE, _page_of(request))
            if not link.active:
                raise LinkInactive("the link is switched off")
            path = _page_of(request)
            return self._paper.page("link.html", words_of(request), path=path, link=link, url=f"{path}?{_INSIST}")
        before = visits.known(request, slug, is_secure=self._is_https)
        try:
            session = await self._checkout.sessions.visit_link(
                slug, before, partial(self._checkout.limit_sessions, request)
            )
        except ResourceNotFound:
            return refusals.show(self._paper, words_of(request), refusals.LINK_GONE, _page_of(request))
        response = RedirectResponse(f"/checkout/{session['id']}", 303, {"Cache-Control": "no-store"})
        now = self._checkout.clock(session["livemode"])
        visits.remember(response, slug, session, now, is_secure=self._is_https)
        return response

    async def session(self, request: Request) -> Response:
        """Show what is to be paid, or what became of it."""
        seen = await self._checkout.sessions.look(request.path_params["id"])
        session = seen.session
        if self.choices.is_due(session):
            return await self.choices.ask(request, session)
        shown = view(
            session,
            chain=self._face(session["chainId"]),
            now=self._checkout.clock(session["livemode"]),
            code=_code(request),
            taken_back=seen.taken_back,
            chain_visible=seen.chain_visible,
        )
        response = self._paper.page(
            "session.html",
            words_of(request),
            path=_page_of(request),
            query=_query(request),
            view=shown,
            link=await self._checkout.sessions.link_of(session),
            version=etags.tag(_json(seen)),
        )
        if not session["livemode"]:
            # With no-referrer, browsers send `Origin: null` with the page's own form; on plain http nothing else
            # tells it from another site's (Fetch, "append a request Origin header").
            response.headers["Referrer-Policy"] = "same-origin"
        return response

    def _face(self, chain_id: int) -> PayerChain:
        return self._checkout.chains.get(chain_id) or PayerChain(f"chain {chain_id}", "")

    async def status(self, request: Request) -> Response:
        """Answer with the public part as JSON. Errors are left to the outer handler, which answers with JSON."""
        self._checkout.limit(request)
        seen = await self._checkout.sessions.look(request.path_params["id"])
        headers = {
            "Cache-Control": "no-cache",
            "X-Content-Type-Options": "nosniff",
            # Not `Date`, which tells the machine's time also where test mode's was moved.
            "X-Server-Time": moments.to_text(self._checkout.clock(seen.session["livemode"])),
        }
        return etags.answer(request, _json(seen), headers)

    async def pay_in_test_mode(self, request: Request) -> Response:
        """Pay with test money, as the button says that was pressed, then show the session again."""
        page = _page_of(request)
        if origins.is_cross_site(request.headers):
            return refusals.show(self._paper, words_of(request), refusals.CROSS_SITE, page)
        session = (await self._checkout.sessions.look(request.path_params["id"])).session
        if session["livemode"]:
            return refusals.show(self._paper, words_of(request), refusals.NOT_A_TEST, page)
        # A second click, or a page that was left open: the session's page says what happened.
        with suppress(SessionNotOpen):
            await self._checkout.sessions.pay_in_test_mode(session["id"], _scenario(await body_limit.read(request)))
        return RedirectResponse(page, 303, {"Cache-Control": "no-store"})

    def _keep_language(self, request: Request, response: Response) -> None:
        """Remember a language that was chosen; a redirect takes it along, for frames in which no cookie is kept."""
        asked = request.query_params.get(LANGUAGE)
        if asked is None or asked not in LANGUAGES:
            return
        response.set_cookie(
            LANGUAGE, asked, max_age=_A_YEAR_SECONDS, secure=self._is_https, httponly=True, samesite="lax"
        )
        if "location" in response.headers:
            response.headers["location"] += f"?{LANGUAGE}={asked}"

    async def logo(self, request: Request) -> Response:
        """Send the shop's logo."""
        logo = self._checkout.branding.logo
        if logo is None or not logo.is_file():
            return refusals.page(self._paper, words_of(request), RouteNotFound("there is no logo"), "/")
        media_type = _LOGO_TYPES.get(logo.suffix.lower(), "application/octet-stream")
        return FileResponse(logo, media_type=media_type, headers=_LOGO_HEADERS)


def _scenario(form: bytes) -> Scenario | None:
    """Read which button of the form was pressed; the one to pay has no scenario."""
    try:
        return Scenario(dict(parse_qsl(form.decode("ascii", "replace"))).get("scenario", ""))
    except ValueError:
        return None


def _page_of(request: Request) -> str:
    """Give the path of the page that a request is about, fit for a link."""
    return quote(request.scope["path"]).removesuffix(_PAY_PATH)


def _code(request: Request) -> Code | None:
    try:
        return Code(request.query_params.get(_CODE, ""))
    except ValueError:
        return None


def _query(request: Request) -> dict[str, str]:
    """Keep of a page's query what it understands."""
    given = request.query_params
    known = {
        LANGUAGE: given.get(LANGUAGE) in LANGUAGES,
        _CODE: _code(request) is not None,
        _REFRESH: given.get(_REFRESH) == "off",
    }
    return {name: given[name] for name, is_known in known.items() if is_known}


def _json(seen: PayerView) -> bytes:
    body = {**public_part(seen.session), "takenBack": seen.taken_back, "chainVisible": seen.chain_visible}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
