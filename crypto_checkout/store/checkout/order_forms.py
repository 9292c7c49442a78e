"""The sessions that order forms made, so that a form sent twice makes one, whichever process it reaches.

A form is remembered for a day, among the answers to idempotency keys: it is the key of its order.
"""

import hashlib
from datetime import timedelta

from crypto_checkout.store import idempotency
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.idempotency import StoredAnswer

_NAME = "order form"
_KEPT = timedelta(days=1)
_CREATED = 201


def session_of(unit: ReadUnit, form: str) -> str | None:
    """Return the id of the session that a form made last, by what identifies the form and its order."""
    answer = idempotency.find(unit, _NAME, _digest(form), unit.now - _KEPT)
    return None if answer is None else answer.body


def note(unit: WriteUnit, form: str, session_id: str) -> None:
    """Note the session that a form made, in place of an earlier one, by whichever process's clock that was made."""
    digest = _digest(form)
    idempotency.record(unit, _NAME, digest, StoredAnswer(digest, _CREATED, session_id), unit.now + _KEPT)


def _digest(form: str) -> str:
    return hashlib.sha256(form.encode()).hexdigest()
