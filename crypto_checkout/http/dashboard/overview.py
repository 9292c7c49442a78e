"""The first page."""

from starlette.responses import Response

from .routes import Page
from .visit import Visit


async def show(visit: Visit) -> Response:
    """Show where the shop stands."""
    return visit.show("overview.html")


PAGES = (Page("GET", "/", show),)
