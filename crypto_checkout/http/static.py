"""The route of the pages' assets, under `/static`."""

from os import PathLike, stat_result
from pathlib import Path

from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parent / "static"

_FOREVER = "public, max-age=31536000, immutable"
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
    """Return the route of the assets."""
    return [Mount("/static", _Assets(directory=FOLDER), name="static")]
