"""Retry-After headers: seconds, or a date."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.core import retry_after

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


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
    assert retry_after.parse(value, NOW) == seconds


@pytest.mark.parametrize(
    "value", ["", "soon", "-5", "1.5", "1e3", "٣", "9" * 5000, "Mon, 99 Nov 2026 09:31:00 GMT", "Mon, 23 Nov", "\x00"]
)
def test_an_unreadable_retry_after_counts_as_none(value: str) -> None:
    assert retry_after.parse(value, NOW) is None


@given(st.text() | st.text("0123456789:-+., MonNvGTZ"))
def test_no_retry_after_raises_or_turns_time_back(value: str) -> None:
    seconds = retry_after.parse(value, NOW)
    assert seconds is None or seconds >= 0


@given(st.integers(0, 10**8))
def test_a_date_and_the_seconds_until_it_mean_the_same(seconds: int) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert retry_after.parse(date, NOW) == retry_after.parse(str(seconds), NOW)
