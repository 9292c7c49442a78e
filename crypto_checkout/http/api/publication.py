"""The routes of the OpenAPI document: for anybody, without a key."""

from collections.abc import Callable
from functools import cache

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from crypto_checkout.services.events import to_body

from . import tags
from .components import Json
from .operations import PREFIX

PATHS = ("/openapi.json", f"{PREFIX}/openapi.json")


def routes(document: Callable[[], Json], limit: Callable[[Request], None]) -> list[Route]:
    """Return the routes of the document, which is made when it is first asked for."""

    @cache
    def text() -> bytes:
        return to_body(document()).encode()

    async def show(request: Request) -> Response:
        limit(request)
        return tags.answer(request, text())

    return [Route(path, show) for path in PATHS]
