"""When a delivery is tried again. Pure: the clock and the dice are arguments; nothing waits here."""

from collections.abc import Sequence

JITTER_SHARE = 0.1
# Without a bound, one answer of `Retry-After: 999999999` would bury a delivery for decades.
MAX_RETRY_AFTER_SECONDS = 86_400.0


def next_delay_seconds(
    attempts_made: int, retry_seconds: Sequence[int], *, jitter: float, retry_after_seconds: float | None
) -> float | None:
    """Say how long to wait after the last attempt before the next, or None when the delivery is abandoned.

    Args:
        attempts_made: 0 before the first attempt, which is due at once.
        retry_seconds: one wait for each retry; there are `1 + len(retry_seconds)` attempts.
        jitter: a draw from -1 to 1, which shifts the wait by up to 10 %, so that an outage's deliveries spread out.
        retry_after_seconds: what the endpoint asked for; it lengthens the wait, up to a day, and never shortens it.
    """
    if attempts_made < 0:
        raise ValueError(f"attempts_made can't be negative: {attempts_made}")
    if not -1 <= jitter <= 1:
        raise ValueError(f"jitter must lie between -1 and 1: {jitter}")
    if attempts_made > len(retry_seconds):
        return None
    if attempts_made == 0:
        return 0.0
    planned = retry_seconds[attempts_made - 1] * (1 + JITTER_SHARE * jitter)
    return max(planned, min(retry_after_seconds or 0.0, MAX_RETRY_AFTER_SECONDS))
