"""The assets of all pages, under `/static`."""

from pathlib import Path

from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

FOLDER = Path(__file__).parent / "static"


def routes() -> list[BaseRoute]:
    """Return the route of the assets."""
    return [Mount("/static", StaticFiles(directory=FOLDER), name="static")]
