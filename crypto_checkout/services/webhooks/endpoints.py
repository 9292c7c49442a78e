"""Create, show, change and delete webhook endpoints. Sending to them is `services.webhooks.dispatcher`."""

import secrets
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from crypto_checkout import encryption
from crypto_checkout.core import ids, urls
from crypto_checkout.core.errors import InsufficientScope, InvalidBody, ResourceNotFound
from crypto_checkout.core.public import render
from crypto_checkout.core.public.types import DeletedResource, EndpointResource
from crypto_checkout.core.webhooks.endpoint import PREFIX_CHARACTERS, Endpoint, FailureStreak
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.core.webhooks.subscription import lacking_scope
from crypto_checkout.services.webhooks.attempts import switched_off
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store import paging
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.webhooks import deliveries, endpoint_cleanup
from crypto_checkout.store.webhooks import endpoints as store
from crypto_checkout.webhooks import guard, networks, signing

_MOST_SHOWN = 200

MOST_ENDPOINTS = 50
"""The limit in each mode: every event reads all endpoints, and each has a slot of its own for deliveries."""


@dataclass(frozen=True, slots=True)
class EndpointRequest:
    """A new endpoint as the merchant asks for it; `events` are event types, or only `"*"`."""

    url: str
    events: tuple[str, ...]
    description: str | None = None
    active: bool = True


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """An endpoint with its failures since the last success, and the number of deliveries to be retried.

    `old_secrets_until` is the time until which an older secret signs beside the newest; None if none does.
    """

    endpoint: EndpointResource
    failing: FailureStreak | None
    retrying: int
    old_secrets_until: datetime | None


class Endpoints:
    """The webhook endpoints of both modes."""

    def __init__(self, db: Database, events: Outbox, *, reach: networks.Reach) -> None:
        self._db = db
        self._events = events
        self._reach = reach

    def create(
        self, livemode: bool, new: EndpointRequest, scopes: Collection[str] | None = None
    ) -> Callable[[WriteUnit], EndpointResource]:
        """Return the unit that stores a new endpoint. Only its result ever holds the secret.

        `scopes` are those of the asking key; None for the owner, who may receive everything. Raises InsufficientScope
        for events that the key may not read, and InvalidBody for a URL that can't or mustn't be called; so does the
        unit at the limit of endpoints.
        """
        check_scopes(new.events, scopes)
        self._check_url(new.url, livemode)

        def make(unit: WriteUnit) -> EndpointResource:
            if store.count(unit, livemode) >= MOST_ENDPOINTS:
                raise InvalidBody(f"There are {MOST_ENDPOINTS} webhook endpoints in this mode; delete one first.")
            secret, endpoint_id = _new_secret(), unit.new_id(ids.ENDPOINT)
            endpoint = Endpoint(
                id=endpoint_id,
                livemode=livemode,
                url=new.url,
                events=new.events,
                description=new.description,
                active=new.active,
                disabled_reason=None,
                secret=self._encrypted(secret, endpoint_id),
                secret_prefix=secret[:PREFIX_CHARACTERS],
                created_at=unit.now,
                updated_at=unit.now,
            )
            store.insert(unit, endpoint)
            resource = self._recorded(unit, EventType.ENDPOINT_CREATED, endpoint)
            return {**resource, "secret": secret}

        return make

    async def get(self, livemode: bool, endpoint_id: str) -> EndpointResource:
        """Return an endpoint. Raises ResourceNotFound."""
        return render.endpoint(await self._db.read(lambda unit: find(unit, endpoint_id, livemode)))

    async def listed(self, livemode: bool, window: paging.Window) -> paging.ListPage[EndpointResource]:
        """Return a page of endpoints."""
        return (await self._db.read(lambda unit: store.listed(unit, livemode, window))).map(render.endpoint)

    async def health(self, livemode: bool, endpoint_id: str) -> EndpointHealth:
        """Return an endpoint's health. Raises ResourceNotFound."""
        return await self._db.read(lambda unit: _health(unit, find(unit, endpoint_id, livemode)))

    async def healths(self, livemode: bool) -> list[EndpointHealth]:
        """Return the health of all endpoints of a mode, newest first."""
        return await self._db.read(
            lambda unit: [_health(unit, endpoint) for endpoint in reversed(store.all_of(unit, livemode))]
        )

    def update(
        self, livemode: bool, endpoint_id: str, changes: Mapping[str, Any], scopes: Collection[str] | None = None
    ) -> Callable[[WriteUnit], EndpointResource]:
        """Return the unit that changes `url`, `events`, `description` or `active`; enabling clears `disabled_reason`.

        Raises InvalidBody as `create` does; the unit raises ResourceNotFound, and InsufficientScope where the change
        sends something elsewhere that the key with these `scopes` may not read, what waits for an attempt included.
        """
        if "url" in changes:
            self._check_url(changes["url"], livemode)

        def work(unit: WriteUnit) -> EndpointResource:
            before = find(unit, endpoint_id, livemode)
            endpoint = replace(before, **changes, updated_at=unit.now)
            if endpoint.url == before.url:
                check_scopes([each for each in endpoint.events if not before.subscribes_to(each)], scopes)
            else:
                check_scopes([*deliveries.waiting_types(unit, endpoint.id), *endpoint.events], scopes)
            if endpoint.url != before.url:
                endpoint = replace(endpoint, failing=None)
            if endpoint.active:
                self._check_secret(endpoint)
                endpoint = replace(endpoint, disabled_reason=None)
            elif before.active:
                endpoint = switched_off(unit, endpoint, unit.now)
            store.update(unit, endpoint)
            return self._recorded(unit, EventType.ENDPOINT_UPDATED, endpoint)

        return work

    def rotate_secret(
        self, livemode: bool, endpoint_id: str, overlap_seconds: int
    ) -> Callable[[WriteUnit], EndpointResource]:
        """Return the unit that makes a new secret; older ones sign beside it for the overlap.

        Only its result ever holds the new secret. It raises ResourceNotFound.
        """

        def work(unit: WriteUnit) -> EndpointResource:
            before = find(unit, endpoint_id, livemode)
            secret, overlap = _new_secret(), timedelta(seconds=overlap_seconds)
            encrypted = self._encrypted(secret, endpoint_id)
            endpoint = before.rotated(encrypted, secret[:PREFIX_CHARACTERS], unit.now, overlap)
            store.update(unit, endpoint)
            resource = self._recorded(unit, EventType.ENDPOINT_UPDATED, endpoint)
            return {**resource, "secret": secret}

        return work

    def delete(self, livemode: bool, endpoint_id: str) -> Callable[[WriteUnit], DeletedResource]:
        """Return the unit that deletes an endpoint and its deliveries. It raises ResourceNotFound."""

        def remove(unit: WriteUnit) -> DeletedResource:
            endpoint = find(unit, endpoint_id, livemode)
            endpoint_cleanup.delete(unit, endpoint.id)
            self._recorded(unit, EventType.ENDPOINT_DELETED, endpoint)
            return render.deleted(endpoint.id, "webhook_endpoint")

        return remove

    def _check_secret(self, endpoint: Endpoint) -> None:
        """Refuse to switch on an endpoint whose secret can't be read. Raises InvalidBody."""
        if self._db.cipher.decrypt(endpoint.secret, encryption.of_endpoint(endpoint.id)) is None:
            raise InvalidBody(
                "active: this endpoint's signing secret can't be read any more, since secret.key was lost. Rotate the "
                "secret first.",
                param="active",
            )

    def _encrypted(self, secret: str, endpoint_id: str) -> str:
        return self._db.cipher.encrypt(secret, encryption.of_endpoint(endpoint_id))

    def _check_url(self, url: str, livemode: bool) -> None:
        if urls.has_unsafe_characters(url):
            raise InvalidBody("url: must have no spaces, line breaks or backslashes.", param="url")
        try:
            guard.check_url(url, reach=self._reach, allow_http=not livemode)
        except ValueError as error:
            raise InvalidBody(f"url: {str(error)[:_MOST_SHOWN].rstrip('.')}.", param="url") from error

    def _recorded(self, unit: WriteUnit, event_type: EventType, endpoint: Endpoint) -> EndpointResource:
        resource = render.endpoint(endpoint)
        self._events.record(unit, event_type, resource)
        unit.after_commit(self._events.wake, endpoint.livemode)  # what was read of it before is over
        return resource


def _new_secret() -> str:
    return signing.new_secret(secrets.token_bytes(signing.ENTROPY_BYTES))


def check_scopes(events: Iterable[str], scopes: Collection[str] | None) -> None:
    """Raise InsufficientScope if a key with these scopes may not read such events; None for the owner, who may."""
    lacking = None if scopes is None else lacking_scope(events, scopes)
    if lacking is not None:
        raise InsufficientScope(
            f"This key may not read what the endpoint would receive: it lacks the scope {lacking} (events:read covers "
            "all events)."
        )


def _health(unit: ReadUnit, endpoint: Endpoint) -> EndpointHealth:
    ends = [old.until for old in endpoint.old_secrets if unit.now < old.until]
    return EndpointHealth(
        endpoint=render.endpoint(endpoint),
        failing=endpoint.failing,
        retrying=deliveries.failing(unit, endpoint.id),
        old_secrets_until=max(ends, default=None),
    )


def find(unit: ReadUnit, endpoint_id: str, livemode: bool) -> Endpoint:
    """Return an endpoint of a mode. Raises ResourceNotFound."""
    endpoint = store.get(unit, endpoint_id, livemode)
    if endpoint is None:
        raise ResourceNotFound(f"There is no webhook endpoint {endpoint_id[:40]} in this mode.")
    return endpoint
