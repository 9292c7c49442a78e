"""Record attempts: their results, the next ones, and the disabling of an endpoint that only fails.

Attempts that ended together are one unit of work. Sending is `services.webhooks.dispatcher`.
"""

import logging
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache

from prometheus_client import Counter

from crypto_checkout import metrics
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.public import render
from crypto_checkout.core.webhooks.delivery import Attempt, DeliveryStatus
from crypto_checkout.core.webhooks.endpoint import Endpoint, FailureStreak
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.log import get_logger
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.database import WriteUnit
from crypto_checkout.store.webhooks import deliveries, endpoint_cleanup, endpoints
from crypto_checkout.store.webhooks.deliveries import DueDelivery
from crypto_checkout.webhooks import schedule
from crypto_checkout.webhooks.send import AttemptOutcome

log = get_logger("dispatcher")
_lines = logging.getLogger("crypto_checkout.dispatcher")
"""Of the same name; it tells at once whether a line is shown."""

GONE = "The endpoint answered 410 Gone."
HOPELESS = "Nothing but failures for 5 days. The last one: {last}"


@dataclass(frozen=True, slots=True)
class EndedAttempt:
    """An attempt that isn't recorded yet."""

    delivery: DueDelivery
    started_at: datetime
    outcome: AttemptOutcome


class AttemptRecorder:
    """Records the attempts of one mode, by that mode's clock."""

    def __init__(self, events: Outbox, *, retry_seconds: Sequence[int], clock: Clock) -> None:
        self._events = events
        self._retry_seconds = retry_seconds
        self._clock = clock

    def record(self, unit: WriteUnit, ended: Iterable[EndedAttempt]) -> bool:
        """Store attempts, and the new status of each delivery that wasn't deleted or replayed meanwhile.

        Return whether all of them succeeded.
        """
        statuses = [(each, self._record(unit, each)) for each in ended]
        unit.after_commit(_count, [(each, status) for each, status in statuses if status is not None])
        return all(status is DeliveryStatus.SUCCEEDED for _, status in statuses)

    def _record(self, unit: WriteUnit, ended: EndedAttempt) -> DeliveryStatus | None:
        """Store an attempt; return its delivery's new status, or None if that was deleted or replayed meanwhile."""
        delivery, outcome, now = ended.delivery, ended.outcome, self._clock()
        made = attempt(delivery.attempts + 1, ended.started_at, outcome)
        endpoint = None if outcome.is_success else endpoints.get(unit, delivery.endpoint_id)
        # If the URL was changed meanwhile, the answer says nothing about the endpoint as it is now.
        is_current = endpoint is not None and endpoint.active and endpoint.url == delivery.url
        status, next_at = self._next(now, made.number - delivery.replayed_from, outcome, may_end=is_current)
        if endpoint is not None and not endpoint.active:
            status, next_at = DeliveryStatus.ABANDONED, None  # it was disabled during the attempt
        if not deliveries.record_attempt(unit, delivery, made, status, next_at):
            return None
        if outcome.is_success:
            endpoints.set_failing(unit, delivery.endpoint_id, None)
        elif endpoint is not None and is_current:
            self._count_failure(unit, endpoint, now, outcome)
        return status

    def _next(
        self, now: datetime, attempts_made: int, outcome: AttemptOutcome, *, may_end: bool
    ) -> tuple[DeliveryStatus, datetime | None]:
        if outcome.is_success:
            return DeliveryStatus.SUCCEEDED, None
        delay = schedule.next_delay_seconds(
            attempts_made,
            self._retry_seconds,
            jitter=random.uniform(-1, 1),  # noqa: S311 - it spreads load; no secret depends on it
            retry_after_seconds=outcome.retry_after_seconds,
        )
        if delay is None or (outcome.is_gone and may_end):
            return DeliveryStatus.ABANDONED, None
        return DeliveryStatus.PENDING, now + timedelta(seconds=delay)

    def _count_failure(self, unit: WriteUnit, endpoint: Endpoint, now: datetime, outcome: AttemptOutcome) -> None:
        before = endpoint.failing
        failing = before.extended(now) if before is not None else FailureStreak(now, now)
        if outcome.is_gone:
            self._disable(unit, replace(endpoint, failing=failing), GONE)
        elif failing.is_hopeless(now):
            self._disable(unit, replace(endpoint, failing=failing), HOPELESS.format(last=outcome.detail))
        elif failing != before:
            endpoints.set_failing(unit, endpoint.id, failing)

    def _disable(self, unit: WriteUnit, endpoint: Endpoint, reason: str) -> None:
        since = endpoint.failing.since if endpoint.failing is not None else unit.now
        off = switched_off(unit, replace(endpoint, disabled_reason=reason), since)
        endpoints.update(unit, off)
        self._events.record(unit, EventType.ENDPOINT_DISABLED, render.endpoint(off))
        unit.after_commit(lambda: log.error("webhook endpoint disabled", endpoint=endpoint.id, error=reason))


def attempt(number: int, started_at: datetime, outcome: AttemptOutcome) -> Attempt:
    """Return an attempt as it is stored and shown; `number` counts from 1."""
    return Attempt(
        number=number,
        started_at=started_at,
        duration_ms=outcome.duration_ms,
        status_code=outcome.status_code,
        error=outcome.error,
        detail=outcome.detail,
        excerpt=outcome.excerpt,
    )


def switched_off(unit: WriteUnit, endpoint: Endpoint, failing_since: datetime) -> Endpoint:
    """Abandon an endpoint's waiting deliveries and return the endpoint disabled, not stored yet.

    It has missed the deliveries abandoned since it began to fail, and misses all events from now on: `missed_since` is
    the earliest of these moments.
    """
    first = endpoint_cleanup.first_missed_at(unit, endpoint.id, min(failing_since, unit.now))
    endpoint_cleanup.give_up_waiting(unit, endpoint.id)
    moments = [moment for moment in (endpoint.missed_since, first, unit.now) if moment is not None]
    return replace(endpoint, active=False, missed_since=min(moments), failing=None, updated_at=unit.now)


def _count(recorded: Iterable[tuple[EndedAttempt, DeliveryStatus]]) -> None:
    is_logged = _lines.isEnabledFor(logging.DEBUG)
    for ended, status in recorded:
        _counter(ended.outcome.is_success).inc()
        metrics.WEBHOOK_SECONDS.observe(ended.outcome.duration_ms / 1000)
        if is_logged or not ended.outcome.is_success:
            _log(ended.delivery, ended.outcome, status)


@cache
def _counter(is_success: bool) -> Counter:
    """Return what counts attempts; the library looks the label up at every call."""
    return metrics.WEBHOOK_ATTEMPTS.labels("succeeded" if is_success else "failed")


def _log(delivery: DueDelivery, outcome: AttemptOutcome, status: DeliveryStatus) -> None:
    log_line = log.debug if outcome.is_success else log.warning
    log_line(
        "webhook delivered" if outcome.is_success else "webhook attempt failed",
        webhook_event=delivery.event_id,
        event_type=delivery.event_type,
        endpoint=delivery.endpoint_id,
        attempt=delivery.attempts + 1,
        status=status,
        duration_ms=outcome.duration_ms,
        **({} if outcome.detail is None else {"error": outcome.detail}),
    )
