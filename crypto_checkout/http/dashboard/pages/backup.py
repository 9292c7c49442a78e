"""The whole database as a download."""

import asyncio
from collections.abc import AsyncIterator
from typing import BinaryIO

from starlette.responses import Response, StreamingResponse

from crypto_checkout.core.owner.setup import SetupStep
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import Access, DashboardPage

PATH = "/settings/backup"
_AT_ONCE = 1 << 18


async def show(request: DashboardRequest) -> Response:
    """Explain the backup, and offer it."""
    return request.render("settings/backup.html")


async def download(request: DashboardRequest) -> Response:
    """Make a copy of the database, and send it."""
    copy = await request.services.downloads.make(request.actor)
    await request.services.db.write(request.services.reporting.setup.mark(SetupStep.BACKUP))
    size = copy.seek(0, 2)
    copy.seek(0)
    return StreamingResponse(
        _parts(copy),
        media_type="application/vnd.sqlite3",
        headers={
            "Content-Disposition": f'attachment; filename="checkout-{request.services.clock():%Y-%m-%d-%H%M%S}.db"',
            "Content-Length": str(size),
            # Uncompressed: compressing a large file would slow down payers, and hide its length from the browser.
            "Content-Encoding": "identity",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )


async def _parts(copy: BinaryIO) -> AsyncIterator[bytes]:
    with copy:
        while part := await asyncio.to_thread(copy.read, _AT_ONCE):
            yield part


PAGES = (
    DashboardPage("GET", PATH, show, Access.CONFIRMED),
    DashboardPage("POST", PATH, download, Access.CONFIRMED),
)
