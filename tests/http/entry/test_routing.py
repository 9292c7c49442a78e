"""The table of routes finds what Starlette's own order would."""

import re
from typing import Any

from starlette.routing import BaseRoute, Match, Route

from crypto_checkout.http.entry.routing import RouteTable
from tests.support.api import App


def in_order(routes: list[BaseRoute], scope: dict[str, Any]) -> tuple[BaseRoute | None, Any]:
    """Return the first route that takes a request, or else the first that has its path; and its parameters."""
    matches = [(route, *route.matches(scope)) for route in routes]
    for wanted in (Match.FULL, Match.PARTIAL):
        for route, match, found in matches:
            if match is wanted:
                return route, found["path_params"]
    return None, None


async def test_each_path_leads_where_the_order_of_routes_leads(app: App) -> None:
    routes = [*app.opened.web.routes]
    table = RouteTable(routes)
    patterns = [route.path for route in routes if isinstance(route, Route)]
    filled = {re.sub(r"\{[^}]*\}", value, path) for path in patterns for value in ("x", "", "x/y", "status", "{id}")}
    paths = {*filled, *(f"{path}/" for path in filled), *(path.upper() for path in filled)}
    for path in sorted({*paths, "", "//", "/static/a/b", "/static", "/dashboard/a/b"}):
        for method in ("GET", "HEAD", "POST", "PUT"):
            scope = {"type": "http", "method": method, "path": path}
            expected = in_order(routes, {**scope})
            found = table.find(scope)
            assert (found, scope.get("path_params")) == expected, (method, path)
