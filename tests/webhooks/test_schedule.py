"""The waits between attempts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.webhooks import schedule

CONTRACT = [60, 600, 3600, 21_600, 86_400]


def delay(attempts_made: int, *, jitter: float = 0.0, retry_after_seconds: float | None = None) -> float | None:
    return schedule.next_delay_seconds(attempts_made, CONTRACT, jitter=jitter, retry_after_seconds=retry_after_seconds)


def test_there_are_six_attempts_at_the_contracts_distances_and_then_none() -> None:
    assert [delay(made) for made in range(8)] == [0.0, 60.0, 600.0, 3600.0, 21_600.0, 86_400.0, None, None]


@pytest.mark.parametrize(("jitter", "seconds"), [(-1.0, 54.0), (0.0, 60.0), (1.0, 66.0)])
def test_jitter_shifts_a_wait_by_a_tenth_at_most(jitter: float, seconds: float) -> None:
    assert delay(1, jitter=jitter) == pytest.approx(seconds)


def test_a_retry_after_lengthens_the_wait() -> None:
    assert delay(1, retry_after_seconds=300.0) == 300.0


def test_a_retry_after_never_shortens_the_wait() -> None:
    assert delay(3, retry_after_seconds=1.0) == 3600.0


def test_a_retry_after_is_bounded_by_a_day() -> None:
    assert delay(1, retry_after_seconds=1e18) == 86_400.0


def test_a_retry_after_brings_no_further_attempt() -> None:
    assert delay(6, retry_after_seconds=5.0) is None


def test_without_retries_the_first_attempt_is_the_last() -> None:
    assert schedule.next_delay_seconds(1, [], jitter=0, retry_after_seconds=None) is None


@pytest.mark.parametrize("jitter", [-1.1, 1.1, float("nan")])
def test_a_jitter_out_of_range_is_a_mistake_of_the_caller(jitter: float) -> None:
    with pytest.raises(ValueError, match="jitter"):
        delay(1, jitter=jitter)


def test_a_negative_count_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="attempts_made"):
        delay(-1)


@given(made=st.integers(1, 5), jitter=st.floats(-1, 1), asked=st.none() | st.floats(0, 1e12))
def test_every_wait_lies_between_nine_tenths_of_the_plan_and_the_bound(
    made: int, jitter: float, asked: float | None
) -> None:
    seconds = delay(made, jitter=jitter, retry_after_seconds=asked)
    assert seconds is not None
    assert CONTRACT[made - 1] * 0.9 <= seconds <= max(CONTRACT[made - 1] * 1.1, schedule.MAX_RETRY_AFTER_SECONDS)
