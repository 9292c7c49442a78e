"""Routes for monitoring: `/healthz`, `/readyz`, `/metrics`."""

import hmac
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import product

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from crypto_checkout import metrics
from crypto_checkout.core.errors import DatabaseFailed, RouteNotFound
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.services.alerts.issues import Issues
from crypto_checkout.services.ledger.health import Readiness

from .entry.client_address import is_local

_MODES = {True: "live", False: "test"}


@dataclass(frozen=True, slots=True)
class Tokens:
    """The bearer tokens of these routes: who may read the metrics, and by which `doctor` shows that it is doctor."""

    metrics: str | None
    doctor: str


def routes(
    health: Readiness,
    issues: Issues,
    tokens: Tokens,
    *,
    is_public: bool,
    loop_stall: Callable[[], float],
    leader: Callable[[], str],
) -> list[Route]:
    """Return the three routes. Metrics need their token; this machine doesn't, unless the server `is_public`.

    A public server has a proxy before it, and one that adds no header makes all its visitors look like this machine.
    `/healthz` shows `doctor` its own request as it arrived, and `loop_stall`: the longest of late, in seconds.
    `/readyz` says who the `leader` is, in words for anybody.
    """
    _show_counters()

    async def healthz(request: Request) -> Response:
        told = {}
        if _has_token(request, tokens.doctor):
            told = {"request": _arrived(request), "loopStallSeconds": round(loop_stall(), 3)}
        return JSONResponse({"status": "ok", **told})

    async def readyz(_: Request) -> Response:
        checks = await health.checks()
        is_ready = all(check.problem is None for check in checks)
        described = {check.name: check.problem or "ok" for check in checks}
        return JSONResponse(
            {"status": "ready" if is_ready else "not ready", "leader": leader(), "checks": described},
            200 if is_ready else 503,
        )

    async def show_metrics(request: Request) -> Response:
        if not (_has_token(request, tokens.metrics) or (is_local(request.scope) and not is_public)):
            raise RouteNotFound(f"There is nothing at {request.method} {request.scope['path']}.")
        metrics.LOOP_STALL.set(loop_stall())
        await _measure(health, issues)
        return Response(metrics.render(), media_type=None, headers={"Content-Type": metrics.CONTENT_TYPE})

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", show_metrics)]


def _show_counters() -> None:
    """Show counters with their labels before they count: to Prometheus, one that appears with 1 has not increased."""
    for mode, event_type in product(_MODES.values(), EventType):
        metrics.EVENTS.labels(event_type, mode)
    for outcome in ("succeeded", "failed"):
        metrics.WEBHOOK_ATTEMPTS.labels(outcome)


async def _measure(health: Readiness, issues: Issues) -> None:
    """Set the metrics that are read when somebody asks; those of a database that can't be read are left out."""
    metrics.READY.clear()
    for check in await health.checks():
        metrics.READY.labels(check.name).set(check.problem is None)
    metrics.ISSUES.clear()
    metrics.DELIVERIES_PENDING.set(math.nan)
    with suppress(DatabaseFailed):
        metrics.DELIVERIES_PENDING.set(await health.count_pending_deliveries())
        for livemode, mode in _MODES.items():
            for kind, count in await issues.counts(livemode):
                metrics.ISSUES.labels(kind, mode).set(count)


def _arrived(request: Request) -> dict[str, object]:
    peer = request.scope.get("client")
    forwarded = [part.strip() for value in request.headers.getlist("x-forwarded-for") for part in value.split(",")]
    return {
        "peer": peer[0] if peer else "",
        "host": request.headers.get("host", ""),
        "forwardedFor": [part for part in forwarded if part],
    }


def _has_token(request: Request, token: str | None) -> bool:
    given = request.headers.get("authorization", "")
    return token is not None and hmac.compare_digest(given.encode(), f"Bearer {token}".encode())
