"""Make, list, revoke and check API keys. The key itself is shown once and never stored."""

import asyncio
import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from crypto_checkout.core import ids
from crypto_checkout.core.errors import DatabaseFailed, InvalidApiKey, ResourceNotFound, RevokedApiKey
from crypto_checkout.core.owner import api_key as core
from crypto_checkout.core.owner.api_key import ApiKey, Scope
from crypto_checkout.core.public import render
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.log import get_logger
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.owner import api_keys as store

log = get_logger("keys")

_USED_EVERY = timedelta(minutes=1)
"""The precision of the last-used time: writing it at every request would cost a commit each."""


def create(
    unit: WriteUnit, events: Outbox, *, livemode: bool, name: str, scopes: Sequence[Scope]
) -> tuple[ApiKey, str]:
    """Store a new key; return it with its text, which can't be read again."""
    key, text = _store(unit, livemode=livemode, name=name, scopes=scopes)
    events.record(unit, EventType.API_KEY_CREATED, render.api_key(key))
    return key, text


def lend(unit: WriteUnit, name: str) -> tuple[ApiKey, str]:
    """Store a test key for a command of this machine, without an event; `remove` ends it, and leaves nothing."""
    return _store(unit, livemode=False, name=name, scopes=list(Scope))


def remove(unit: WriteUnit, key_id: str) -> None:
    """Delete a key that was made for a moment. All others are revoked, and stay listed."""
    store.delete(unit, key_id)


def _store(unit: WriteUnit, *, livemode: bool, name: str, scopes: Sequence[Scope]) -> tuple[ApiKey, str]:
    text = core.make(livemode, secrets.token_bytes(core.ENTROPY_BYTES))
    key = ApiKey(
        id=unit.new_id(ids.API_KEY),
        livemode=livemode,
        name=name,
        prefix=text[: core.DISPLAYED_CHARACTERS],
        scopes=tuple(scope.value for scope in Scope if scope in scopes),
        created_at=unit.now,
        last_used_at=None,
        revoked_at=None,
    )
    store.insert(unit, key, _sha256(text))
    return key, text


def revoke(unit: WriteUnit, events: Outbox, key_id: str, *, livemode: bool | None = None) -> ApiKey:
    """Revoke a key for good; repeating it changes nothing. None takes a key of either mode.

    Raises ResourceNotFound.
    """
    before = get(unit, key_id)
    if livemode not in {None, before.livemode}:
        raise ResourceNotFound(f"There is no API key {key_id[:40]} in this mode.")
    if before.revoked_at is None:
        store.revoke(unit, key_id)
        events.record(unit, EventType.API_KEY_REVOKED, render.api_key(get(unit, key_id)))
    return get(unit, key_id)


def get(unit: ReadUnit, key_id: str) -> ApiKey:
    """Return a key. Raises ResourceNotFound."""
    key = store.get(unit, key_id)
    if key is None:
        raise ResourceNotFound(f"There is no API key {key_id[:40]}; `crypto-checkout keys list` shows them.")
    return key


class ApiKeys:
    """Checks the keys of requests, and caches each for a moment.

    A revocation, even by another process, takes effect within `remembered_for`.
    """

    remembered_for = timedelta(seconds=0.5)
    _most_remembered = 10_000

    def __init__(self, db: Database) -> None:
        self._db = db
        self._remembered: dict[str, tuple[ApiKey, datetime]] = {}
        self._marking: set[asyncio.Task[None]] = set()

    async def check(self, text: str, now: datetime) -> ApiKey:
        """Return the key with this text. Raises InvalidApiKey or RevokedApiKey."""
        if not core.has_shape(text):
            raise InvalidApiKey("This is not an API key: it begins with ck_live_ or ck_test_ and has 40 characters.")
        key = self.recall(text, now) or await self._look_up(text, now)
        if key.revoked_at is not None:
            raise RevokedApiKey(
                f"The API key {key.prefix}… was revoked; make another with `crypto-checkout keys create`."
            )
        return key

    def recall(self, text: str, now: datetime) -> ApiKey | None:
        """Return the key with this text if it was looked up a moment ago."""
        key, until = self._remembered.get(text, (None, now))
        return key if now < until <= now + self.remembered_for else None

    async def _look_up(self, text: str, now: datetime) -> ApiKey:
        sha256 = _sha256(text)
        key = await self._db.read(lambda unit: store.by_sha256(unit, sha256), quick=True)
        if key is None:
            raise InvalidApiKey("No such API key on this server; `crypto-checkout keys create` makes one.")
        if key.revoked_at is None and (key.last_used_at is None or now - key.last_used_at >= _USED_EVERY):
            self._mark_used(key.id, now)
        if len(self._remembered) >= self._most_remembered:
            self._remembered.clear()
        self._remembered[text] = (key, now + self.remembered_for)
        return key

    def _mark_used(self, key_id: str, now: datetime) -> None:
        """Record the use in the background: the request neither waits for this nor fails with it."""
        task = asyncio.create_task(self._db.write(lambda unit: store.mark_used(unit, key_id, now), quick=True))
        self._marking.add(task)
        task.add_done_callback(self._marked)

    def _marked(self, task: asyncio.Task[None]) -> None:
        self._marking.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, DatabaseFailed):  # the database logs its failures itself
            log.warning("a key's last use could not be noted", error=str(error))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
