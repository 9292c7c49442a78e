"""How the owner gets in, and what was done by whom."""

from starlette.responses import Response

from .lists import pager
from .routes import Page
from .visit import Visit


async def show(visit: Visit) -> Response:
    """Show how the account is protected."""
    return visit.show("settings/security.html", security=await visit.desk.account.security())


async def trail(visit: Visit) -> Response:
    """Show the audit trail."""
    window = visit.window()
    page = await visit.desk.trail.listed(window)
    return visit.show("settings/trail.html", entries=page.items, pager=pager(visit, page, window))


PAGES = (
    Page("GET", "/settings", show),
    Page("GET", "/settings/trail", trail),
)
