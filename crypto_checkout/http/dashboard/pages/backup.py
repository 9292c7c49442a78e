"""The backups: those that there are, to download, the next one, and one now."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import BinaryIO

from starlette.responses import Response, StreamingResponse

from crypto_checkout.core.backups import made_at
from crypto_checkout.core.errors import ResourceNotFound
from crypto_checkout.core.owner.audit import Action
from crypto_checkout.core.owner.setup import SetupStep
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import Access, DashboardPage
from crypto_checkout.store.database import WriteUnit

PATH = "/settings/backup"
_AT_ONCE = 1 << 18


async def show(request: DashboardRequest) -> Response:
    """List the backups, and say when the next one comes, or what is wrong."""
    backups = request.services.backups
    try:
        there = await backups.listing()
    except OSError:
        there = []  # the issue says so, once the folder was looked at
    return request.render("settings/backup.html", there=there, state=backups.status(), issue=backups.issue())


async def back_up(request: DashboardRequest) -> Response:
    """Have a backup made in the background; the page shows how far it is."""
    if request.services.settings.backup.server is not None:
        raise ResourceNotFound("The database is on a PostgreSQL server: back it up there.")
    await request.write(_nothing, Action.BACKUP_ASKED, subject=lambda _: None)
    request.services.backups.back_up_now()
    return request.redirect(PATH)


async def download(request: DashboardRequest) -> Response:
    """Send a backup, as it is in the folder."""
    name = request.path_params["name"]
    try:
        # Only names of ours: no path leads out of the folder, and nothing strange gets into a header.
        file = None if made_at(name) is None else await request.services.backups.open(name, request.actor)
    except OSError:
        file = None
    if file is None:
        raise ResourceNotFound("This backup can't be read, or isn't there any more. Load the list again.")
    await request.services.db.write(request.services.reporting.setup.mark(SetupStep.BACKUP))
    return StreamingResponse(
        _parts(file),
        media_type="application/octet-stream" if name.endswith(".age") else "application/vnd.sqlite3",
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Content-Length": str(os.fstat(file.fileno()).st_size),
            # Uncompressed: compressing a large file would slow down payers, and hide its length from the browser.
            "Content-Encoding": "identity",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )


def _nothing(_: WriteUnit) -> None:
    """Change nothing: what was asked for happens in the background, and the trail says who asked."""


async def _parts(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while part := await asyncio.to_thread(file.read, _AT_ONCE):
            yield part


PAGES = (
    DashboardPage("GET", PATH, show),
    DashboardPage("POST", PATH, back_up),
    DashboardPage("POST", f"{PATH}/{{name}}", download, Access.CONFIRMED),
)
