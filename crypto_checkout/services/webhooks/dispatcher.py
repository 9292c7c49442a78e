"""Deliver events: take the deliveries that are due, sign and send them, and have the attempts recorded.

The queue is in the database, not in memory: after a kill, deliveries that were in flight are due again. Receivers
recognise repetitions by `webhook-id`.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from crypto_checkout import encryption
from crypto_checkout.core.errors import DatabaseFailed
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

_POLL_SECONDS = 5.0
"""The longest wait for rows of another process; rows of this one wake the loop."""


class AttemptSender(Protocol):
    """A sender of attempts; `webhooks.send.Sender` implements it."""

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> AttemptOutcome:
        """POST a body once, and return the outcome."""


@dataclass(frozen=True, slots=True)
class _Agenda:
    """The enabled endpoints, the deliveries to start, and the time until the next turn."""

    targets: list[str]
    chosen: list[DueDelivery]
    wait_seconds: float


class Dispatcher:
    """The loop that delivers one mode's events: test mode never takes a slot from live mode.

    Each endpoint always has one slot of its own, so a slow or dead endpoint delays no other. Beside these,
    `concurrency` attempts run at once, at most a quarter of them for one endpoint. `services.webhooks.pace` sets how
    fast they follow each other. Setting `woken` starts the next turn at once; `clock` decides what is due.
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
        """Deliver until cancelled. Attempts in flight are cancelled too, and are due again at the next start."""
        try:
            failure = "deliveries could not be read"
            await every(_POLL_SECONDS, self.turn, log=log, failure=failure, woken=self._woken)
        finally:
            tasks = [task for _, task in self._in_flight.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def turn(self) -> float:
        """Start the deliveries that are due and fit; return the seconds until the next turn."""
        running = Counter(endpoint_id for endpoint_id, _ in self._in_flight.values())
        in_flight = set(self._in_flight)
        at = time.monotonic()
        rooms = {endpoint_id: pace.room(running[endpoint_id], at) for endpoint_id, pace in self._paces.items()}
        paused = [pace.wait_seconds(at) for endpoint_id, pace in self._paces.items() if not rooms[endpoint_id]]
        now = self._clock()
        agenda = await self._db.read(lambda unit: self._agenda(unit, now, running, in_flight, rooms))
        new = set(agenda.targets) - set(self._paces)
        self._paces = {each: self._paces.get(each) or Pace(self._per_endpoint, at) for each in agenda.targets}
        for delivery in agenda.chosen:
            self._paces[delivery.endpoint_id].started(at)
            task = asyncio.create_task(self._deliver(delivery), name=f"delivery {delivery.seq}")
            self._in_flight[delivery.seq] = (delivery.endpoint_id, task)
        return 0.0 if new else min([agenda.wait_seconds, *(seconds for seconds in paused if seconds)])

    def _agenda(
        self,
        unit: ReadUnit,
        now: datetime,
        running: Mapping[str, int],
        in_flight: set[int],
        rooms: Mapping[str, int],
    ) -> _Agenda:
        """Choose the deliveries to start. Runs in a thread of the database: it reads arguments, and changes nothing."""
        targets = deliveries.targets(unit, self._livemode)
        waiting = [
            each
            for endpoint_id in targets
            if rooms.get(endpoint_id)
            for each in deliveries.waiting(unit, endpoint_id, in_flight, rooms[endpoint_id])
        ]
        due = sorted((each for each in waiting if each.next_attempt_at <= now), key=_by_time)
        later = ((each.next_attempt_at - now).total_seconds() for each in waiting if each.next_attempt_at > now)
        chosen = [deliveries.due(unit, each.seq, now) for each in _fitting(due, running, self._concurrency)]
        return _Agenda(targets, chosen, min([_POLL_SECONDS, *later]))

    async def _deliver(self, delivery: DueDelivery) -> None:
        try:
            started_at = self._clock()
            body = delivery.body.encode()
            place = encryption.of_endpoint(delivery.endpoint_id)
            secrets = self._db.cipher.decrypt_all(delivery.secrets, place)
            headers = signing.headers(delivery.event_id, body, secrets, int(started_at.timestamp()))
            outcome = await self._sender.send(delivery.url, headers, body)
            self._adjust_pace(delivery.endpoint_id, outcome)
            await self._record(delivery, started_at, outcome)
        except Exception as error:  # a loop's boundary: one failure must not end the others; the delivery stays due
            log.exception("an attempt could not be recorded", delivery=delivery.seq, error=str(error))
            await asyncio.sleep(_POLL_SECONDS)
        finally:
            del self._in_flight[delivery.seq]
            self._woken.set()

    async def _record(self, delivery: DueDelivery, started_at: datetime, outcome: AttemptOutcome) -> None:
        """Record an attempt, and retry while the database fails: an unrecorded attempt would be sent again."""
        while True:
            try:
                await self._db.write(lambda unit: self._recorder.record(unit, delivery, started_at, outcome))
            except DatabaseFailed:
                await asyncio.sleep(_POLL_SECONDS)
            else:
                return

    def _adjust_pace(self, endpoint_id: str, outcome: AttemptOutcome) -> None:
        pace = self._paces.get(endpoint_id)
        if pace is not None:  # None: the endpoint was disabled meanwhile
            (pace.succeeded if outcome.is_success else pace.failed)(time.monotonic())


def _by_time(waiting: WaitingDelivery) -> tuple[datetime, int]:
    return waiting.next_attempt_at, waiting.seq


def _fitting(due: Iterable[WaitingDelivery], running: Mapping[str, int], concurrency: int) -> Iterator[WaitingDelivery]:
    """Yield one delivery for each idle endpoint, and the oldest of the others for the shared slots."""
    occupied = Counter(running)
    shared = concurrency - sum(number - 1 for number in running.values() if number)
    for each in due:
        if occupied[each.endpoint_id]:
            if shared <= 0:
                continue
            shared -= 1
        occupied[each.endpoint_id] += 1
        yield each
