"""The cookies: the login's token, the browser's token, a notice for the next page, and the currency of the overview.

All are HttpOnly.
"""

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import Response

_BROWSER_FOR = timedelta(days=400)
_NOTICE_FOR = timedelta(minutes=1)
_LONGEST_NOTICE = 1_000


@dataclass(frozen=True, slots=True)
class Cookies:
    """Reads and sets the cookies, which are restricted to TLS if `is_https`."""

    is_https: bool

    def login(self, request: Request) -> str:
        """Return the login's token, or an empty text."""
        return request.cookies.get(self._name("login"), "")

    def set_login(self, response: Response, token: str, seconds: int) -> None:
        """Keep a login's token in the browser for a number of seconds."""
        self._set(response, "login", token, seconds)

    def clear_login(self, response: Response) -> None:
        """Delete the login's token."""
        self._set(response, "login", "", 0)

    def browser(self, request: Request) -> str:
        """Return the token that identifies this browser, or an empty text."""
        return request.cookies.get(self._name("browser"), "")

    def set_browser(self, response: Response, token: str) -> None:
        """Keep the token that identifies this browser."""
        self._set(response, "browser", token, int(_BROWSER_FOR.total_seconds()))

    def notice(self, request: Request) -> str:
        """Return the notice left by the page before, or an empty text."""
        return unquote(request.cookies.get(self._name("notice"), ""))[:_LONGEST_NOTICE]

    def set_notice(self, response: Response, text: str) -> None:
        """Leave a notice for the next page; never a secret."""
        self._set(response, "notice", quote(text[:_LONGEST_NOTICE]), int(_NOTICE_FOR.total_seconds()))

    def clear_notice(self, response: Response) -> None:
        """Delete the notice, which is shown once."""
        self._set(response, "notice", "", 0)

    def currency(self, request: Request) -> str:
        """Return the currency in which this browser last looked at the overview, or an empty text."""
        return request.cookies.get(self._name("currency"), "")

    def set_currency(self, response: Response, currency: str) -> None:
        """Keep the currency of the overview in this browser."""
        self._set(response, "currency", currency, int(_BROWSER_FOR.total_seconds()))

    def _set(self, response: Response, name: str, value: str, seconds: int) -> None:
        # Lax, so that a link in an alert's email opens its page without signing in; writes are guarded by their origin.
        response.set_cookie(
            self._name(name), value, max_age=seconds, path="/", secure=self.is_https, httponly=True, samesite="lax"
        )

    def _name(self, name: str) -> str:
        # Browsers accept `__Host-` cookies from this very host only, over TLS, for every path (RFC 6265bis, 4.1.3.2).
        return f"__Host-checkout_{name}" if self.is_https else f"checkout_{name}"
