"""Find a request's route in a few look-ups, where Starlette's router tries one regular expression after another."""

from collections.abc import Sequence

from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

Positions = tuple[int, ...]


class RouteTable:
    """The routes of an application: by their paths, and by their shapes where a path has parameters.

    `/checkout/{id}/status` has the shape of three segments of which the second is a parameter. Routes of another kind,
    such as mounted applications and paths of any length, are tried last, in their order. Where several routes have one
    path, the first that takes the method is found, or else the first.
    """

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._by_path: dict[str, list[Route]] = {}
        self._by_shape: dict[int, dict[Positions, dict[str, list[Route]]]] = {}
        self._others: list[BaseRoute] = []
        for route in routes:
            if not isinstance(route, Route) or ":" in route.path:
                self._others.append(route)
                continue
            segments = route.path.split("/")
            positions = tuple(place for place, segment in enumerate(segments) if segment.startswith("{"))
            by_path = self._by_shape.setdefault(len(segments), {}).setdefault(positions, {})
            (by_path if positions else self._by_path).setdefault(_without(segments, positions), []).append(route)

    def find(self, scope: Scope) -> BaseRoute | None:
        """Return the route of a request, or None, and put what Starlette would into the scope."""
        path: str = scope["path"]
        found = self._by_path.get(path)
        if found is not None:
            return _chosen(found, scope, {})
        segments = path.split("/")
        for positions, by_path in self._by_shape.get(len(segments), {}).items():
            found = by_path.get(_without(segments, positions))
            if found is not None and "" not in (values := [segments[place] for place in positions]):
                return _chosen(found, scope, dict(zip(found[0].param_convertors, values, strict=True)))
        for route in self._others:
            match, matched = route.matches(scope)
            if match is Match.FULL:
                scope["route"] = route
                scope.update(matched)
                return route
        return None


def _without(segments: Sequence[str], positions: Positions) -> str:
    """Return a path without its parameters."""
    literal = [*segments]
    for place in positions:
        literal[place] = ""
    return "/".join(literal)


def _chosen(found: Sequence[Route], scope: Scope, parameters: dict[str, str]) -> Route:
    route = found[0]
    if len(found) > 1:
        route = next((each for each in found if scope["method"] in (each.methods or ())), route)
    scope["route"] = route
    scope["path_params"] = parameters
    return route
