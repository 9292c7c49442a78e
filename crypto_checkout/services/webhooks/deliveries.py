"""List deliveries, replay them, and send a test to an endpoint. Sending itself is `services.webhooks.dispatcher`."""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime

from crypto_checkout import encryption
from crypto_checkout.core import ids
from crypto_checkout.core.errors import InvalidBody, RateLimitExceeded, ResourceNotFound
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.public import render
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.core.public.webhook_types import AttemptedResource, DeliveryResource, ReplayResource
from crypto_checkout.core.webhooks.delivery import DeliveryStatus
from crypto_checkout.core.webhooks.endpoint import ALL_EVENTS, Endpoint
from crypto_checkout.core.webhooks.events import Event, EventType
from crypto_checkout.services.webhooks.attempts import attempt
from crypto_checkout.services.webhooks.dispatcher import AttemptSender
from crypto_checkout.services.webhooks.endpoints import check_scopes, find
from crypto_checkout.store import paging
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.webhooks import deliveries, endpoints, replays
from crypto_checkout.store.webhooks import events as event_store
from crypto_checkout.webhooks import signing

MOST_TESTS = 8
"""The most tests under way in a mode: each holds a connection, for as long as the endpoint takes to answer."""


class Deliveries:
    """The deliveries of both modes.

    Args:
        db: where deliveries are stored.
        sender: sends the tests.
        wake: wakes the dispatcher of a mode.
        clock: the time.
        example: makes the paid session that a test carries.

    """

    def __init__(
        self,
        db: Database,
        sender: AttemptSender,
        wake: Callable[[bool], None],
        clock: Clock,
        example: Callable[[], SessionResource],
    ) -> None:
        self._db = db
        self._sender = sender
        self._wake = wake
        self._clock = clock
        self._example = example
        self._tests: Counter[bool] = Counter()

    async def listed(
        self, livemode: bool, endpoint_id: str, status: DeliveryStatus | None, window: paging.Window
    ) -> paging.ListPage[DeliveryResource]:
        """Return a page of an endpoint's deliveries. Raises ResourceNotFound."""

        def read(unit: ReadUnit) -> paging.ListPage[DeliveryResource]:
            endpoint = find(unit, endpoint_id, livemode)
            return deliveries.listed(unit, endpoint.id, status, window).map(render.delivery)

        return await self._db.read(read)

    async def get(self, livemode: bool, endpoint_id: str, event_id: str) -> tuple[DeliveryResource, str]:
        """Return one delivery, and the body that it sends. Raises ResourceNotFound."""

        def read(unit: ReadUnit) -> tuple[DeliveryResource, str]:
            endpoint = find(unit, endpoint_id, livemode)
            delivery = deliveries.of_event(unit, endpoint.id, event_id)
            body = event_store.body(unit, event_id, livemode)
            if delivery is None or body is None:
                raise ResourceNotFound(f"There is no delivery of event {event_id[:40]} to this endpoint.")
            return render.delivery(delivery), body

        return await self._db.read(read)

    async def test(self, livemode: bool, endpoint_id: str) -> AttemptedResource:
        """Send a made-up `session.paid` to an endpoint once, and return the result. Nothing is stored.

        Its event has `livemode: false`, even for a live endpoint. Raises ResourceNotFound, and RateLimitExceeded while
        others of the mode are under way.
        """
        if self._tests[livemode] >= MOST_TESTS:
            raise RateLimitExceeded(f"{MOST_TESTS} tests of endpoints are under way.", retry_after_seconds=1)
        self._tests[livemode] += 1
        try:
            return await self._test(livemode, endpoint_id)
        finally:
            self._tests[livemode] -= 1

    async def _test(self, livemode: bool, endpoint_id: str) -> AttemptedResource:
        endpoint = await self._db.read(lambda unit: find(unit, endpoint_id, livemode))
        session = self._example()
        started_at = self._clock()
        event_id = session["id"].replace(ids.SESSION, ids.EVENT, 1)
        event = Event(event_id, False, EventType.SESSION_PAID, started_at, session)
        body = render.json_bytes(render.event(event))
        secrets = self._db.cipher.decrypt_all(endpoint.secrets(started_at), encryption.of_endpoint(endpoint.id))
        if not secrets:
            raise InvalidBody(
                "The endpoint's signing secret can't be read any more, since secret.key was lost: rotate it."
            )
        headers = signing.headers(event.id, body, secrets, int(started_at.timestamp()))
        outcome = await self._sender.send(endpoint.url, headers, body)
        return {
            "object": "webhook_attempt",
            "endpointId": endpoint.id,
            "succeeded": outcome.is_success,
            "attempt": render.attempt(attempt(1, started_at, outcome)),
        }

    def replay_event(
        self, livemode: bool, endpoint_id: str, event_id: str, scopes: Collection[str] | None = None
    ) -> Callable[[WriteUnit], ReplayResource]:
        """Return the unit that queues one event again.

        `scopes` are those of the asking key; None for the owner. It raises ResourceNotFound, and InsufficientScope for
        an event that the endpoint doesn't subscribe to and the key may not read.
        """

        def work(unit: WriteUnit) -> ReplayResource:
            endpoint = find(unit, endpoint_id, livemode)
            event_type = event_store.type_of(unit, event_id, livemode)
            if event_type is None:
                raise ResourceNotFound(f"There is no event {event_id[:40]} in this mode.", param="eventId")
            if not endpoint.subscribes_to(event_type):
                check_scopes([event_type], scopes)
            return self._queued(unit, endpoint, replays.replay_event(unit, endpoint.id, event_id))

        return work

    def replay_since(self, livemode: bool, endpoint_id: str, since: datetime) -> Callable[[WriteUnit], ReplayResource]:
        """Return the unit that queues all events since a moment that an endpoint subscribes to and hasn't received.

        That includes the events during which it was disabled. It raises ResourceNotFound.
        """

        def work(unit: WriteUnit) -> ReplayResource:
            endpoint = find(unit, endpoint_id, livemode)
            types = None if ALL_EVENTS in endpoint.events else endpoint.events
            queued, has_more = replays.replay_since(unit, endpoint.id, livemode, types, since)
            if not has_more and endpoint.missed_since is not None and since <= endpoint.missed_since:
                endpoints.update(unit, replace(endpoint, missed_since=None))
            return self._queued(unit, endpoint, queued, has_more=has_more)

        return work

    def _queued(self, unit: WriteUnit, endpoint: Endpoint, queued: int, *, has_more: bool = False) -> ReplayResource:
        unit.after_commit(self._wake, endpoint.livemode)
        return {"object": "webhook_replay", "endpointId": endpoint.id, "queued": queued, "hasMore": has_more}
