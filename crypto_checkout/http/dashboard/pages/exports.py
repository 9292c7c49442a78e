"""Payments as a file: `/exports/payments?format=csv|json&from=2026-01-01&to=2026-01-31&zone=Europe/Berlin&bom=1`."""

from datetime import date

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from crypto_checkout.core.errors import InvalidQuery
from crypto_checkout.core.moments import Clock
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import DashboardPage
from crypto_checkout.services.reporting.exports import Exports, Format, Period, zones

_TYPES = {Format.CSV: "text/csv; charset=utf-8; header=present", Format.JSON: "application/json"}
_KNOWN = frozenset({"format", "from", "to", "zone", "bom"})


def payments(request: Request, exports: Exports, clock: Clock, *, livemode: bool) -> Response:
    """Stream the payments of a mode as a download.

    `from` and `to` are days of the zone, both included; by default all payments are exported. Raises InvalidQuery.
    """
    for name in request.query_params:
        if name not in _KNOWN:
            raise InvalidQuery(
                f"{name[:40]} is not a parameter here; there is {', '.join(sorted(_KNOWN))}.", param=name
            )
    file_format = _format(request)
    period = _period(request)
    mode = "live" if livemode else "test"
    name = f"payments-{mode}-{clock().date()}.{file_format}"
    return StreamingResponse(
        exports.payments(livemode, period, file_format, bom=request.query_params.get("bom") == "1"),
        media_type=_TYPES[file_format],
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )


def _format(request: Request) -> Format:
    text = request.query_params.get("format", Format.CSV)
    try:
        return Format(text)
    except ValueError:
        raise InvalidQuery(f'"{text[:20]}" is no format of exports: csv or json.', param="format") from None


def _period(request: Request) -> Period:
    zone = request.query_params.get("zone") or "UTC"
    if zone not in zones():
        raise InvalidQuery(f'"{zone[:40]}" is no time zone; write one like Europe/Berlin or UTC.', param="zone")
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
        raise InvalidQuery(f'{name}: "{text[:20]}" is no day; write one like 2026-01-31.', param=name) from None


async def new(request: DashboardRequest) -> Response:
    """Show the form for an export."""
    return request.render("exports.html", zones=sorted(zones()))


async def download(request: DashboardRequest) -> Response:
    """Download the payments of this mode."""
    return payments(request.http, request.services.reporting.exports, request.services.clock, livemode=request.livemode)


PAGES = (DashboardPage("GET", "/exports", new), DashboardPage("GET", "/exports/payments", download))
