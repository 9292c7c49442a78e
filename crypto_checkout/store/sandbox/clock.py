"""Advancing test mode's clock: retries become due sooner, and answers to idempotency keys age.

The times in the rows move, not the clock that they are compared with: so deliveries are signed with the real time, and
live mode is unaffected.
"""

from datetime import timedelta

from crypto_checkout.store.database import WriteUnit

MOST_ANSWERS = 1_000
"""The number of newest answers per API key that age: updating them blocks all other writes, live mode's too."""


def advance(unit: WriteUnit, by: timedelta) -> None:
    """Move test mode's retries, and the newest answers of each API key, back in time by a duration."""
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
