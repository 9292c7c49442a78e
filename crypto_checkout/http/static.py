"""The routes of the pages' assets, under `/static`, and of the icons that browsers ask for by themselves."""

from os import PathLike, stat_result
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parent / "static"

_ICONS = ("favicon.ico", "apple-touch-icon.png")

_FOREVER = "public, max-age=31536000, immutable"
_FOR_A_DAY = "public, max-age=86400"
_FOR_MINUTES = "public, max-age=300"


class _Assets(StaticFiles):
    """Files that may be cached forever when their URL has their hash (`?v=…`)."""

    def file_response(
        self, full_path: str | PathLike[str], stat_result: stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = _FOREVER if scope["query_string"].startswith(b"v=") else _FOR_MINUTES
        return response


def routes() -> list[BaseRoute]:
    """Return the routes of the assets and the icons."""
    icons = [_icon(name) for name in _ICONS]
    return [*icons, Mount("/static", _Assets(directory=FOLDER), name="static")]


def _icon(name: str) -> Route:
    async def icon(_: Request) -> Response:
        return FileResponse(FOLDER / name, headers={"Cache-Control": _FOR_A_DAY})

    return Route(f"/{name}", icon)
