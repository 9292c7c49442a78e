"""Receipts as payers use them: shown, signed, and in the language of their page."""

from collections.abc import Mapping
from typing import Any

from crypto_checkout.core.errors import DatabaseFailed
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.services.receipts.issuer import MailPolicy
from crypto_checkout.services.receipts.reader import ReceiptReader, ShownReceipt
from crypto_checkout.services.receipts.signing_key import SigningKey
from crypto_checkout.store.checkout import sessions
from crypto_checkout.store.database import Database

_MOST_KNOWN = 10_000


class PayerReceipts:
    """The receipts of both modes, by the ids of their sessions."""

    def __init__(self, db: Database, reader: ReceiptReader, key: SigningKey, policy: MailPolicy, clock: Clock) -> None:
        self._db = db
        self._reader = reader
        self._key = key
        self._policy = policy
        self._clock = clock
        self._languages: dict[str, str] = {}

    async def of(self, session_id: str) -> ShownReceipt:
        """Return the receipt of a session. Raises ResourceNotFound."""
        return await self._reader.of(session_id)

    async def signed(self, session_id: str) -> str:
        """Return the signed form of a receipt, as of now. Raises ResourceNotFound."""
        shown = await self._reader.of(session_id)
        return await self._key.sign(shown.claims(self._reader.public_url, self._clock()))

    async def public_keys(self) -> Mapping[str, Any]:
        """Return the keys that verify signed forms, as a JWK set."""
        return await self._key.public_keys()

    async def note_language(self, session: SessionResource, code: str) -> None:
        """Keep the language of the payer's page with a session whose receipt is going to be mailed.

        While the database can't be written, the page is shown nonetheless.
        """
        will_mail = (
            self._policy.to_payers
            and self._policy.covers(session["livemode"])
            and session["customerEmail"] is not None
            and session["receiptNumber"] is None
        )
        session_id = session["id"]
        if not will_mail or self._languages.get(session_id) == code:
            return
        try:
            await self._db.write(lambda unit: sessions.note_language(unit, session_id, code), quick=True)
        except DatabaseFailed:
            return
        if len(self._languages) >= _MOST_KNOWN:
            self._languages.clear()
        self._languages[session_id] = code
