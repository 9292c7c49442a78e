"""Endpoints: the moment one is disabled, and the secrets that sign."""

from datetime import UTC, datetime, timedelta

from crypto_checkout.core.webhooks.endpoint import FailureStreak

MONDAY = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def failing(*times: timedelta) -> FailureStreak:
    """Return what a first failure and those after these times make."""
    streak = FailureStreak(MONDAY, MONDAY)
    for after in times:
        streak = streak.extended(MONDAY + after)
    return streak


def test_failures_of_every_day_for_five_days_are_hopeless_and_no_moment_sooner() -> None:
    hourly = [hours * HOUR for hours in range(1, 120)]
    assert not failing(*hourly).is_hopeless(MONDAY + 5 * DAY - timedelta(milliseconds=1))
    assert failing(*hourly, 5 * DAY).is_hopeless(MONDAY + 5 * DAY)


def test_a_clock_that_jumps_ahead_makes_nothing_hopeless() -> None:
    for jump in (5 * DAY, 30 * DAY, 3650 * DAY):
        jumped = failing(HOUR, 2 * HOUR, jump, jump + HOUR)
        assert jumped.days == 2
        assert not jumped.is_hopeless(MONDAY + jump + HOUR)


def test_many_failures_of_one_day_are_one_day() -> None:
    assert failing(*(minute * timedelta(minutes=1) for minute in range(1, 1000))).days == 1


def test_an_endpoint_that_is_told_of_little_is_given_up_after_as_many_days_with_failures() -> None:
    assert not failing(7 * DAY, 14 * DAY, 21 * DAY).is_hopeless(MONDAY + 21 * DAY)
    assert failing(7 * DAY, 14 * DAY, 21 * DAY, 28 * DAY).is_hopeless(MONDAY + 28 * DAY)


def test_a_clock_that_is_put_back_begins_anew() -> None:
    assert failing(DAY, 2 * DAY, -HOUR) == FailureStreak(MONDAY - HOUR, MONDAY - HOUR)
    assert failing(DAY, 2 * DAY, HOUR) == failing(DAY, 2 * DAY)
