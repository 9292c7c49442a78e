"""Follow the event log and forward each event to a developer's own server: what `crypto-checkout listen` does.

Unlike `services.webhooks.dispatcher` it stores nothing: what it has forwarded is known for as long as it runs.
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
    """An event of the log; `body` is its text as webhooks carry it."""

    id: str
    type: str
    livemode: bool
    created_at: str
    body: str


class EventFeed:
    """The events of some modes since a place in the log, each once and in order; `types` of None means all types.

    The place outlives the connection: the next `read` may be from the same database opened anew, or put back from a
    copy, where no place is used twice (`store.data_folder.backup`).
    """

    def __init__(self, modes: Collection[bool], types: Collection[str] | None) -> None:
        self._modes = modes
        self._types = types
        self._places: dict[bool, int] = {}

    async def begin(self, db: Database, since: datetime | None) -> None:
        """Begin after a moment, or with what happens from now on."""
        for livemode in self._modes:
            newest = await self._page(db, livemode, store.EventFilter(), Window(1))
            place = newest.first_seq or 0
            if since is not None:
                first = await self._page(db, livemode, store.EventFilter(created_after=since), Window(1, before=0))
                place = place if first.first_seq is None else first.first_seq - 1
            self._places[livemode] = place

    async def read(self, db: Database) -> list[ForwardedEvent]:
        """Return what is new, oldest first; what isn't of the wanted types is passed over."""
        found: list[ForwardedEvent] = []
        for livemode, place in self._places.items():
            page = await self._page(db, livemode, store.EventFilter(), Window(_MOST_AT_ONCE, before=place))
            if page.first_seq is not None:
                self._places[livemode] = page.first_seq
            found += [_told(body) for body in page.items]
        wanted = [event for event in found if self._types is None or event.type in self._types]
        return sorted(wanted, key=lambda event: (event.created_at, event.id))

    async def _page(self, db: Database, livemode: bool, wanted: store.EventFilter, window: Window) -> ListPage[str]:
        return await db.read(partial(store.bodies, livemode=livemode, wanted=wanted, window=window))


class Forwarder:
    """Sends events to one URL, one after the other, each until it is answered.

    Args:
        sender: sends an attempt.
        url: where to.
        secret: what they are signed with.
        clock: the time.
        say: told of each attempt: the event, what came of it, and whether it is tried again.

    """

    def __init__(
        self,
        sender: AttemptSender,
        url: str,
        secret: str,
        clock: Clock,
        say: Callable[[ForwardedEvent, AttemptOutcome, bool], None],
    ) -> None:
        self._sender = sender
        self._url = url
        self._secret = secret
        self._clock = clock
        self._say = say

    async def forward(self, event: ForwardedEvent) -> None:
        """Send an event, again for as long as nothing answers there. An answer is the end, whichever it is."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            body = event.body.encode()
            headers = signing.headers(event.id, body, [self._secret], int(self._clock().timestamp()))
            outcome = await self._sender.send(self._url, headers, body)
            again = _is_down(outcome)
            self._say(event, outcome, again)
            if not again:
                return
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE_SECONDS, 2 * pause)


def _is_down(outcome: AttemptOutcome) -> bool:
    """Tell whether nothing is there. What takes too long is there: its developer may sit at a breakpoint."""
    return outcome.status_code is None and outcome.error is not Failure.TIMEOUT


def _told(body: str) -> ForwardedEvent:
    event = json.loads(body)
    return ForwardedEvent(event["id"], event["type"], event["livemode"], event["createdAt"], body)
