"""One checked request of the dashboard, and the ways to answer it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from crypto_checkout.core.errors import InvalidCursor
from crypto_checkout.core.owner.account import Browser, Login
from crypto_checkout.core.owner.audit import Actor, ActorKind
from crypto_checkout.http.dashboard.frame import way_back
from crypto_checkout.http.dashboard.frame.cookies import Cookies
from crypto_checkout.http.dashboard.frame.forms import Form
from crypto_checkout.http.dashboard.frame.renderer import Renderer
from crypto_checkout.http.dashboard.frame.services import DashboardServices
from crypto_checkout.http.dashboard.frame.throttle import Throttle
from crypto_checkout.services.owner.audit import record
from crypto_checkout.services.owner.sign_in import check_login, owner
from crypto_checkout.store.database import WriteUnit
from crypto_checkout.store.paging import Window

T = TypeVar("T")

PREFIX = "/dashboard"
TEST = "/test"

ROWS = 25
"""The number of rows on a page of a list."""


@dataclass(slots=True)
class DashboardRequest:
    """A request with its login (None when signed out), mode and form, and everything needed to answer it."""

    services: DashboardServices
    renderer: Renderer
    cookies: Cookies
    throttle: Throttle
    http: Request
    login: Login | None
    livemode: bool
    form: Form = field(default_factory=Form)

    @property
    def path(self) -> str:
        """The page's path without the mode, such as `/payments/cs_1`; `/` for the overview."""
        return self.http.scope["path"].removeprefix(PREFIX).removeprefix("" if self.livemode else TEST) or "/"

    @property
    def section(self) -> str:
        """The path's first segment, which is a page of the navigation: `/payments`."""
        return "/" + self.path.split("/")[1]

    @property
    def path_params(self) -> Mapping[str, str]:
        """The parameters of the path: `request.path_params["id"]`."""
        return self.http.path_params

    @property
    def query_params(self) -> Mapping[str, str]:
        """The parameters of the query."""
        return self.http.query_params

    @property
    def browser(self) -> Browser:
        """The browser's address and its User-Agent."""
        return Browser(self.http.scope["client_address"], self.http.headers.get("user-agent", ""))

    @property
    def actor(self) -> Actor:
        """The owner, or an anonymous visitor, for the audit trail."""
        address = self.browser.address
        return Actor(ActorKind.VISITOR, None, address) if self.login is None else owner(self.login, address)

    @property
    def is_confirmed(self) -> bool:
        """True if the password was entered recently."""
        return self.login is not None and self.login.is_confirmed(self.services.clock())

    def url(self, path: str = "/", query: Mapping[str, object] | None = None, *, livemode: bool | None = None) -> str:
        """Return the URL of a page, by default in this request's mode; None and empty parameters are left out.

        In a template: `request.url("/payments", {"status": "paid"})`.
        """
        is_live = self.livemode if livemode is None else livemode
        given = {name: str(value) for name, value in (query or {}).items() if value not in (None, "")}
        tail = f"?{urlencode(given)}" if given else ""
        return f"{PREFIX}{'' if is_live else TEST}{'' if path == '/' else path}{tail}"

    @property
    def here(self) -> str:
        """This page's path without the mode, with its query but for empty parameters: the way back to it."""
        query = urlencode([(name, value) for name, value in self.http.query_params.multi_items() if value])
        return self.path + (f"?{query}" if query else "")

    def url_from_here(self, path: str) -> str:
        """Return the URL of a page that leads back here, with all filters of this list and its place in it."""
        is_plain = self.here == f"/{path.split('/')[1]}"
        return self.url(path, None if is_plain or not way_back.is_path(self.here) else {way_back.PARAMETER: self.here})

    @property
    def back(self) -> str | None:
        """The path within the dashboard that this page was opened from, None without one."""
        path = self.query_params.get(way_back.PARAMETER, "")
        return path if path and way_back.is_path(path) else None

    def url_staying(self, path: str) -> str:
        """Return the URL of another part of this page, or of its form, which keeps the way back."""
        return self.url(path, {way_back.PARAMETER: self.back})

    def way_back(self, default: str, name: str) -> tuple[str, str]:
        """Return the URL and the words of the link back; by default to the list at a path, with its name."""
        path, _, query = (self.back or default).partition("?")
        url = self.url(path) + (f"?{query}" if query else "")
        return url, way_back.title(self.back or default, default, name)

    def url_in_mode(self, livemode: bool) -> str:
        """Return the URL of this page in a mode: a list keeps its filters, a detail page gives way to its list."""
        if "rest" in self.path_params:  # there is no such page
            return self.url("/", livemode=livemode)
        if self.path_params or self.http.method not in {"GET", "HEAD"} or self.path.endswith("/new"):
            return self.url(self.section, livemode=livemode)
        kept = {name: value for name, value in self.query_params.items() if name not in way_back.OF_ONE_MODE}
        return self.url(self.path, kept, livemode=livemode)

    def window(self, limit: int = ROWS) -> Window:
        """Return the part of a list selected by the query's `after` or `before`. Raises InvalidCursor."""
        after, before = self.query_params.get("after"), self.query_params.get("before")
        if after and before:
            raise InvalidCursor("A page of a list is either after or before a row, not both.")
        return Window(limit, _position(after), _position(before))

    def render(self, template: str, *, status: int = 200, **context: object) -> Response:
        """Answer with a page, and with the notice left by the page before it."""
        notice = self.cookies.notice(self.http)
        response = self.renderer.render(template, status=status, request=self, form=self.form, notice=notice, **context)
        if notice:
            self.cookies.clear_notice(response)
        return response

    def redirect_staying(self, path: str, notice: str) -> Response:
        """Redirect to the page that a form was on, which keeps its way back."""
        return self.redirect(path, notice, query={way_back.PARAMETER: self.back})

    def redirect(
        self, path: str, notice: str = "", *, query: Mapping[str, object] | None = None, livemode: bool | None = None
    ) -> Response:
        """Redirect to a page (303), which shows the notice once."""
        response = RedirectResponse(self.url(path, query, livemode=livemode), 303)
        if notice:
            self.cookies.set_notice(response, notice)
        return response

    async def write(
        self,
        work: Callable[[WriteUnit], T],
        action: str,
        *,
        subject: Callable[[T], str | None] | None = None,
        detail: str = "",
    ) -> T:
        """Run a unit of work and record it in the audit trail, in one transaction.

        `subject` returns the id of the object written to, given the unit's result; by default the id of that result.

        Raises LoginEnded, before the unit runs, when the login has ended since the request began.
        """

        def recorded(unit: WriteUnit) -> T:
            check_login(unit, self.actor)
            result = work(unit)
            record(
                unit,
                self.actor,
                action,
                livemode=self.livemode,
                subject=(subject or _id_of)(result),
                detail=detail,
            )
            return result

        return await self.services.db.write(recorded)


def _position(text: str | None) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:  # noqa: PLR2004 - fits 63 bits
        raise InvalidCursor("That page of the list doesn't exist. Use the links below the list.")
    return int(text)


def _id_of(result: Any) -> str | None:
    return result.get("id") if isinstance(result, Mapping) else None
