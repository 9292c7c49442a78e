"""The key that signs receipts: made once, encrypted in the database, its public part shown to everyone.

A server that can't read its key any more, as after a restore without `secret.key`, makes another. The public parts of
all keys stay, so that what the earlier ones signed can be verified for good.
"""

import asyncio
import secrets
from collections.abc import Mapping
from functools import partial
from typing import Any

from crypto_checkout import jws
from crypto_checkout.core.public import render
from crypto_checkout.core.public.receipts import MEDIA_TYPE
from crypto_checkout.encryption import of_receipt_key
from crypto_checkout.log import get_logger
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.receipts import keys as store
from crypto_checkout.store.receipts.keys import ReceiptKey

log = get_logger("receipts")

_NEW_KEY = "receipts are signed with a new key, because the last one can't be read without its secret.key"


class SigningKey:
    """Signs with the newest key that can be read, which is made if there is none."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._current: tuple[str, bytes] | None = None

    async def sign(self, document: Mapping[str, Any]) -> str:
        """Sign a document as a compact JWS."""
        if self._current is None:
            self._current = await self._db.write(self._open)
        kid, private = self._current
        payload = render.json_bytes(document)
        # On a thread: it takes milliseconds, and hundreds the first time, when the library is loaded.
        return await asyncio.to_thread(jws.sign, payload, private, kid, MEDIA_TYPE)

    async def public_keys(self) -> Mapping[str, Any]:
        """Return all public keys as a JWK set, the newest first."""
        if self._current is None:
            self._current = await self._db.write(self._open)
        found = await self._db.read(store.newest_first, quick=True)
        return {"keys": [jws.jwk(jws.decode(each.public_key)) for each in found]}

    def _open(self, unit: WriteUnit) -> tuple[str, bytes]:
        known = store.newest_first(unit)
        for each in known:
            private = self._db.cipher.decrypt(each.private_key, of_receipt_key(each.kid))
            if private is not None:
                return each.kid, jws.decode(private)
        private_key = secrets.token_bytes(jws.KEY_BYTES)
        public = jws.public_key(private_key)
        kid = jws.key_id(public)
        encrypted = self._db.cipher.encrypt(jws.encode(private_key), of_receipt_key(kid))
        store.add(unit, ReceiptKey(kid, jws.encode(public), encrypted, unit.now))
        if known:
            unit.after_commit(partial(log.warning, _NEW_KEY, kid=kid))
        return kid, private_key
