"""Payments, unmatched payments, collected amounts and refunds as files.

`/exports/payments?format=csv|json&from=2026-01-01&to=2026-01-31&zone=Europe/Berlin&bom=1&metadata=order`.
"""

from collections.abc import AsyncIterator
from datetime import date

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from crypto_checkout.core.errors import InvalidQuery
from crypto_checkout.core.metadata import LONGEST_KEY, MOST_KEYS
from crypto_checkout.core.moments import Clock
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import DashboardPage
from crypto_checkout.services.reporting.exports import Exports, Format, Layout, Period, zones

_TYPES = {Format.CSV: "text/csv; charset=utf-8; header=present", Format.JSON: "application/json"}
_KNOWN = frozenset({"format", "from", "to", "zone", "bom", "metadata"})


def payments(request: Request, exports: Exports, clock: Clock, *, livemode: bool) -> Response:
    """Stream the payments of a mode as a download.

    `from` and `to` are days of the zone, both included; by default all payments are exported. Raises InvalidQuery.
    """
    period, layout = _period(request), _layout(request)
    return _download("payments", exports.payments(livemode, period, layout), layout, clock, livemode=livemode)


def unmatched(request: Request, exports: Exports, clock: Clock, *, livemode: bool) -> Response:
    """Stream the unmatched payments of a mode as a download, as `payments` does."""
    period, layout = _period(request), _layout(request)
    return _download("unmatched", exports.unmatched(livemode, period, layout), layout, clock, livemode=livemode)


def collected(request: Request, exports: Exports, clock: Clock, *, livemode: bool) -> Response:
    """Stream what was collected in a mode as a download, as `payments` does."""
    period, layout = _period(request), _layout(request)
    return _download("collected", exports.collected(livemode, period, layout), layout, clock, livemode=livemode)


def refunds(request: Request, exports: Exports, clock: Clock, *, livemode: bool) -> Response:
    """Stream the paid refunds of a mode as a download, as `payments` does."""
    period, layout = _period(request), _layout(request)
    return _download("refunds", exports.refunds(livemode, period, layout), layout, clock, livemode=livemode)


def _download(what: str, stream: AsyncIterator[bytes], layout: Layout, clock: Clock, *, livemode: bool) -> Response:
    name = f"{what}-{'live' if livemode else 'test'}-{clock().date()}.{layout.format}"
    return StreamingResponse(
        stream,
        media_type=_TYPES[layout.format],
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )


def _layout(request: Request) -> Layout:
    for name in request.query_params:
        if name not in _KNOWN:
            raise InvalidQuery(
                f"{name[:40]} is not a parameter of exports; these are: {', '.join(sorted(_KNOWN))}.", param=name
            )
    return Layout(_format(request), request.query_params.get("bom") == "1", _metadata_keys(request))


def _metadata_keys(request: Request) -> tuple[str, ...]:
    """Read the keys of metadata, one a line or one a parameter, each once."""
    lines = (line.strip() for text in request.query_params.getlist("metadata") for line in text.splitlines())
    keys = tuple(dict.fromkeys(line for line in lines if line))
    if len(keys) > MOST_KEYS or any(len(key) > LONGEST_KEY for key in keys):
        raise InvalidQuery(
            f"Choose at most {MOST_KEYS} metadata keys, one per line, of at most {LONGEST_KEY} characters each.",
            param="metadata",
        )
    return keys


def _format(request: Request) -> Format:
    text = request.query_params.get("format", Format.CSV)
    try:
        return Format(text)
    except ValueError:
        raise InvalidQuery(f'"{text[:20]}" is not an export format: use csv or json.', param="format") from None


def _period(request: Request) -> Period:
    zone = request.query_params.get("zone") or "UTC"
    if zone not in zones():
        raise InvalidQuery(f'"{zone[:40]}" is not a time zone; use one like Europe/Berlin or UTC.', param="zone")
    try:
        return Period.of_days(_day(request, "from"), _day(request, "to"), zone)
    except ValueError as error:
        raise InvalidQuery(f"There is no such time: {error}.", param="to") from None


def _day(request: Request, name: str) -> date | None:
    text = request.query_params.get(name, "")
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidQuery(f'{name}: "{text[:20]}" is not a date; use one like 2026-01-31.', param=name) from None


async def new(request: DashboardRequest) -> Response:
    """Show the form for an export."""
    return request.render("exports.html", zones=sorted(zones()))


async def download(request: DashboardRequest) -> Response:
    """Download the payments of this mode."""
    return payments(request.http, request.services.reporting.exports, request.services.clock, livemode=request.livemode)


async def download_unmatched(request: DashboardRequest) -> Response:
    """Download the unmatched payments of this mode."""
    services = request.services
    return unmatched(request.http, services.reporting.exports, services.clock, livemode=request.livemode)


async def download_collected(request: DashboardRequest) -> Response:
    """Download what was collected in this mode."""
    services = request.services
    return collected(request.http, services.reporting.exports, services.clock, livemode=request.livemode)


async def download_refunds(request: DashboardRequest) -> Response:
    """Download the paid refunds of this mode."""
    return refunds(request.http, request.services.reporting.exports, request.services.clock, livemode=request.livemode)


PAGES = (
    DashboardPage("GET", "/exports", new),
    DashboardPage("GET", "/exports/payments", download),
    DashboardPage("GET", "/exports/unmatched", download_unmatched),
    DashboardPage("GET", "/exports/collected", download_collected),
    DashboardPage("GET", "/exports/refunds", download_refunds),
)
