"""Moments: one text of fixed width, which sorts as the time does."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.core.moments import (
    from_optional_text,
    from_text,
    from_unix,
    to_optional_text,
    to_text,
)

aware = st.datetimes(timezones=st.just(UTC))


def test_a_moment_is_written_in_utc_with_milliseconds() -> None:
    written = "2026-11-23T09:30:00.123Z"
    assert to_text(datetime(2026, 11, 23, 9, 30, 0, 123999, tzinfo=UTC)) == written
    assert to_text(datetime(2026, 11, 23, 15, 0, 0, 123000, tzinfo=timezone(timedelta(hours=5.5)))) == written


@given(aware, aware)
def test_the_texts_have_one_width_and_sort_as_the_moments(one: datetime, other: datetime) -> None:
    texts = [to_text(moment) for moment in sorted([one, other])]
    assert texts == sorted(texts)
    assert {len(text) for text in texts} == {24}


@given(aware)
def test_a_moment_written_and_read_is_the_same_to_the_millisecond(moment: datetime) -> None:
    again = from_text(to_text(moment))
    assert timedelta(0) <= moment - again < timedelta(milliseconds=1)
    assert again.tzinfo is UTC


@pytest.mark.parametrize("text", ["2026-11-23T10:30:00+01:00", "2026-11-23T09:30:00Z", "2026-11-23T09:30Z"])
def test_other_texts_with_a_zone_are_read(text: str) -> None:
    assert from_text(text) == datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "now", "2026-11-23T09:30:00", "2026-11-23", "1790000000", "0001-01-01T00:00:00+12:00",
             "9999-12-31T23:59:59-12:00", "2026-13-01T00:00:00Z"],
)  # fmt: skip
def test_a_text_that_names_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        from_text(text)


def test_a_moment_without_a_zone_is_not_written() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        to_text(datetime(2026, 11, 23, 9, 30))  # noqa: DTZ001


def test_no_moment_is_no_text() -> None:
    moment = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
    assert to_optional_text(None) is None
    assert from_optional_text(None) is None
    assert from_optional_text(to_optional_text(moment)) == moment


def test_a_blocks_timestamp_is_a_moment() -> None:
    assert to_text(from_unix(1_700_000_000)) == "2023-11-14T22:13:20.000Z"
    assert from_unix(253_402_300_799).year == 9999


@pytest.mark.parametrize("seconds", [253_402_300_800, 2**63, 2**64, 2**256 - 1])
def test_a_timestamp_after_the_year_9999_is_refused(seconds: int) -> None:
    with pytest.raises(ValueError, match="outside the years 1 to 9999"):
        from_unix(seconds)
