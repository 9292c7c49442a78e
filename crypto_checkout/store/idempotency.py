"""What was answered to requests that carried an idempotency key."""

from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.core import moments

from .database import ReadUnit, WriteUnit


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """A stored answer, and the digest of the request that it belongs to."""

    request_sha256: str
    status_code: int
    body: str


def find(unit: ReadUnit, api_key_id: str, idempotency_key: str, since: datetime) -> StoredAnswer | None:
    """Return what was answered to this idempotency key since a moment."""
    row = unit.one(
        """
        SELECT request_sha256, status_code, body
        FROM idempotency_keys
        WHERE api_key_id = :api_key_id AND idempotency_key = :idempotency_key AND created_at > :since
        """,
        {"api_key_id": api_key_id, "idempotency_key": idempotency_key, "since": moments.to_text(since)},
    )
    return StoredAnswer(row["request_sha256"], row["status_code"], row["body"]) if row else None


def record(unit: WriteUnit, api_key_id: str, idempotency_key: str, answer: StoredAnswer, since: datetime) -> bool:
    """Store an answer in place of one that is older than `since`, and so doesn't count any more.

    Return False, having stored nothing, where one that counts is there.
    """
    stored = unit.run(
        """
        INSERT INTO idempotency_keys (
            api_key_id, idempotency_key, request_sha256, status_code, body, created_at
        )
        VALUES (:api_key_id, :idempotency_key, :request_sha256, :status_code, :body, :now)
        ON CONFLICT (api_key_id, idempotency_key) DO UPDATE
        SET request_sha256 = excluded.request_sha256, status_code = excluded.status_code, body = excluded.body,
            created_at = excluded.created_at
        WHERE idempotency_keys.created_at <= :since
        """,
        {
            "api_key_id": api_key_id,
            "idempotency_key": idempotency_key,
            "request_sha256": answer.request_sha256,
            "status_code": answer.status_code,
            "body": answer.body,
            "now": unit.now_text,
            "since": moments.to_text(since),
        },
    )
    return stored > 0


def delete_before(unit: WriteUnit, moment: datetime) -> int:
    """Forget answers that are too old to count; return how many."""
    return unit.run("DELETE FROM idempotency_keys WHERE created_at < :moment", {"moment": moments.to_text(moment)})
