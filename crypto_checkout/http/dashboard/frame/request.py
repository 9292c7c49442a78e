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
"""How many rows a page of a list has."""


@dataclass(slots=True)
class DashboardRequest:
    """Who asks (`login` is None for nobody who is signed in), in which mode, for what, and what they filled in."""

    desk: DashboardServices
    paper: Renderer
    cookies: Cookies
    throttle: Throttle
    request: Request
    login: Login | None
    livemode: bool
    form: Form = field(default_factory=Form)

    @property
    def place(self) -> str:
        """The page's path, without what tells the mode: `/payments/cs_1`, and `/` for the first page."""
        return self.request.scope["path"].removeprefix(PREFIX).removeprefix("" if self.livemode else TEST) or "/"

    @property
    def section(self) -> str:
        """The first part of it, which is the page of the navigation: `/payments`."""
        return "/" + self.place.split("/")[1]

    @property
    def path(self) -> Mapping[str, str]:
        """The parameters of the path, as in `visit.path["id"]`."""
        return self.request.path_params

    @property
    def query(self) -> Mapping[str, str]:
        """The query's parameters."""
        return self.request.query_params

    @property
    def browser(self) -> Browser:
        """Where the request comes from."""
        return Browser(self.request.scope["client_address"], self.request.headers.get("user-agent", ""))

    @property
    def actor(self) -> Actor:
        """Who it is, for the audit trail."""
        address = self.browser.address
        return Actor(ActorKind.VISITOR, None, address) if self.login is None else owner(self.login, address)

    @property
    def is_confirmed(self) -> bool:
        """Whether the password was given lately."""
        return self.login is not None and self.login.is_confirmed(self.desk.clock())

    def url(self, path: str = "/", query: Mapping[str, object] | None = None, *, livemode: bool | None = None) -> str:
        """Return the URL of a page in this mode, or in the one named; parameters that are None or empty are left out.

        In a template: `visit.url("/payments", {"status": "paid"})`.
        """
        is_live = self.livemode if livemode is None else livemode
        given = {name: str(value) for name, value in (query or {}).items() if value not in (None, "")}
        tail = f"?{urlencode(given)}" if given else ""
        return f"{PREFIX}{'' if is_live else TEST}{'' if path == '/' else path}{tail}"

    def window(self, limit: int = ROWS) -> Window:
        """Return the part of a list that the query's `after` or `before` asks for. Raises InvalidCursor."""
        after, before = self.query.get("after"), self.query.get("before")
        if after and before:
            raise InvalidCursor("A page of a list is either after or before a row, not both.")
        return Window(limit, _place(after), _place(before))

    def show(self, template: str, *, status: int = 200, **content: object) -> Response:
        """Answer with a page."""
        said = self.cookies.said(self.request)
        response = self.paper.page(template, status=status, visit=self, form=self.form, said=said, **content)
        if said:
            self.cookies.forget_said(response)
        return response

    def go(self, path: str, said: str = "", *, livemode: bool | None = None) -> Response:
        """Answer with a redirect to a page (303), which says something first."""
        response = RedirectResponse(self.url(path, livemode=livemode), 303)
        if said:
            self.cookies.say(response, said)
        return response

    async def write(
        self,
        work: Callable[[WriteUnit], T],
        action: str,
        *,
        subject: Callable[[T], str | None] | None = None,
        detail: str = "",
    ) -> T:
        """Run a unit and note in the audit trail, in the same transaction, that it was done and by whom.

        Raises LoginEnded, before anything is done, where the login was ended since the request began.

        `subject` returns the id of what it was done to, from what the unit returns: where that is a resource, its own.
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

        return await self.desk.db.write(recorded)


def _place(text: str | None) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:  # noqa: PLR2004 - fits 63 bits
        raise InvalidCursor("This is no place in the list; go on with the links below it.")
    return int(text)


def _id_of(result: Any) -> str | None:
    return result.get("id") if isinstance(result, Mapping) else None
