"""The retry schedule of a delivery. Pure: time and randomness are arguments; nothing waits here."""

from collections.abc import Sequence

JITTER_SHARE = 0.1
# Without a bound, one answer of `Retry-After: 999999999` would delay a delivery for decades.
MAX_RETRY_AFTER_SECONDS = 86_400.0


def next_delay_seconds(
    attempts_made: int, retry_seconds: Sequence[int], *, jitter: float, retry_after_seconds: float | None
) -> float | None:
    """Return the delay between the last attempt and the next, or None if the delivery is abandoned.

    Args:
        attempts_made: 0 before the first attempt, which is due at once.
        retry_seconds: one delay for each retry; there are `1 + len(retry_seconds)` attempts.
        jitter: a random number from -1 to 1, which shifts the delay by up to 10 %, to spread the load.
        retry_after_seconds: the pause that the endpoint demanded; it lengthens the delay, up to a day.
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
