"""Deliver events: take what is due, sign it, send it, store the attempt, plan the next.

Everything waits in the database, nothing in memory: after a kill, what was under way is simply due again. Receivers
tell repetitions by `webhook-id`.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from crypto_checkout import metrics
from crypto_checkout.core import resources
from crypto_checkout.core.delivery import Attempt, DeliveryStatus
from crypto_checkout.core.events import EventType
from crypto_checkout.core.moments import Clock
from crypto_checkout.log import get_logger
from crypto_checkout.store import deliveries, endpoints
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.deliveries import Due
from crypto_checkout.webhooks import schedule, signing
from crypto_checkout.webhooks.send import Outcome

from .events import Events

log = get_logger("dispatcher")

_LOOK_EVERY_SECONDS = 5.0
"""How long until rows of another process are found; rows of this one wake the loop."""

GONE = "The endpoint answered 410 Gone."


class Sender(Protocol):
    """Sends one attempt; see `webhooks.send.Sender`."""

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """POST a body once and say what came of it."""


class Dispatcher:
    """The loop that delivers one mode's events: test mode never takes a slot from live.

    At most `concurrency` attempts run at once, a quarter of them for one endpoint, and one where the last one failed.
    Setting `woken` has it look for due deliveries at once.
    """

    def __init__(
        self,
        db: Database,
        sender: Sender,
        events: Events,
        woken: asyncio.Event,
        *,
        livemode: bool,
        retry_seconds: Sequence[int],
        concurrency: int,
        clock: Clock,
    ) -> None:
        self._db = db
        self._sender = sender
        self._events = events
        self._retry_seconds = retry_seconds
        self._concurrency = concurrency
        self._livemode = livemode
        self._per_endpoint = max(1, concurrency // 4)
        self._failing: set[str] = set()
        self._clock = clock
        self._woken = woken
        self._in_flight: dict[int, tuple[str, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Deliver until cancelled; attempts under way are cancelled too, and due again at the next start."""
        try:
            while True:
                self._woken.clear()
                try:
                    wait_seconds = await self.turn()
                except Exception as error:  # a loop's boundary: nothing may end the deliveries
                    log.exception("deliveries could not be read", error=str(error))
                    wait_seconds = _LOOK_EVERY_SECONDS
                await self._pause(wait_seconds)
        finally:
            tasks = [task for _, task in self._in_flight.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def turn(self) -> float:
        """Start what is due and fits; return how many seconds the next look may wait."""
        free = self._concurrency - len(self._in_flight)
        if free <= 0:
            return _LOOK_EVERY_SECONDS

        in_flight = {seq: endpoint_id for seq, (endpoint_id, _) in self._in_flight.items()}

        def read(unit: ReadUnit) -> tuple[list[Due], datetime | None]:
            due = deliveries.due(unit, self._livemode, in_flight, self._slots, free)
            return due, deliveries.next_due_at(unit)

        due, next_at = await self._db.read(read)
        for delivery in due:
            task = asyncio.create_task(self._deliver(delivery), name=f"delivery {delivery.seq}")
            self._in_flight[delivery.seq] = (delivery.endpoint_id, task)
        if next_at is None:
            return _LOOK_EVERY_SECONDS
        return min(max(0.0, (next_at - self._clock()).total_seconds()), _LOOK_EVERY_SECONDS)

    def _slots(self, endpoint_id: str) -> int:
        """Return how many attempts may run at once for an endpoint."""
        return 1 if endpoint_id in self._failing else self._per_endpoint

    async def _deliver(self, delivery: Due) -> None:
        try:
            started_at = self._clock()
            body = delivery.body.encode()
            headers = signing.headers(delivery.event_id, body, delivery.secrets, int(started_at.timestamp()))
            outcome = await self._sender.send(delivery.url, headers, body)
            (self._failing.discard if outcome.is_success else self._failing.add)(delivery.endpoint_id)
            await self._db.write(lambda unit: self._record(unit, delivery, started_at, outcome))
        except Exception as error:  # a loop's boundary: one delivery's failure is its own, and it stays due
            log.exception("an attempt could not be recorded", delivery=delivery.seq, error=str(error))
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
        finally:
            del self._in_flight[delivery.seq]
            self._woken.set()

    def _record(self, unit: WriteUnit, delivery: Due, started_at: datetime, outcome: Outcome) -> None:
        attempts_made = delivery.attempts + 1 - delivery.replayed_from
        status, next_at = self._next(unit.now, attempts_made, outcome)
        endpoint = endpoints.get(unit, delivery.endpoint_id)
        if status is DeliveryStatus.PENDING and endpoint is not None and not endpoint.active:
            status, next_at = DeliveryStatus.ABANDONED, None  # it was switched off while this was under way
        attempt = Attempt(
            started_at=started_at,
            duration_ms=outcome.duration_ms,
            status_code=outcome.status_code,
            error=outcome.error,
            excerpt=outcome.excerpt,
        )
        if not deliveries.record_attempt(unit, delivery, attempt, status, next_at):
            return
        if outcome.is_gone:
            self._disable(unit, delivery)
        unit.after_commit(lambda: _count_attempt(delivery, outcome, status))

    def _next(self, now: datetime, attempts_made: int, outcome: Outcome) -> tuple[DeliveryStatus, datetime | None]:
        if outcome.is_success:
            return DeliveryStatus.SUCCEEDED, None
        delay = schedule.next_delay_seconds(
            attempts_made,
            self._retry_seconds,
            jitter=random.uniform(-1, 1),  # noqa: S311 - it spreads load, nothing depends on it
            retry_after_seconds=outcome.retry_after_seconds,
        )
        if delay is None or outcome.is_gone:
            return DeliveryStatus.ABANDONED, None
        return DeliveryStatus.PENDING, now + timedelta(seconds=delay)

    def _disable(self, unit: WriteUnit, delivery: Due) -> None:
        endpoint = endpoints.get(unit, delivery.endpoint_id)
        if endpoint is None or not endpoint.active or endpoint.url != delivery.url:
            return  # it was changed meanwhile: the answer came from somewhere else
        disabled = replace(endpoint, active=False, disabled_reason=GONE, updated_at=unit.now)
        endpoints.update(unit, disabled)
        deliveries.abandon_pending(unit, endpoint.id)
        self._events.record(unit, EventType.ENDPOINT_DISABLED, resources.endpoint(disabled))

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass


def _count_attempt(delivery: Due, outcome: Outcome, status: DeliveryStatus) -> None:
    metrics.WEBHOOK_ATTEMPTS.labels("succeeded" if outcome.is_success else "failed").inc()
    metrics.WEBHOOK_SECONDS.observe(outcome.duration_ms / 1000)
    say = log.info if outcome.is_success else log.warning
    say(
        "webhook delivered" if outcome.is_success else "webhook attempt failed",
        webhook_event=delivery.event_id,
        event_type=delivery.event_type,
        endpoint=delivery.endpoint_id,
        attempt=delivery.attempts + 1,
        status=status,
        duration_ms=outcome.duration_ms,
        **({} if outcome.detail is None else {"error": outcome.detail}),
    )
