"""The server itself: its version, whether there is a newer one, its disk, and what takes up the space."""

from collections.abc import Iterator
from dataclasses import dataclass

from starlette.responses import Response

from crypto_checkout import __version__
from crypto_checkout.core.upkeep.space import SpaceKind, SpaceTaken
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import DashboardPage
from crypto_checkout.services.upkeep.disk_watch import DiskReport

PATH = "/settings/server"

_TITLES = {
    SpaceKind.SESSIONS: "Payment sessions",
    SpaceKind.PAYMENTS: "Payments and refunds",
    SpaceKind.EVENTS: "Events",
    SpaceKind.DELIVERIES: "Webhook deliveries and attempts",
    SpaceKind.CUSTOMERS: "Customers",
    SpaceKind.RECEIPTS: "Receipts and mails",
    SpaceKind.SANDBOX: "The simulated chain of test mode",
    SpaceKind.OTHER: "Everything else in the database",
}


@dataclass(frozen=True, slots=True)
class _Row:
    """Something that takes up space: its `key` chooses the advice, `share` is its part of all, 0 to 1."""

    key: str
    title: str
    size: int
    share: float


async def show(request: DashboardRequest) -> Response:
    """Show the version, the disk, and what takes up the space."""
    report = await request.services.disk.report()
    is_file = request.services.settings.backup.server is None
    # A database that was moved to a server brings along what was measured of its file.
    taken = await request.services.disk.space() if is_file else None
    return request.render(
        "settings/server.html",
        version=__version__,
        report=report,
        taken=taken,
        rows=_rows(report, taken, is_file=is_file),
    )


def _rows(report: DiskReport, taken: SpaceTaken | None, *, is_file: bool) -> list[_Row]:
    """Return what takes up the space, the largest first."""
    sizes = _of_a_file(report, taken) if is_file else _of_a_server(report)
    found = sorted([*sizes, *_beside(report)], key=lambda each: -each[2])
    whole = sum(size for _, _, size in found) or 1
    return [_Row(key, title, size, size / whole) for key, title, size in found if size]


def _of_a_file(report: DiskReport, taken: SpaceTaken | None) -> Iterator[tuple[str, str, int]]:
    if taken is None:
        yield "database", "The database", report.pages.used
    else:
        for kind, size in taken.kinds.items():
            yield kind.value, _TITLES[kind], size
    yield "free", "Free inside the database file", report.pages.free
    yield "log", "Write-ahead log of the database", report.sizes.log
    yield "backups", "Backups", report.sizes.backups


def _of_a_server(report: DiskReport) -> Iterator[tuple[str, str, int]]:
    sizes = report.sizes
    yield "server", "The database", report.pages.used
    # No server starts with a URL and a file beside it, but for one that was moved.
    yield (
        "moved",
        "The file that the database was in before, and its backups",
        sizes.database + sizes.log + sizes.backups,
    )


def _beside(report: DiskReport) -> Iterator[tuple[str, str, int]]:
    sizes = report.sizes
    yield "copies", "Copies made before upgrades and restores", sizes.copies
    yield "rest", "Other files in the data folder", sizes.rest


PAGES = (DashboardPage("GET", PATH, show),)
