"""Deliver events: take what is due, sign it, send it, have the attempt recorded.

Everything waits in the database, nothing in memory: after a kill, what was under way is simply due again. Receivers
tell repetitions by `webhook-id`.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from crypto_checkout.core.moments import Clock
from crypto_checkout.log import get_logger
from crypto_checkout.services.loops import every
from crypto_checkout.services.webhooks.attempts import AttemptRecorder
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.services.webhooks.pace import Pace
from crypto_checkout.store.database import Database, ReadUnit
from crypto_checkout.store.webhooks import deliveries
from crypto_checkout.store.webhooks.deliveries import DueDelivery, WaitingDelivery
from crypto_checkout.webhooks import signing
from crypto_checkout.webhooks.send import AttemptOutcome

log = get_logger("dispatcher")

_LOOK_EVERY_SECONDS = 5.0
"""How long until rows of another process are found; rows of this one wake the loop."""


class AttemptSender(Protocol):
    """Sends one attempt; see `webhooks.send.Sender`."""

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> AttemptOutcome:
        """POST a body once and say what came of it."""


@dataclass(frozen=True, slots=True)
class _Agenda:
    """What a look into the database found: endpoints that are switched on, what to start, and when to look again."""

    targets: list[str]
    chosen: list[DueDelivery]
    wait_seconds: float


class Dispatcher:
    """The loop that delivers one mode's events: test mode never takes a slot from live.

    Each endpoint has one attempt of its own, whatever the others do; so one that is slow or dead delays no other.
    Beside these `concurrency` attempts run at once, at most a quarter of them for one endpoint. How fast they follow
    each other is `services.webhooks.pace`. Setting `woken` has it look for due deliveries at once; `clock` says what is
    due.
    """

    def __init__(
        self,
        db: Database,
        sender: AttemptSender,
        events: Outbox,
        woken: asyncio.Event,
        *,
        livemode: bool,
        retry_seconds: Sequence[int],
        concurrency: int,
        clock: Clock,
    ) -> None:
        self._db = db
        self._sender = sender
        self._recorder = AttemptRecorder(events, retry_seconds=retry_seconds, clock=clock)
        self._concurrency = concurrency
        self._livemode = livemode
        self._per_endpoint = max(1, concurrency // 4)
        self._paces: dict[str, Pace] = {}
        self._clock = clock
        self._woken = woken
        self._in_flight: dict[int, tuple[str, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Deliver until cancelled; attempts under way are cancelled too, and due again at the next start."""
        try:
            failure = "deliveries could not be read"
            await every(_LOOK_EVERY_SECONDS, self.turn, log=log, failure=failure, woken=self._woken)
        finally:
            tasks = [task for _, task in self._in_flight.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def turn(self) -> float:
        """Start what is due and fits; return how many seconds the next look may wait."""
        running = Counter(endpoint_id for endpoint_id, _ in self._in_flight.values())
        under_way = set(self._in_flight)
        at = time.monotonic()
        rooms = {endpoint_id: pace.room(running[endpoint_id], at) for endpoint_id, pace in self._paces.items()}
        paused = [pace.wait_seconds(at) for endpoint_id, pace in self._paces.items() if not rooms[endpoint_id]]
        now = self._clock()
        agenda = await self._db.read(lambda unit: self._look(unit, now, running, under_way, rooms))
        news = set(agenda.targets) - set(self._paces)
        self._paces = {each: self._paces.get(each) or Pace(self._per_endpoint, at) for each in agenda.targets}
        for delivery in agenda.chosen:
            self._paces[delivery.endpoint_id].started(at)
            task = asyncio.create_task(self._deliver(delivery), name=f"delivery {delivery.seq}")
            self._in_flight[delivery.seq] = (delivery.endpoint_id, task)
        return 0.0 if news else min([agenda.wait_seconds, *(seconds for seconds in paused if seconds)])

    def _look(
        self,
        unit: ReadUnit,
        now: datetime,
        running: Mapping[str, int],
        under_way: set[int],
        rooms: Mapping[str, int],
    ) -> _Agenda:
        """Find what to start. It runs on a thread of the database: it is given what it needs, and changes nothing."""
        targets = deliveries.targets(unit, self._livemode)
        waiting = [
            each
            for endpoint_id in targets
            if rooms.get(endpoint_id)
            for each in deliveries.waiting(unit, endpoint_id, under_way, rooms[endpoint_id])
        ]
        due = sorted((each for each in waiting if each.next_attempt_at <= now), key=_by_time)
        later = ((each.next_attempt_at - now).total_seconds() for each in waiting if each.next_attempt_at > now)
        chosen = [deliveries.due(unit, each.seq, now) for each in _chosen(due, running, self._concurrency)]
        return _Agenda(targets, chosen, min([_LOOK_EVERY_SECONDS, *later]))

    async def _deliver(self, delivery: DueDelivery) -> None:
        try:
            started_at = self._clock()
            body = delivery.body.encode()
            headers = signing.headers(delivery.event_id, body, delivery.secrets, int(started_at.timestamp()))
            outcome = await self._sender.send(delivery.url, headers, body)
            self._note(delivery.endpoint_id, outcome)
            await self._db.write(lambda unit: self._recorder.record(unit, delivery, started_at, outcome))
        except Exception as error:  # a loop's boundary: one delivery's failure is its own, and it stays due
            log.exception("an attempt could not be recorded", delivery=delivery.seq, error=str(error))
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
        finally:
            del self._in_flight[delivery.seq]
            self._woken.set()

    def _note(self, endpoint_id: str, outcome: AttemptOutcome) -> None:
        pace = self._paces.get(endpoint_id)
        if pace is not None:  # it was not switched off meanwhile
            (pace.succeeded if outcome.is_success else pace.failed)(time.monotonic())


def _by_time(waiting: WaitingDelivery) -> tuple[datetime, int]:
    return waiting.next_attempt_at, waiting.seq


def _chosen(due: Iterable[WaitingDelivery], running: Mapping[str, int], concurrency: int) -> Iterator[WaitingDelivery]:
    """Yield what fits: one for each endpoint with nothing under way, and the oldest of the rest for what is shared."""
    here = Counter(running)
    shared = concurrency - sum(number - 1 for number in running.values() if number)
    for each in due:
        if here[each.endpoint_id]:
            if shared <= 0:
                continue
            shared -= 1
        here[each.endpoint_id] += 1
        yield each
