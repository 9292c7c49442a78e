"""Deliver events: take the deliveries that are due, sign and send them, and have the attempts recorded.

The queue is in the database, not in memory: after a kill, deliveries that were in flight are due again. Receivers
recognise repetitions by `webhook-id`.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Protocol, TypeVar

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
from crypto_checkout.webhooks.send import AttemptOutcome
from crypto_checkout.webhooks.signing import DeliverySigner

log = get_logger("dispatcher")

_POLL_SECONDS = 5.0
"""The longest wait for rows of another process; rows of this one wake the loop."""

_FEW = 32
"""The most endpoints for which deliveries are chosen, and attempts that are recorded, on the event loop."""

_AHEAD = 16
"""The number of deliveries that a turn reads beyond those that fit, for slots that become free soon."""

_AHEAD_SECONDS = 0.2
"""How long they hold at most. A change by this process ends that time, one by a command beside it may not."""

_LAST_SECONDS = 1.0
"""How long attempts that have begun may take to end, and to be recorded, when the loop ends."""

_LATELY = timedelta(hours=1)
"""How long ago an endpoint may have accepted a delivery for its pace to grow fast after a restart."""


_AnyDelivery = TypeVar("_AnyDelivery", WaitingDelivery, DueDelivery)


class AttemptSender(Protocol):
    """A sender of attempts; `webhooks.send.Sender` implements it."""

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> AttemptOutcome:
        """POST a body once, and return the outcome."""


@dataclass(frozen=True, slots=True)
class _Agenda:
    """The enabled endpoints, the next deliveries, oldest first, and the time until the next turn.

    `answered_lately` are those of the endpoints without a pace so far that were up a while ago. `has_more` tells that
    other deliveries may be due.
    """

    targets: list[str]
    answered_lately: set[str]
    chosen: list[DueDelivery]
    has_more: bool
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
    starts the next turn at once, which forgets what was read before; `clock` decides what is due.
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
        self._signers: dict[str, tuple[Sequence[str], DeliverySigner]] = {}
        self._clock = clock
        self._woken = woken
        self._in_flight: dict[int, _InFlight] = {}
        self._ahead: list[DueDelivery] = []
        self._has_more = False
        self._holds_until = 0.0
        self._going_on: asyncio.Handle | None = None
        self._ended: list[EndedAttempt] = []
        self._recording: asyncio.Task[None] | None = None
        self._put_off_until: dict[int, asyncio.TimerHandle] = {}

    async def run(self) -> None:
        """Deliver until cancelled. Attempts that don't end soon are cancelled too, and are due again."""
        try:
            failure = "deliveries could not be read"
            await every(_POLL_SECONDS, self.turn, log=log, failure=failure, woken=self._woken)
        finally:
            await self._end()

    async def _end(self) -> None:
        """Start nothing more, and let attempts that have begun end and be recorded, for a moment only."""
        self._ahead, self._has_more = [], False
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_SECONDS):
                await asyncio.gather(*(each.task for each in self._in_flight.values()), return_exceptions=True)
                if self._recording is not None:
                    await asyncio.gather(self._recording, return_exceptions=True)
        if self._recording is not None:
            self._recording.cancel()
            await asyncio.gather(self._recording, return_exceptions=True)
        for timer in self._put_off_until.values():
            timer.cancel()
        if self._going_on is not None:
            self._going_on.cancel()
            self._going_on = None
        self._in_flight, self._ended, self._recording, self._put_off_until = {}, [], None, {}

    async def turn(self) -> float:
        """Start the deliveries that are due and fit; return the seconds until the next turn."""
        self._ahead, self._has_more = [], True  # a slot that becomes free meanwhile has another turn follow
        under_way = self._under_way()
        in_flight: defaultdict[str, set[int]] = defaultdict(set)
        for seq, each in self._in_flight.items():
            in_flight[each.endpoint_id].add(seq)
        at = time.monotonic()
        rooms = {endpoint_id: pace.room(under_way[endpoint_id], at) for endpoint_id, pace in self._paces.items()}
        paused = [pace.wait_seconds(at) for endpoint_id, pace in self._paces.items() if not rooms[endpoint_id]]
        full = [endpoint_id for endpoint_id, pace in self._paces.items() if pace.is_full]
        limits = rooms | {endpoint_id: rooms[endpoint_id] + max(1, _AHEAD // len(full)) for endpoint_id in full}
        now = self._clock()
        is_quick = len(rooms) <= _FEW
        agenda = await self._db.read(lambda unit: self._agenda(unit, now, in_flight, limits), quick=is_quick)
        has_new = self._keep(agenda, at)
        self._ahead, self._has_more, self._holds_until = agenda.chosen, agenda.has_more, at + _AHEAD_SECONDS
        self._start()
        return 0.0 if has_new else min([agenda.wait_seconds, *(seconds for seconds in paused if seconds)])

    def _start(self) -> None:
        """Start those of the deliveries ahead that fit now."""
        at, under_way = time.monotonic(), self._under_way()
        running = Counter(each.endpoint_id for each in self._in_flight.values())
        endpoint_ids = {each.endpoint_id for each in self._ahead}
        rooms = {each: self._paces[each].room(under_way[each], at) for each in endpoint_ids}
        for delivery in _fitting(self._ahead, running, rooms, self._concurrency):
            self._paces[delivery.endpoint_id].started(at)
            task = asyncio.create_task(self._deliver(delivery), name=f"delivery {delivery.seq}")
            self._in_flight[delivery.seq] = _InFlight(delivery.endpoint_id, task)
        self._ahead = [each for each in self._ahead if each.seq not in self._in_flight]

    def _go_on(self) -> None:
        """Use a slot that became free, together with the others that do in this turn of the event loop."""
        if self._going_on is None:
            self._going_on = asyncio.get_running_loop().call_soon(self._use_free_slots)

    def _use_free_slots(self) -> None:
        """Start what is ahead, or have the next turn read more."""
        self._going_on = None
        if self._woken.is_set():
            return  # it reads all anew
        if self._ahead and time.monotonic() < self._holds_until:
            self._start()
        elif self._ahead or self._has_more:
            self._woken.set()

    def _under_way(self) -> Counter[str]:
        return Counter(each.endpoint_id for each in self._in_flight.values() if not each.is_accepted)

    def _agenda(
        self, unit: ReadUnit, now: datetime, in_flight: Mapping[str, Collection[int]], limits: Mapping[str, int]
    ) -> _Agenda:
        """Choose the next deliveries. It may run in a thread: it reads arguments, and changes nothing."""
        targets = deliveries.targets(unit, self._livemode)
        new = (each for each in targets if each not in limits)
        answered_lately = {each for each in new if deliveries.answered_since(unit, each, now - _LATELY)}
        found = {
            endpoint_id: deliveries.waiting(unit, endpoint_id, in_flight.get(endpoint_id, ()), limits[endpoint_id])
            for endpoint_id in targets
            if limits.get(endpoint_id)
        }
        waiting = list(chain.from_iterable(found.values()))
        due = sorted((each for each in waiting if each.next_attempt_at <= now), key=_by_time)
        later = ((each.next_attempt_at - now).total_seconds() for each in waiting if each.next_attempt_at > now)
        running = {endpoint_id: len(seqs) for endpoint_id, seqs in in_flight.items()}
        fitting = list(_fitting(due, running, limits, self._concurrency + _AHEAD))
        is_cut_off = any(len(found.get(each, ())) >= limits.get(each, 0) for each in targets)
        chosen = deliveries.due(unit, [each.seq for each in fitting], now)
        has_more = is_cut_off or len(fitting) < len(due)
        return _Agenda(targets, answered_lately, chosen, has_more, min([_POLL_SECONDS, *later]))

    def _keep(self, agenda: _Agenda, at: float) -> bool:
        """Keep paces and signers for the endpoints on the agenda only; tell whether one of them has no pace so far."""
        new = [each for each in agenda.targets if each not in self._paces]
        for each in new:
            self._paces[each] = Pace(self._per_endpoint, at, answered_lately=each in agenda.answered_lately)
        for gone in self._paces.keys() - set(agenda.targets):
            del self._paces[gone]
            self._signers.pop(gone, None)
        return bool(new)

    async def _deliver(self, delivery: DueDelivery) -> None:
        try:
            started_at = self._clock()
            body = delivery.body.encode()
            headers = self._signer_of(delivery).headers(delivery.event_id, body, int(started_at.timestamp()))
            outcome = await self._sender.send(delivery.url, headers, body)
        except Exception as error:  # a loop's boundary: one failure must not end the others; the delivery stays due
            log.exception("a delivery could not be sent", delivery=delivery.seq, error=str(error))
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
        self._go_on()

    def _signer_of(self, delivery: DueDelivery) -> DeliverySigner:
        """Return what signs a delivery, made again only if the secrets changed."""
        encrypted, signer = self._signers.get(delivery.endpoint_id, ((), None))
        if signer is None or encrypted != delivery.secrets:
            signer = DeliverySigner(
                self._db.cipher.decrypt_all(delivery.secrets, encryption.of_endpoint(delivery.endpoint_id))
            )
            self._signers[delivery.endpoint_id] = (delivery.secrets, signer)
        return signer

    def _put_off(self, delivery: DueDelivery) -> None:
        """Leave a delivery to a later turn, after a fault of ours."""
        timer = asyncio.get_running_loop().call_later(_POLL_SECONDS, self._release, delivery)
        self._put_off_until[delivery.seq] = timer

    def _release(self, delivery: DueDelivery) -> None:
        del self._put_off_until[delivery.seq], self._in_flight[delivery.seq]
        self._woken.set()

    async def _record_ended(self) -> None:
        """Record all attempts that have ended, and those that end meanwhile."""
        while self._ended:
            ended, self._ended = self._ended, []
            await self._record(ended)

    async def _record(self, ended: Sequence[EndedAttempt]) -> None:
        """Record attempts in one unit; if it fails by a fault of ours, each alone."""
        try:
            have_succeeded = await self._write(ended)
        except Exception as error:  # a loop's boundary: one failure must not end the others
            if len(ended) == 1:
                log.exception("an attempt could not be recorded", delivery=ended[0].delivery.seq, error=str(error))
                self._put_off(ended[0].delivery)
                return
            for each in ended:
                await self._record([each])
            return
        for each in ended:
            del self._in_flight[each.delivery.seq]
        if have_succeeded:
            self._go_on()
        else:
            self._woken.set()  # a turn tells when the next attempts are due

    async def _write(self, ended: Sequence[EndedAttempt]) -> bool:
        """Write attempts, and retry while the database fails: an unrecorded attempt would be sent again.

        Return whether all of them succeeded.
        """
        is_quick = len(ended) <= _FEW and all(each.outcome.is_success for each in ended)  # a failure may abandon many
        while True:
            try:
                return await self._db.write(lambda unit: self._recorder.record(unit, ended), quick=is_quick)
            except DatabaseFailed:
                await asyncio.sleep(_POLL_SECONDS)

    def _adjust_pace(self, endpoint_id: str, outcome: AttemptOutcome) -> None:
        pace = self._paces.get(endpoint_id)
        if pace is not None:  # None: the endpoint was disabled meanwhile
            (pace.succeeded if outcome.is_success else pace.failed)(time.monotonic())


def _by_time(waiting: WaitingDelivery) -> tuple[datetime, int]:
    return waiting.next_attempt_at, waiting.seq


def _fitting(
    due: Iterable[_AnyDelivery], running: Mapping[str, int], rooms: Mapping[str, int], concurrency: int
) -> Iterator[_AnyDelivery]:
    """Yield one delivery for each idle endpoint, and the oldest of the others for the shared slots, up to `rooms`."""
    occupied, started = Counter(running), Counter[str]()
    shared = concurrency - sum(number - 1 for number in running.values() if number)
    for each in due:
        if started[each.endpoint_id] >= rooms[each.endpoint_id]:
            continue
        if occupied[each.endpoint_id]:
            if shared <= 0:
                continue
            shared -= 1
        occupied[each.endpoint_id] += 1
        started[each.endpoint_id] += 1
        yield each
