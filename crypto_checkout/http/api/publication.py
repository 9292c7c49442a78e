"""The routes of the OpenAPI document, which needs no key."""

import asyncio
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from crypto_checkout.core.public import render
from crypto_checkout.http import etags

from .operations import PREFIX

PATHS = ("/openapi.json", f"{PREFIX}/openapi.json")


def routes(document: Callable[[], Mapping[str, Any]], limit: Callable[[Request], None]) -> list[Route]:
    """Return the routes of the document, which is built at the first request."""

    @cache
    def text() -> bytes:
        return render.json_bytes(document())

    async def show(request: Request) -> Response:
        limit(request)
        # Building it takes a quarter of a second.
        return etags.answer(request, await asyncio.to_thread(text), [(b"cache-control", b"no-cache")])

    return [Route(path, show) for path in PATHS]
