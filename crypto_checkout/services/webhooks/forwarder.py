"""Follow the event log and forward each event to a developer's own server, for `crypto-checkout listen`.

Unlike `services.webhooks.dispatcher` it stores nothing: its place in the log is lost when it ends.
"""

import asyncio
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from crypto_checkout.core.moments import Clock
from crypto_checkout.services.webhooks.dispatcher import AttemptSender
from crypto_checkout.store.database import Database
from crypto_checkout.store.paging import ListPage, Window
from crypto_checkout.store.webhooks import events as store
from crypto_checkout.webhooks import signing
from crypto_checkout.webhooks.send import AttemptOutcome, Failure

_MOST_AT_ONCE = 100
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ForwardedEvent:
    """An event of the log; `body` is the JSON text that webhooks carry."""

    id: str
    type: str
    livemode: bool
    created_at: str
    body: str


class EventFeed:
    """The events of some modes from a place in the log on, each once and in order; `types` is None for all types.

    The place outlives the connection: the next `read` may use the same database opened again, or restored from a
    backup, in which no place is used twice (`store.data_folder.restore`).
    """

    def __init__(self, modes: Collection[bool], types: Collection[str] | None) -> None:
        self._modes = modes
        self._types = types
        self._places: dict[bool, int] = {}

    async def begin(self, db: Database, since: datetime | None) -> None:
        """Start after a moment, or with the next event if it is None."""
        for livemode in self._modes:
            newest = await self._page(db, livemode, store.EventFilter(), Window(1))
            place = newest.first_seq or 0
            if since is not None:
                first = await self._page(db, livemode, store.EventFilter(created_after=since), Window(1, before=0))
                place = place if first.first_seq is None else first.first_seq - 1
            self._places[livemode] = place

    async def read(self, db: Database) -> list[ForwardedEvent]:
        """Return the new events of the chosen types, oldest first."""
        found: list[ForwardedEvent] = []
        for livemode, place in self._places.items():
            page = await self._page(db, livemode, store.EventFilter(), Window(_MOST_AT_ONCE, before=place))
            if page.first_seq is not None:
                self._places[livemode] = page.first_seq
            found += [_event(body) for body in page.items]
        chosen = [event for event in found if self._types is None or event.type in self._types]
        return sorted(chosen, key=lambda event: (event.created_at, event.id))

    async def _page(self, db: Database, livemode: bool, filters: store.EventFilter, window: Window) -> ListPage[str]:
        return await db.read(partial(store.bodies, livemode=livemode, filters=filters, window=window))


class Forwarder:
    """Sends events to one URL, one after another, retrying each until it is answered.

    Args:
        sender: sends one attempt.
        url: the receiver.
        secret: signs the events.
        clock: the time.
        report: called after each attempt with the event, its outcome, and whether it is retried.

    """

    def __init__(
        self,
        sender: AttemptSender,
        url: str,
        secret: str,
        clock: Clock,
        report: Callable[[ForwardedEvent, AttemptOutcome, bool], None],
    ) -> None:
        self._sender = sender
        self._url = url
        self._secret = secret
        self._clock = clock
        self._report = report

    async def forward(self, event: ForwardedEvent) -> None:
        """Send an event, retrying while the server is unreachable. Any answer ends it."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            body = event.body.encode()
            headers = signing.headers(event.id, body, [self._secret], int(self._clock().timestamp()))
            outcome = await self._sender.send(self._url, headers, body)
            again = _is_down(outcome)
            self._report(event, outcome, again)
            if not again:
                return
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE_SECONDS, 2 * pause)


def _is_down(outcome: AttemptOutcome) -> bool:
    """Tell whether the server is unreachable. A timeout isn't: the developer may be at a breakpoint."""
    return outcome.status_code is None and outcome.error is not Failure.TIMEOUT


def _event(body: str) -> ForwardedEvent:
    event = json.loads(body)
    return ForwardedEvent(event["id"], event["type"], event["livemode"], event["createdAt"], body)
