"""The three cookies: the login's token, the browser's, and what the next page shall say. No script reads any."""

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import Response

_BROWSER_FOR = timedelta(days=400)
_SAID_FOR = timedelta(minutes=1)
_MOST_SAID = 1_000


@dataclass(frozen=True, slots=True)
class Cookies:
    """Sets and reads them; `is_https` says whether the site is served with TLS, so that they never go without."""

    is_https: bool

    def login(self, request: Request) -> str:
        """Return the token of the login, empty for none."""
        return request.cookies.get(self._name("login"), "")

    def set_login(self, response: Response, token: str, seconds: int) -> None:
        """Have the browser send the token of a login for so long."""
        self._set(response, "login", token, seconds)

    def forget_login(self, response: Response) -> None:
        """Have the browser forget it."""
        self._set(response, "login", "", 0)

    def browser(self, request: Request) -> str:
        """Return the token by which this browser is known, empty for none."""
        return request.cookies.get(self._name("browser"), "")

    def set_browser(self, response: Response, token: str) -> None:
        """Have the browser be known next time."""
        self._set(response, "browser", token, int(_BROWSER_FOR.total_seconds()))

    def said(self, request: Request) -> str:
        """Return what the page before wanted this one to say, empty for nothing."""
        return unquote(request.cookies.get(self._name("said"), ""))[:_MOST_SAID]

    def say(self, response: Response, text: str) -> None:
        """Have the next page say something; never a secret."""
        self._set(response, "said", quote(text[:_MOST_SAID]), int(_SAID_FOR.total_seconds()))

    def forget_said(self, response: Response) -> None:
        """Have it said once only."""
        self._set(response, "said", "", 0)

    def _set(self, response: Response, name: str, value: str, seconds: int) -> None:
        # Lax: a link in an alert's e-mail leads to the page, not to the sign-in. Writes are guarded by their origin.
        response.set_cookie(
            self._name(name), value, max_age=seconds, path="/", secure=self.is_https, httponly=True, samesite="lax"
        )

    def _name(self, name: str) -> str:
        # `__Host-`: browsers take it over TLS from this very host only, for every path (RFC 6265bis, section 4.1.3.2).
        return f"__Host-checkout_{name}" if self.is_https else f"checkout_{name}"
