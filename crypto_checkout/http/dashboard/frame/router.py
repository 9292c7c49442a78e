"""Routes for the table of pages.

Every request goes the same way: reject writes from other sites, load the login, redirect to the sign-in, read the form,
ask for the password again where the page needs it, and call the handler.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from crypto_checkout.core.errors import CheckoutError, OutcomeUnknown, RecoverableError
from crypto_checkout.core.owner.account import Login
from crypto_checkout.http import body_limit, errors, origins, slashes
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
    """The condition for access to a page: none, a login, or a login whose password was entered recently."""

    ANYBODY = auto()
    SIGNED_IN = auto()
    CONFIRMED = auto()


@dataclass(frozen=True, slots=True)
class DashboardPage:
    """A page, or the target of one of its forms; `path` is relative to the dashboard's."""

    method: Literal["GET", "POST"]
    path: str
    handler: Handler
    access: Access = Access.SIGNED_IN


PASSWORD, CODE = "current_password", "current_code"
"""Form fields that confirm the password, and the code of the second factor."""

# Never sent back in a hidden field: passwords, and fields into which a wallet's seed phrase may be pasted by mistake.
_NOT_REPEATED = {PASSWORD, CODE, "password", "again", "xpub", "cold_address"}


class Dashboard:
    """The routes of a table of pages."""

    def __init__(
        self,
        services: DashboardServices,
        pages: Sequence[DashboardPage],
        menus: Mapping[str, Sequence[tuple[str, str]]],
    ) -> None:
        self._services = services
        self._pages = pages
        paths = {page.path for page in pages if page.method == "GET"}
        self._renderer = Renderer(
            {name: [entry for entry in menu if entry[1] in paths] for name, menu in menus.items()}
        )
        self._cookies = Cookies(is_https=services.public_url.startswith("https:"))
        self._throttle = Throttle(services.owner.sign_in, services.db.processes)
        self._limit = page_limit(services.db.processes)

    def routes(self) -> list[Route]:
        """Return the routes of live and test mode; the last one of each answers 404."""
        by_path: dict[str, dict[str, DashboardPage]] = {}
        for page in self._pages:
            by_path.setdefault("" if page.path == "/" else page.path, {})[page.method] = page
        routes = [
            self._route(PREFIX + mode + path, by_method, livemode=not mode)
            for mode in ("", TEST)
            for path, by_method in by_path.items()
        ]
        others = [self._route(PREFIX + mode + "/{rest:path}", {}, livemode=not mode) for mode in (TEST, "")]
        return [*routes, *others]

    def _route(self, path: str, by_method: Mapping[str, DashboardPage], *, livemode: bool) -> Route:
        async def handle(http: Request) -> Response:
            if http.method in {"GET", "HEAD"} and http.scope["path"].endswith("/"):
                return slashes.without(http)
            page = by_method.get("GET" if http.method == "HEAD" else http.method)
            request = DashboardRequest(
                self._services, self._renderer, self._cookies, self._throttle, http, None, livemode
            )
            try:
                return await self._answer(request, page)
            except LoginEnded:
                return self._to_sign_in(request)
            except (CheckoutError, RecoverableError) as error:
                return problem(request, error)

        route = Route(path, handle)
        route.methods = None  # every method, so that a wrong one is answered with a page, too
        return route

    async def _answer(self, request: DashboardRequest, page: DashboardPage | None) -> Response:
        is_door = page is not None and page.access is Access.ANYBODY
        if is_door and origins.is_plain_http(request.http.headers, self._services.public_url):
            return _over_https(request)
        return await self._checked(request, page)

    async def _checked(self, request: DashboardRequest, page: DashboardPage | None) -> Response:
        if request.http.method not in {"GET", "HEAD"} and origins.is_cross_site(
            request.http.headers, self._services.public_url
        ):
            return request.render(
                "problem.html",
                status=403,
                title="Request from another site",
                text="Nothing was changed. Use the form on the page itself.",
            )
        request.login = await self._login(request)
        if request.login is None:
            self._limit(request.http)
        if page is None or page.access is not Access.ANYBODY:
            if request.login is None:
                return self._to_sign_in(request)
            if page is None:
                return _not_found(request)
            if (redirect := self._redirect_to_other_mode(request)) is not None:
                return redirect
        if page.method == "POST":
            raw = await body_limit.read(request.http)
            request.form = forms.parse(raw, request.http.headers.get("content-type", ""))
            await self._recheck_login(request)
        if (
            page.access is Access.CONFIRMED
            and not request.is_confirmed
            and (form := await _confirm(request)) is not None
        ):
            return form
        return await page.handler(request)

    async def _login(self, request: DashboardRequest) -> Login | None:
        token = self._cookies.login(request.http)
        return await self._services.owner.sign_in.login(token) if token else None

    async def _recheck_login(self, request: DashboardRequest) -> None:
        """Load the login again after the body, which may have arrived slowly. Raises LoginEnded."""
        if request.login is not None:
            request.login = await self._login(request)
            if request.login is None:
                raise LoginEnded

    def _redirect_to_other_mode(self, request: DashboardRequest) -> Response | None:
        """Redirect from a mode that isn't configured to the one that is; None otherwise."""
        if self._services.checkout.payment_methods.has(
            livemode=request.livemode
        ) or not self._services.checkout.payment_methods.has(livemode=not request.livemode):
            return None
        if request.http.method == "POST":
            return None
        path = request.http.scope["path"].removeprefix(PREFIX).removeprefix(TEST)
        return RedirectResponse(request.url(path, request.query_params, livemode=not request.livemode), 303)

    def _to_sign_in(self, request: DashboardRequest) -> Response:
        if request.http.method not in {"GET", "HEAD"}:
            return request.redirect(
                "/sign-in", "Nothing was changed: your session had ended. Please sign in again.", livemode=True
            )
        target = full_path(request.http)
        return RedirectResponse(
            request.url("/sign-in", {"next": "" if target == PREFIX else target}, livemode=True), 303
        )


def problem(request: DashboardRequest, error: Exception) -> Response:
    """Answer an error with a page."""
    if isinstance(error, OutcomeUnknown):
        return request.render(
            "problem.html",
            status=503,
            title="It isn't known whether this was done",
            text="The server lost its database while it stored this, and can't tell whether it did. Look whether it "
            "was done before you do it again.",
        )
    if not isinstance(error, CheckoutError):
        return request.render(
            "problem.html",
            status=503,
            title="Temporarily unavailable",
            text="A service this page needs did not respond. Nothing was changed. Try again in a moment.",
        )
    status = errors.status(type(error))
    titles = {404: "Page not found", 429: "Too many attempts", 503: "Not available right now"}
    title = titles.get(status, "That didn't work")
    response = request.render("problem.html", status=status, title=title, text=error.message)
    response.headers.update(errors.headers(error))
    return response


def _not_found(request: DashboardRequest) -> Response:
    return request.render(
        "problem.html",
        status=404 if request.http.method in {"GET", "HEAD"} else 405,
        title="Page not found",
        text="Check the address, or use the menu.",
        back="/",
    )


def _over_https(request: DashboardRequest) -> Response:
    """Lead a browser that came by http, and would lose its login at once, to the public address."""
    public_url, (_, port) = request.services.public_url, request.http.scope["server"]
    form = urlsplit(request.http.headers.get("referer", ""))
    # The page of the form, whose query may have the token of the set-up link.
    is_form = request.http.method == "POST" and form.path.startswith(f"{PREFIX}/")
    path = f"{form.path}?{form.query}" if is_form and form.query else full_path(request.http)
    return request.render(
        "plain_http.html",
        status=403,
        address=public_url + path,
        public_url=public_url,
        port=port,
    )


async def _confirm(request: DashboardRequest) -> Response | None:
    """Ask for the password, keeping the other fields of the form; None when it was right."""
    assert request.login is not None, "pages that ask for confirmation need a login"
    if request.form.has(PASSWORD):
        if await check_password(request, request.login):
            return None
        request.form.errors[PASSWORD] = "Wrong password."
    if request.http.method == "POST":
        action = quote(request.http.scope["path"])
        kept = [(name, value) for name, values in request.form.fields.items() for value in values]
    else:
        action = request.url("/confirm")
        kept = [("next", full_path(request.http))]
    account = await request.services.owner.sign_in.account()
    has_totp = account is not None and account.totp_secret is not None
    reads_codes = account is None or request.services.owner.sign_in.reads_codes(account)
    kept = [(name, value) for name, value in kept if name not in _NOT_REPEATED]
    return request.render(
        "confirm.html", status=403, action=action, kept=kept, has_totp=has_totp, reads_codes=reads_codes
    )


async def check_password(request: DashboardRequest, login: Login) -> bool:
    """Count an attempt, and tell whether the form has the right password. Raises RateLimitExceeded."""
    browser = request.cookies.browser(request.http)
    await request.throttle.count(request.http.scope, browser)
    credentials = Credentials(request.form.value(PASSWORD), request.form.value(CODE))
    is_right = await request.services.owner.sign_in.confirm(login, credentials)
    if is_right:
        request.throttle.forgive(request.browser.address, browser)
    return is_right


def full_path(request: Request) -> str:
    """Return the path with its query."""
    query = request.scope["query_string"].decode("ascii", "replace")
    return quote(request.scope["path"]) + (f"?{query}" if query else "")
