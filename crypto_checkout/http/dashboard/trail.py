"""What was done by whom."""

from starlette.responses import Response

from .lists import pager
from .routes import Page
from .visit import Visit


async def show(visit: Visit) -> Response:
    """Show the audit trail."""
    window = visit.window()
    page = await visit.desk.trail.listed(visit.livemode, window)
    return visit.show("settings/trail.html", entries=page.items, pager=pager(visit, page, window))


PAGES = (Page("GET", "/settings/trail", show),)
