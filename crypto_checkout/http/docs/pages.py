"""The routes of the documentation. Each page is rendered at its first request, and cached."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from crypto_checkout.http import etags, templating

from . import markdown
from .reference import Reference

GUIDES = (
    *("integrate", "payment-pages", "webhooks", "errors", "lists", "test-mode"),
    *("proxies", "wallets", "cold-address", "chains", "collect", "refunds"),
    *("operate", "costs", "speed", "threat-model"),
)
FOLDER = Path(__file__).parent / "guides"
WRITTEN_FOR = "http://127.0.0.1:4020"
"""The URL written in the guides; pages show this server's instead."""

_HEADERS = (
    (
        b"content-security-policy",
        (
            b"default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
            b"frame-ancestors 'none'"
        ),
    ),
    (b"cache-control", b"no-cache"),
    (b"x-robots-tag", b"noindex"),
)

Json = Mapping[str, Any]


def routes(document: Callable[[], Json], limit: Callable[[Request], None]) -> list[Route]:
    """Return the routes; `document` builds the OpenAPI document at the first request."""
    pages = _DocsPages(document)

    async def reference(request: Request) -> Response:
        limit(request)
        return _page(request, await run_in_threadpool(pages.reference))

    async def guide(request: Request) -> Response:
        limit(request)
        name = request.path_params["guide"]
        if name not in GUIDES:
            raise HTTPException(404)
        return _page(request, await run_in_threadpool(pages.guide, name))

    return [Route("/docs", reference), Route("/docs/{guide}", guide)]


def _page(request: Request, html: str) -> Response:
    return etags.answer(request, html.encode(), _HEADERS, media_type=b"text/html; charset=utf-8")


def guide_text(name: str, url: str) -> str:
    """Return a guide's Markdown for a server's URL."""
    return (FOLDER / f"{name}.md").read_text("utf-8").replace(WRITTEN_FOR, url)


class _DocsPages:
    """The rendered pages."""

    def __init__(self, document: Callable[[], Json]) -> None:
        self._read_document = cache(lambda: Reference(document()))
        self.reference = cache(self._reference)
        self.guide = cache(self._guide)

    def _reference(self) -> str:
        reference = self._read_document()
        return self._render(
            "reference.html",
            title="API",
            here=None,
            about=reference.about,
            quick_start=markdown.render(guide_text("quick-start", reference.url)),
            subjects=reference.subjects(),
            objects=reference.objects(),
            events=reference.events(),
        )

    def _guide(self, name: str) -> str:
        text = guide_text(name, self._read_document().url)
        return self._render("guide.html", title=markdown.title(text), text=markdown.render(text), here=name)

    def _render(self, template: str, **context: object) -> str:
        titles = {name: markdown.title((FOLDER / f"{name}.md").read_text("utf-8")) for name in GUIDES}
        return _environment().get_template(f"docs/{template}").render(guides=titles, **context)


@cache
def _environment() -> jinja2.Environment:
    environment = templating.environment()
    environment.filters |= {"prose": markdown.inline}
    return environment
