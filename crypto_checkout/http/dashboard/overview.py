"""The first page."""

from starlette.responses import Response

from .guide import steps
from .routes import Page
from .visit import Visit


async def show(visit: Visit) -> Response:
    """Show where the shop stands."""
    return visit.show("overview.html", steps=await steps(visit))


PAGES = (Page("GET", "/", show),)
