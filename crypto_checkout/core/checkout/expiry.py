"""The moment from which a new session's time to pay counts.

A session expires by its chain's block times, so a clock that is behind must not shorten the payer's time. Other
witnesses of the time are asked, and the latest one counts: a session that is open too long costs less than one that
expires at once.
"""

from datetime import datetime, timedelta

_NEAR = timedelta(minutes=15)
"""A clock that is this close to a block's time is right."""

_MOST_BEHIND = timedelta(days=31)
"""The most that a clock is taken to be behind. A later time is the witness's error, or a clock that was once ahead."""


def counts_from(
    now: datetime, tip_time: datetime, *, block_time: datetime | None, recorded_at: datetime | None
) -> datetime:
    """Return the latest credible time.

    Args:
        now: the clock's time.
        tip_time: the time of the chain's last processed block, which is believed.
        block_time: the time of the newest block as its provider gives it, believed or not. While it is near the
            clock's, the clock is right.
        recorded_at: the latest time in the database. It is ignored while the clock is known to be right: the clock was
            ahead then.

    """
    is_right = block_time is not None and abs(block_time - now) <= _NEAR
    others = (block_time, None if is_right else recorded_at)
    return max(now, tip_time, *(each for each in others if each is not None and each <= now + _MOST_BEHIND))
