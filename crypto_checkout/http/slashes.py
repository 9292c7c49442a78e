"""Trailing slashes: a page's address with one leads to the page. The API's paths are exact."""

from collections.abc import Iterable
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Match, Route

_API = "/api/"


def redirect(request: Request, routes: Iterable[BaseRoute]) -> Response | None:
    """Redirect to the page that is there without the slash; None if there is none.

    Unlike Starlette's own redirect, it needs neither the Host header nor the scheme, which a proxy may have changed.
    """
    path = request.scope["path"]
    if request.method not in {"GET", "HEAD"} or not path.endswith("/") or path.startswith(_API):
        return None
    scope = {**request.scope, "path": path.rstrip("/")}
    pages = (route for route in routes if isinstance(route, Route))
    return without(request) if any(page.matches(scope)[0] is Match.FULL for page in pages) else None


def without(request: Request) -> Response:
    """Redirect (308) to the path without its slash, which must be one of ours: `//host/` would lead away."""
    query = request.scope["query_string"].decode("ascii", "replace")
    path = quote(request.scope["path"].rstrip("/"))
    return RedirectResponse(f"{path}?{query}" if query else path, 308)
