"""The waits between attempts, and what a Retry-After header may say."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.webhooks import schedule

CONTRACT = [60, 600, 3600, 21_600, 86_400]
NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


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


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 120 ", 120.0),
        ("Mon, 23 Nov 2026 09:31:00 GMT", 60.0),
        ("Monday, 23-Nov-26 09:31:00 GMT", 60.0),
        ("Mon Nov 23 09:31:00 2026", 60.0),
        ("Mon, 23 Nov 2026 09:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_read_as_seconds_and_as_all_three_forms_of_http_date(value: str, seconds: float) -> None:
    assert schedule.parse_retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    "value", ["", "soon", "-5", "1.5", "1e3", "٣", "9" * 5000, "Mon, 99 Nov 2026 09:31:00 GMT", "Mon, 23 Nov", "\x00"]
)
def test_an_unreadable_retry_after_counts_as_none(value: str) -> None:
    assert schedule.parse_retry_after(value, NOW) is None


@given(st.text() | st.text("0123456789:-+., MonNvGTZ"))
def test_no_retry_after_raises_or_turns_time_back(value: str) -> None:
    seconds = schedule.parse_retry_after(value, NOW)
    assert seconds is None or seconds >= 0


@given(st.integers(0, 10**8))
def test_a_date_and_the_seconds_until_it_mean_the_same(seconds: int) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert schedule.parse_retry_after(date, NOW) == schedule.parse_retry_after(str(seconds), NOW)
