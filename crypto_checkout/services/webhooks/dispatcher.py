"""Deliver events: take the deliveries that are due, sign and send them, and have the attempts recorded.

The queue is in the database, not in memory: after a kill, deliveries that were in flight are due again. Receivers
recognise repetitions by `webhook-id`.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from crypto_checkout import descriptors, encryption
from crypto_checkout.core.errors import DatabaseFailed
from crypto_checkout.core.moments import Clock
from crypto_checkout.log import get_logger
from crypto_checkout.services.loops import every
from crypto_checkout.services.webhooks.attempts import AttemptRecorder, EndedAttempt
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

_FEW = 32
"""The most endpoints for which deliveries are chosen, and attempts that are recorded, on the event loop."""

_NOT_RECORDED = "an attempt could not be recorded"

_LATELY = timedelta(hours=1)
"""How long ago an endpoint may have accepted a delivery for its pace to grow fast after a restart."""


class AttemptSender(Protocol):
    """A sender of attempts; `webhooks.send.Sender` implements it."""

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> AttemptOutcome:
        """POST a body once, and return the outcome."""


@dataclass(frozen=True, slots=True)
class _Agenda:
    """The enabled endpoints, the deliveries to start, and the time until the next turn.

    `answered_lately` are those of the endpoints without a pace so far that were up a while ago.
    """

    targets: list[str]
    answered_lately: set[str]
    chosen: list[DueDelivery]
    wait_seconds: float


@dataclass(slots=True)
class _InFlight:
    """A delivery from its start until its attempt is recorded; `is_accepted` once the endpoint is done with it."""

    endpoint_id: str
    task: asyncio.Task[None]
    is_accepted: bool = False


class Dispatcher:
    """The loop that delivers one mode's events: test mode never takes a slot from live mode.

    Each endpoint always has one slot of its own, so a slow or dead endpoint delays no other. Beside these,
    `concurrency` deliveries are in flight, at most a quarter of them on their way to one endpoint: the others were
    accepted and wait for their record. `services.webhooks.pace` sets how fast they follow each other. Setting `woken`
    starts the next turn at once; `clock` decides what is due.
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
        self._secrets: dict[str, tuple[Sequence[str], Sequence[str]]] = {}
        self._clock = clock
        self._woken = woken
        self._in_flight: dict[int, _InFlight] = {}
        self._ended: list[EndedAttempt] = []
        self._recording: asyncio.Task[None] | None = None
        self._put_off_until: dict[int, asyncio.TimerHandle] = {}

    async def run(self) -> None:
        """Deliver until cancelled. Attempts in flight are cancelled too, and are due again when it runs again."""
        try:
            failure = "deliveries could not be read"
            await every(_POLL_SECONDS, self.turn, log=log, failure=failure, woken=self._woken)
        finally:
            tasks = [each.task for each in self._in_flight.values()]
            if self._recording is not None:
                tasks.append(self._recording)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for timer in self._put_off_until.values():
                timer.cancel()
            self._in_flight, self._ended, self._recording, self._put_off_until = {}, [], None, {}

    async def turn(self) -> float:
        """Start the deliveries that are due and fit; return the seconds until the next turn."""
        under_way = Counter(each.endpoint_id for each in self._in_flight.values() if not each.is_accepted)
        in_flight: defaultdict[str, set[int]] = defaultdict(set)
        for seq, each in self._in_flight.items():
            in_flight[each.endpoint_id].add(seq)
        at = time.monotonic()
        rooms = {endpoint_id: pace.room(under_way[endpoint_id], at) for endpoint_id, pace in self._paces.items()}
        paused = [pace.wait_seconds(at) for endpoint_id, pace in self._paces.items() if not rooms[endpoint_id]]
        now = self._clock()
        is_quick = len(rooms) <= _FEW
        agenda = await self._db.read(lambda unit: self._agenda(unit, now, in_flight, rooms), quick=is_quick)
        has_new = self._keep(agenda, at)
        for delivery in agenda.chosen:
            self._paces[delivery.endpoint_id].started(at)
            task = asyncio.create_task(self._deliver(delivery), name=f"delivery {delivery.seq}")
            self._in_flight[delivery.seq] = _InFlight(delivery.endpoint_id, task)
        return 0.0 if has_new else min([agenda.wait_seconds, *(seconds for seconds in paused if seconds)])

    def _agenda(
        self, unit: ReadUnit, now: datetime, in_flight: Mapping[str, Collection[int]], rooms: Mapping[str, int]
    ) -> _Agenda:
        """Choose the deliveries to start. It may run in a thread: it reads arguments, and changes nothing."""
        targets = deliveries.targets(unit, self._livemode)
        new = (each for each in targets if each not in rooms)
        answered_lately = {each for each in new if deliveries.answered_since(unit, each, now - _LATELY)}
        waiting = [
            each
            for endpoint_id in targets
            if rooms.get(endpoint_id)
            for each in deliveries.waiting(unit, endpoint_id, in_flight.get(endpoint_id, ()), rooms[endpoint_id])
        ]
        due = sorted((each for each in waiting if each.next_attempt_at <= now), key=_by_time)
        later = ((each.next_attempt_at - now).total_seconds() for each in waiting if each.next_attempt_at > now)
        running = {endpoint_id: len(seqs) for endpoint_id, seqs in in_flight.items()}
        chosen = deliveries.due(unit, [each.seq for each in _fitting(due, running, self._concurrency)], now)
        return _Agenda(targets, answered_lately, chosen, min([_POLL_SECONDS, *later]))

    def _keep(self, agenda: _Agenda, at: float) -> bool:
        """Keep paces and secrets for the endpoints on the agenda only; tell whether one of them has no pace so far."""
        new = [each for each in agenda.targets if each not in self._paces]
        for each in new:
            self._paces[each] = Pace(self._per_endpoint, at, answered_lately=each in agenda.answered_lately)
        for gone in self._paces.keys() - set(agenda.targets):
            del self._paces[gone]
            self._secrets.pop(gone, None)
        return bool(new)

    async def _deliver(self, delivery: DueDelivery) -> None:
        try:
            started_at = self._clock()
            body = delivery.body.encode()
            headers = signing.headers(delivery.event_id, body, self._secrets_of(delivery), int(started_at.timestamp()))
            outcome = await self._sender.send(delivery.url, headers, body)
        except Exception as error:  # a loop's boundary: one failure must not end the others; the delivery stays due
            log.exception(_NOT_RECORDED, delivery=delivery.seq, error=str(error))
            self._put_off(delivery)
            return
        if not outcome.is_success and outcome.status_code is None and descriptors.are_scarce():
            self._put_off(delivery)  # a fault of ours as likely as the endpoint's; an issue tells the owner
            return
        self._adjust_pace(delivery.endpoint_id, outcome)
        self._in_flight[delivery.seq].is_accepted = outcome.is_success
        self._ended.append(EndedAttempt(delivery, started_at, outcome))
        if self._recording is None or self._recording.done():
            self._recording = asyncio.create_task(self._record_ended(), name=f"attempts, livemode {self._livemode}")
        self._woken.set()

    def _secrets_of(self, delivery: DueDelivery) -> Sequence[str]:
        """Return the secrets that sign a delivery, decrypted again only if they changed."""
        encrypted, secrets = self._secrets.get(delivery.endpoint_id, ((), ()))
        if encrypted != delivery.secrets:
            secrets = self._db.cipher.decrypt_all(delivery.secrets, encryption.of_endpoint(delivery.endpoint_id))
            self._secrets[delivery.endpoint_id] = (delivery.secrets, secrets)
        return secrets

    def _put_off(self, delivery: DueDelivery) -> None:
        """Leave a delivery to a later turn, after a fault of ours."""
        timer = asyncio.get_running_loop().call_later(_POLL_SECONDS, self._release, delivery)
        self._put_off_until[delivery.seq] = timer

    def _release(self, *recorded: DueDelivery) -> None:
        for each in recorded:
            self._put_off_until.pop(each.seq, None)
            del self._in_flight[each.seq]
        self._woken.set()

    async def _record_ended(self) -> None:
        """Record all attempts that have ended, and those that end meanwhile."""
        while self._ended:
            ended, self._ended = self._ended, []
            await self._record(ended)

    async def _record(self, ended: Sequence[EndedAttempt]) -> None:
        """Record attempts in one unit; if it fails by a fault of ours, each alone."""
        try:
            await self._write(ended)
        except Exception as error:  # a loop's boundary: one failure must not end the others
            if len(ended) == 1:
                log.exception(_NOT_RECORDED, delivery=ended[0].delivery.seq, error=str(error))
                self._put_off(ended[0].delivery)
                return
            for each in ended:
                await self._record([each])
        else:
            self._release(*(each.delivery for each in ended))

    async def _write(self, ended: Sequence[EndedAttempt]) -> None:
        """Write attempts, and retry while the database fails: an unrecorded attempt would be sent again."""
        is_quick = len(ended) <= _FEW and all(each.outcome.is_success for each in ended)  # a failure may abandon many
        while True:
            try:
                await self._db.write(lambda unit: self._recorder.record(unit, ended), quick=is_quick)
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
