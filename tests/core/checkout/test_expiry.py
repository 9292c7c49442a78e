"""The time from which a session's expiry counts, whichever clock is wrong."""

from datetime import datetime, timedelta

import pytest

from crypto_checkout.core.checkout.expiry import counts_from
from tests.support.factories import NOW

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
EARLIER = NOW - MINUTE


@pytest.mark.parametrize(
    ("tip_time", "block_time", "recorded_at", "expected"),
    [
        (EARLIER, EARLIER, EARLIER, NOW),  # all is well
        (EARLIER, None, None, NOW),  # a first start
        (NOW + DAY, NOW + DAY, None, NOW + DAY),  # providers agree that the clock is behind
        (EARLIER, NOW + DAY, None, NOW + DAY),  # a lone provider says so
        (EARLIER, None, NOW + DAY, NOW + DAY),  # the database says so, and no block was read yet
        (EARLIER, NOW - DAY, NOW + DAY, NOW + DAY),  # an old block says nothing
        (EARLIER, EARLIER, NOW + DAY, NOW),  # the clock was ahead, and is right
        (EARLIER, NOW + 365 * DAY, None, NOW),  # a lone provider lies
        (EARLIER, None, NOW + 365 * DAY, NOW),  # the clock was far ahead
        (EARLIER, datetime.max.replace(tzinfo=NOW.tzinfo), None, NOW),
    ],
)
def test_the_latest_credible_time_counts(
    tip_time: datetime, block_time: datetime | None, recorded_at: datetime | None, expected: datetime
) -> None:
    assert counts_from(NOW, tip_time, block_time=block_time, recorded_at=recorded_at) == expected
