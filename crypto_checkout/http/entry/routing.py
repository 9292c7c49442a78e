"""Find a request's route in a few look-ups, where Starlette's router tries one regular expression after another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope


@dataclass(frozen=True, slots=True)
class _Shape:
    """Paths whose parameters are at the same places: routes by what stands at the others."""

    literals_of: Callable[[Sequence[str]], Any]
    places: Sequence[int]
    routes: dict[Any, list[Route]] = field(default_factory=dict)


class RouteTable:
    """The routes of an application: by their paths, and by their shapes where a path has parameters.

    `/checkout/{id}/status` has the shape of four segments of which the third is a parameter. Routes of another kind,
    such as mounted applications and paths of any length, are tried last, in their order. Where several routes have one
    path, the first that takes the method is found, or else the first.
    """

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._by_path: dict[str, list[Route]] = {}
        self._shapes: dict[int, dict[Sequence[int], _Shape]] = {}
        self._others: list[BaseRoute] = []
        for route in routes:
            if not isinstance(route, Route) or ":" in route.path:
                self._others.append(route)
                continue
            segments = route.path.split("/")
            places = tuple(place for place, segment in enumerate(segments) if segment.startswith("{"))
            if not places:
                self._by_path.setdefault(route.path, []).append(route)
                continue
            literals_of = itemgetter(*(place for place in range(len(segments)) if place not in places))
            shapes = self._shapes.setdefault(len(segments), {})
            shape = shapes.setdefault(places, _Shape(literals_of, places))
            shape.routes.setdefault(literals_of(segments), []).append(route)

    def find(self, scope: Scope) -> BaseRoute | None:
        """Return the route of a request, or None, and put what Starlette would into the scope."""
        path: str = scope["path"]
        found = self._by_path.get(path)
        if found is not None:
            return _chosen(found, scope, {})
        segments = path.split("/")
        for shape in self._shapes.get(len(segments), {}).values():
            found = shape.routes.get(shape.literals_of(segments))
            if found is not None and "" not in (values := [segments[place] for place in shape.places]):
                return _chosen(found, scope, dict(zip(found[0].param_convertors, values, strict=True)))
        for route in self._others:
            match, matched = route.matches(scope)
            if match is Match.FULL:
                scope["route"] = route
                scope.update(matched)
                return route
        return None


def _chosen(found: Sequence[Route], scope: Scope, parameters: dict[str, str]) -> Route:
    route = found[0]
    if len(found) > 1:
        route = next((each for each in found if scope["method"] in (each.methods or ())), route)
    scope["route"] = route
    scope["path_params"] = parameters
    return route
