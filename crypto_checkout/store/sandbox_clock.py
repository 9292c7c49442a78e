"""What waits in test mode when its clock is put forward: retries come nearer, and answers to idempotency keys age.

The rows move, not the time that they are compared with: so deliveries are signed by the real time, and nothing of live
mode can be touched.
"""

from datetime import timedelta

from crypto_checkout.core import moments

from .database import WriteUnit


def put_forward(unit: WriteUnit, by: timedelta) -> None:
    """Move everything of test mode that waits for a moment, by so much."""
    for endpoint in unit.all("SELECT id FROM webhook_endpoints WHERE livemode = 0"):
        _move_retries(unit, endpoint["id"], by)
    for key in unit.all("SELECT id FROM api_keys WHERE livemode = 0"):
        _age_answers(unit, key["id"], by)


def _move_retries(unit: WriteUnit, endpoint_id: str, by: timedelta) -> None:
    waiting = unit.all(
        """
        SELECT seq, next_attempt_at
        FROM deliveries
        WHERE endpoint_id = :endpoint_id AND status = 'pending' AND next_attempt_at > :now
        """,
        {"endpoint_id": endpoint_id, "now": unit.now_text},
    )
    for row in waiting:
        unit.run(
            "UPDATE deliveries SET next_attempt_at = :at WHERE seq = :seq",
            {"seq": row["seq"], "at": _earlier(row["next_attempt_at"], by)},
        )


def _age_answers(unit: WriteUnit, api_key_id: str, by: timedelta) -> None:
    answers = unit.all(
        "SELECT idempotency_key, created_at FROM idempotency_keys WHERE api_key_id = :api_key_id",
        {"api_key_id": api_key_id},
    )
    for row in answers:
        unit.run(
            """
            UPDATE idempotency_keys
            SET created_at = :at
            WHERE api_key_id = :api_key_id AND idempotency_key = :idempotency_key
            """,
            {
                "api_key_id": api_key_id,
                "idempotency_key": row["idempotency_key"],
                "at": _earlier(row["created_at"], by),
            },
        )


def _earlier(text: str, by: timedelta) -> str:
    return moments.to_text(moments.from_text(text) - by)
