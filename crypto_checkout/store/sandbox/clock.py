"""Advancing test mode's clock: retries become due sooner, and answers to idempotency keys age.

The times in the rows move, not the clock that they are compared with: so deliveries are signed with the real time, and
live mode is unaffected.
"""

from datetime import timedelta

from crypto_checkout.core import moments
from crypto_checkout.store.database import WriteUnit

MOST_ANSWERS = 1_000
"""The number of newest answers per API key that age: updating them blocks all other writes, live mode's too."""


def advance(unit: WriteUnit, by: timedelta) -> None:
    """Move test mode's retries, and the newest answers of each API key, back in time by a duration."""
    for endpoint in unit.all("SELECT id FROM webhook_endpoints WHERE livemode = 0"):
        _move_retries(unit, endpoint["id"], by)
    for key in unit.all("SELECT id FROM api_keys WHERE livemode = 0"):
        _age_answers(unit, key["id"], by)


def _move_retries(unit: WriteUnit, endpoint_id: str, by: timedelta) -> None:
    rows = unit.all(
        """
        SELECT seq, next_attempt_at FROM deliveries
        WHERE endpoint_id = :endpoint_id AND status = 'pending' AND next_attempt_at > :now
        """,
        {"endpoint_id": endpoint_id, "now": unit.now_text},
    )
    unit.run_many(
        "UPDATE deliveries SET next_attempt_at = :time WHERE seq = :seq",
        [{"seq": row["seq"], "time": _earlier(row["next_attempt_at"], by)} for row in rows],
    )


def _age_answers(unit: WriteUnit, api_key_id: str, by: timedelta) -> None:
    rows = unit.all(
        """
        SELECT idempotency_key, created_at FROM idempotency_keys
        WHERE api_key_id = :api_key_id
        ORDER BY created_at DESC
        LIMIT :most
        """,
        {"api_key_id": api_key_id, "most": MOST_ANSWERS},
    )
    unit.run_many(
        """
        UPDATE idempotency_keys SET created_at = :time
        WHERE api_key_id = :api_key_id AND idempotency_key = :idempotency_key
        """,
        [
            {
                "api_key_id": api_key_id,
                "idempotency_key": row["idempotency_key"],
                "time": _earlier(row["created_at"], by),
            }
            for row in rows
        ],
    )


def _earlier(text: str, by: timedelta) -> str:
    return moments.to_text(moments.from_text(text) - by)
