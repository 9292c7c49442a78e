"""From the table of pages to answers: find the mode, guard writes, let in, read the form, answer; for every page."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from crypto_checkout.core.errors import CheckoutError, RecoverableError
from crypto_checkout.core.owner.account import Login
from crypto_checkout.http import body_limit, errors, origins
from crypto_checkout.http.dashboard.frame import forms
from crypto_checkout.http.dashboard.frame.cookies import Cookies
from crypto_checkout.http.dashboard.frame.renderer import Renderer
from crypto_checkout.http.dashboard.frame.request import PREFIX, TEST, DashboardRequest
from crypto_checkout.http.dashboard.frame.services import DashboardServices
from crypto_checkout.http.dashboard.frame.throttle import Throttle
from crypto_checkout.http.rate_limit import page_limit
from crypto_checkout.services.owner.sign_in import Credentials, LoginEnded

Handler = Callable[[DashboardRequest], Awaitable[Response]]


class Access(Enum):
    """Who may see a page: anybody, who is signed in, or who gave the password lately."""

    ANYBODY = auto()
    SIGNED_IN = auto()
    CONFIRMED = auto()


@dataclass(frozen=True, slots=True)
class DashboardPage:
    """One page, or what one of its forms does; `path` is relative to the dashboard's."""

    method: Literal["GET", "POST"]
    path: str
    answer: Handler
    access: Access = Access.SIGNED_IN


PASSWORD, CODE = "current_password", "current_code"
"""The fields in which a form for confirmed pages may bring the password, and the code of a second factor."""

# A new password, and where an extended public key belongs and somebody may paste the words of a wallet.
_NOT_REPEATED = {PASSWORD, CODE, "password", "again", "xpub"}


class Dashboard:
    """The routes of a table of pages."""

    def __init__(
        self, desk: DashboardServices, pages: Sequence[DashboardPage], menus: Mapping[str, Sequence[tuple[str, str]]]
    ) -> None:
        self._desk = desk
        self._pages = pages
        there = {page.path for page in pages if page.method == "GET"}
        self._paper = Renderer({name: [entry for entry in menu if entry[1] in there] for name, menu in menus.items()})
        site = urlsplit(desk.public_url)
        self._cookies = Cookies(is_https=site.scheme == "https")
        self._hosts = frozenset({site.netloc.lower()})
        self._throttle = Throttle(desk.sign_in)
        self._limit = page_limit()

    def routes(self) -> list[Route]:
        """Return the routes, for live and for test mode; the last takes what isn't there."""
        by_path: dict[str, dict[str, DashboardPage]] = {}
        for page in self._pages:
            by_path.setdefault("" if page.path == "/" else page.path, {})[page.method] = page
        found = [
            self._route(PREFIX + mode + path, by_method, livemode=not mode)
            for mode in ("", TEST)
            for path, by_method in by_path.items()
        ]
        return [*found, self._route(PREFIX + "/{rest:path}", {}, livemode=True)]

    def _route(self, path: str, by_method: Mapping[str, DashboardPage], *, livemode: bool) -> Route:
        async def handle(request: Request) -> Response:
            page = by_method.get("GET" if request.method == "HEAD" else request.method)
            visit = DashboardRequest(self._desk, self._paper, self._cookies, self._throttle, request, None, livemode)
            try:
                return await self._answer(visit, page)
            except LoginEnded:
                return self._to_sign_in(visit)
            except (CheckoutError, RecoverableError) as error:
                return problem(visit, error)

        route = Route(path, handle)
        route.methods = None  # any method comes here, so that a wrong one gets a page too
        return route

    async def _answer(self, visit: DashboardRequest, page: DashboardPage | None) -> Response:
        if visit.request.method not in {"GET", "HEAD"} and origins.is_cross_site(visit.request.headers, self._hosts):
            return visit.show(
                "problem.html",
                status=403,
                title="This came from another site",
                text="Nothing was done. Use the form on the page itself.",
            )
        visit.login = await self._login(visit)
        if visit.login is None:
            self._limit(visit.request)
        if page is None or page.access is not Access.ANYBODY:
            if visit.login is None:
                return self._to_sign_in(visit)
            if page is None:
                return _nothing_here(visit)
            if (there := self._other_mode(visit)) is not None:
                return there
        if page.method == "POST":
            raw = await body_limit.read(visit.request)
            visit.form = forms.parse(raw, visit.request.headers.get("content-type", ""))
            await self._look_again(visit)
        if page.access is Access.CONFIRMED and not visit.is_confirmed and (asked := await _confirm(visit)) is not None:
            return asked
        return await page.answer(visit)

    async def _login(self, visit: DashboardRequest) -> Login | None:
        token = self._cookies.login(visit.request)
        return await self._desk.sign_in.login(token) if token else None

    async def _look_again(self, visit: DashboardRequest) -> None:
        """See whether the login still is there after the body, which may have come slowly. Raises LoginEnded."""
        if visit.login is not None:
            visit.login = await self._login(visit)
            if visit.login is None:
                raise LoginEnded

    def _other_mode(self, visit: DashboardRequest) -> Response | None:
        """Lead away from a mode that this server doesn't have to the one that it has."""
        if self._desk.payment_methods.has(livemode=visit.livemode) or not self._desk.payment_methods.has(
            livemode=not visit.livemode
        ):
            return None
        if visit.request.method == "POST":
            return None
        there = visit.request.scope["path"].removeprefix(PREFIX).removeprefix(TEST)
        return RedirectResponse(visit.url(there, visit.query, livemode=not visit.livemode), 303)

    def _to_sign_in(self, visit: DashboardRequest) -> Response:
        if visit.request.method not in {"GET", "HEAD"}:
            return visit.go("/sign-in", "Nothing was done: your login had ended. Sign in again.", livemode=True)
        asked = full_path(visit.request)
        return RedirectResponse(visit.url("/sign-in", {"next": "" if asked == PREFIX else asked}, livemode=True), 303)


def problem(visit: DashboardRequest, error: Exception) -> Response:
    """Answer an error with a page that says it in words."""
    if not isinstance(error, CheckoutError):
        return visit.show(
            "problem.html",
            status=503,
            title="That did not work just now",
            text="Something that this page needs gave no answer. Nothing was changed; try again in a moment.",
        )
    status = errors.STATUS[error.code]
    titles = {404: "There is nothing here", 429: "Too many attempts", 503: "That is not possible right now"}
    title = titles.get(status, "That did not work")
    response = visit.show("problem.html", status=status, title=title, text=error.message)
    response.headers.update(errors.headers(error))
    return response


def _nothing_here(visit: DashboardRequest) -> Response:
    path = visit.request.scope["path"]
    if path.endswith("/"):
        return RedirectResponse(quote(path.rstrip("/")), 303)
    return visit.show(
        "problem.html",
        status=404 if visit.request.method in {"GET", "HEAD"} else 405,
        title="There is nothing here",
        text="Check the address, or go on with the navigation.",
    )


async def _confirm(visit: DashboardRequest) -> Response | None:
    """Have the password given again before what is asked for; None once it was. What was filled in is kept."""
    assert visit.login is not None, "only pages for who is signed in ask for it"
    if visit.form.has(PASSWORD):
        if await password_is_right(visit, visit.login):
            return None
        visit.form.mistakes[PASSWORD] = "This is not right."
    if visit.request.method == "POST":
        action = quote(visit.request.scope["path"])
        kept = [(name, value) for name, values in visit.form.fields.items() for value in values]
    else:
        action = visit.url("/confirm")
        kept = [("next", full_path(visit.request))]
    account = await visit.desk.sign_in.account()
    has_totp = account is not None and account.totp_secret is not None
    kept = [(name, value) for name, value in kept if name not in _NOT_REPEATED]
    return visit.show("confirm.html", status=403, action=action, kept=kept, has_totp=has_totp)


async def password_is_right(visit: DashboardRequest, login: Login) -> bool:
    """Tell whether the form brings the password, counting the attempt. Raises RateLimitExceeded."""
    browser = visit.cookies.browser(visit.request)
    await visit.throttle.count(visit.request.scope, browser)
    credentials = Credentials(visit.form.value(PASSWORD), visit.form.value(CODE))
    is_right = await visit.desk.sign_in.confirm(login, credentials)
    if is_right:
        visit.throttle.forgive(visit.browser.address, browser)
    return is_right


def full_path(request: Request) -> str:
    """Return the path with its query, to come back to."""
    query = request.scope["query_string"].decode("ascii", "replace")
    return quote(request.scope["path"]) + (f"?{query}" if query else "")
