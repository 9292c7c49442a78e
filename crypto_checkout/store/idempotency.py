"""Answers to requests with an idempotency key, stored to be repeated."""

from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.table import Table


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """A stored answer, and the digest of its request."""

    request_sha256: str
    status_code: int
    body: str


_ANSWERS = Table("idempotency_keys", StoredAnswer)
_KEY = ("api_key_id", "idempotency_key")
_UPSERT = _ANSWERS.upsert(_KEY, ["request_sha256", "status_code", "body", "created_at"], *_KEY, "created_at")
_RECORD = f"{_UPSERT} WHERE idempotency_keys.created_at <= :since"


def find(unit: ReadUnit, api_key_id: str, idempotency_key: str, since: datetime) -> StoredAnswer | None:
    """Return the answer stored under this idempotency key since a moment."""
    return _ANSWERS.one(
        unit,
        "WHERE api_key_id = :api_key_id AND idempotency_key = :idempotency_key AND created_at > :since",
        {"api_key_id": api_key_id, "idempotency_key": idempotency_key, "since": moments.to_text(since)},
    )


def record(unit: WriteUnit, api_key_id: str, idempotency_key: str, answer: StoredAnswer, since: datetime) -> bool:
    """Store an answer; one from before `since` has expired and is replaced.

    Return False, having stored nothing, if a later one is there.
    """
    parameters = {
        **_ANSWERS.values(answer),
        "api_key_id": api_key_id,
        "idempotency_key": idempotency_key,
        "created_at": unit.now_text,
        "since": moments.to_text(since),
    }
    return unit.run(_RECORD, parameters) > 0


def delete_before(unit: WriteUnit, moment: datetime, limit: int) -> int:
    """Delete up to `limit` answers from before a moment; return their number."""
    return unit.run(
        """
        DELETE FROM idempotency_keys
        WHERE (api_key_id, idempotency_key) IN (
            SELECT api_key_id, idempotency_key FROM idempotency_keys
            WHERE created_at < :moment
            ORDER BY created_at
            LIMIT :limit
        )
        """,
        {"moment": moments.to_text(moment), "limit": limit},
    )
