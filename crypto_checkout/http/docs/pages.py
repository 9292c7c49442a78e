"""The routes of the documentation. Each page is rendered at its first request, and cached."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, TypeVar

import anyio
import jinja2
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from crypto_checkout.http import etags, templating

from . import markdown, search
from .contents import DOWNLOADS, GROUPS, GUIDES, download, guide_text
from .reference import Reference

_MOST_QUERY_CHARACTERS = 100
_OUTLINED = 2
_HEADERS = (
    (
        b"content-security-policy",
        (
            b"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
            b"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        ),
    ),
    (b"cache-control", b"no-cache"),
    (b"x-robots-tag", b"noindex"),
)

Json = Mapping[str, Any]
Made = TypeVar("Made")


def routes(document: Callable[[], Json], limit: Callable[[Request], None]) -> list[Route]:
    """Return the routes; `document` builds the OpenAPI document at the first request."""
    pages = _DocsPages(document)
    one_thread = anyio.CapacityLimiter(1)  # many would compete with the event loop for the interpreter

    async def in_thread(make: Callable[..., Made], *arguments: str) -> Made:
        return await anyio.to_thread.run_sync(make, *arguments, limiter=one_thread)

    def route(path: str, make: Callable[[], str]) -> Route:
        async def page(request: Request) -> Response:
            limit(request)
            return _page(request, await in_thread(make))

        return Route(path, page)

    async def found(request: Request) -> Response:
        limit(request)
        query = request.query_params.get("q", "")[:_MOST_QUERY_CHARACTERS]
        return _page(request, await in_thread(pages.found, query))

    async def search_index(request: Request) -> Response:
        limit(request)
        return etags.answer(request, await in_thread(pages.search_index), _HEADERS)

    async def guide(request: Request) -> Response:
        limit(request)
        name = request.path_params["guide"]
        if name in DOWNLOADS:
            content = await in_thread(pages.download, name)
            return etags.answer(request, content, _HEADERS, media_type=DOWNLOADS[name].encode())
        if name not in GUIDES:
            raise HTTPException(404)
        return _page(request, await in_thread(pages.guide, name))

    return [
        route("/docs", pages.contents),
        route("/docs/api", pages.reference),
        Route("/docs/search", found),
        Route("/docs/search.json", search_index),
        Route("/docs/{guide}", guide),
    ]


def _page(request: Request, html: str) -> Response:
    return etags.answer(request, html.encode(), _HEADERS, media_type=b"text/html; charset=utf-8")


class _DocsPages:
    """The rendered pages."""

    def __init__(self, document: Callable[[], Json]) -> None:
        self._read_document = cache(lambda: Reference(document()))
        self._sections = cache(lambda: tuple(self._all_sections()))
        self._titles = cache(lambda: {name: markdown.title(guide_text(name, "")) for name in GUIDES})
        self.contents = cache(self._contents)
        self.reference = cache(self._reference)
        self.guide = cache(self._guide)
        self.download = cache(download)
        self.search_index = cache(lambda: search.to_json(self._sections()))

    def found(self, query: str) -> str:
        """Return the page of results."""
        results = search.search(self._sections(), query)
        return self._render("search.html", title="Search", here="search", query=query, results=results)

    def _contents(self) -> str:
        reference = self._read_document()
        return self._render(
            "contents.html",
            title="Documentation",
            here="contents",
            subjects=reference.subjects(),
            objects=reference.objects(),
            events=reference.events(),
        )

    def _reference(self) -> str:
        reference = self._read_document()
        return self._render(
            "reference.html",
            title="API reference",
            here="api",
            about=reference.about,
            quick_start=markdown.render(guide_text("quick-start", reference.url)),
            subjects=reference.subjects(),
            objects=reference.objects(),
            events=reference.events(),
        )

    def _guide(self, name: str) -> str:
        text = guide_text(name, self._read_document().url)
        place = GUIDES.index(name)
        return self._render(
            "guide.html",
            title=self._titles()[name],
            text=markdown.render(text),
            outline=[heading for heading in markdown.headings(text) if heading.level == _OUTLINED],
            earlier=GUIDES[place - 1] if place else None,
            later=GUIDES[place + 1] if place + 1 < len(GUIDES) else None,
            here=name,
        )

    def _render(self, template: str, **context: object) -> str:
        page = _environment().get_template(f"docs/{template}")
        return page.render({"groups": GROUPS, "titles": self._titles(), "query": "", **context})

    def _all_sections(self) -> Iterator[search.Passage]:
        reference = self._read_document()
        for name in GUIDES:
            page, url = self._titles()[name], f"/docs/{name}"
            for heading in markdown.headings(guide_text(name, reference.url)):
                place = url if heading.level == 1 else f"{url}#{heading.anchor}"
                yield search.Passage(place, page, heading.title, heading.text)
        for anchor, title, text in reference.sections():
            yield search.Passage(f"/docs/api#{anchor}", "API reference", title, text)
        for heading in markdown.headings(guide_text("quick-start", reference.url)):
            yield search.Passage(f"/docs/api#{heading.anchor}", "API reference", heading.title, heading.text)


@cache
def _environment() -> jinja2.Environment:
    environment = templating.environment()
    environment.filters |= {"prose": markdown.inline}
    return environment
