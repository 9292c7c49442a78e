"""What waits in test mode when its clock is put forward: retries come nearer, and answers to idempotency keys age.

The rows move, not the time that they are compared with: so deliveries are signed by the real time, and nothing of live
mode can be touched.
"""

from datetime import timedelta

from crypto_checkout.store.database import WriteUnit

MOST_ANSWERS = 1_000
"""Of one key, the newest age: each is written anew, and meanwhile nobody else can write, live mode neither."""


def put_forward(unit: WriteUnit, by: timedelta) -> None:
    """Move everything of test mode that waits for a moment, by so much; of endless answers the newest."""
    earlier = f"-{by.total_seconds():.3f} seconds"
    for endpoint in unit.all("SELECT id FROM webhook_endpoints WHERE livemode = 0"):
        _move_retries(unit, endpoint["id"], earlier)
    for key in unit.all("SELECT id FROM api_keys WHERE livemode = 0"):
        _age_answers(unit, key["id"], earlier)


def _move_retries(unit: WriteUnit, endpoint_id: str, earlier: str) -> None:
    unit.run(
        """
        UPDATE deliveries
        SET next_attempt_at = strftime('%Y-%m-%dT%H:%M:%fZ', next_attempt_at, :earlier)
        WHERE endpoint_id = :endpoint_id AND status = 'pending' AND next_attempt_at > :now
        """,
        {"endpoint_id": endpoint_id, "now": unit.now_text, "earlier": earlier},
    )


def _age_answers(unit: WriteUnit, api_key_id: str, earlier: str) -> None:
    unit.run(
        """
        UPDATE idempotency_keys
        SET created_at = strftime('%Y-%m-%dT%H:%M:%fZ', created_at, :earlier)
        WHERE api_key_id = :api_key_id AND idempotency_key IN (
            SELECT idempotency_key FROM idempotency_keys
            WHERE api_key_id = :api_key_id
            ORDER BY created_at DESC
            LIMIT :most
        )
        """,
        {"api_key_id": api_key_id, "earlier": earlier, "most": MOST_ANSWERS},
    )
