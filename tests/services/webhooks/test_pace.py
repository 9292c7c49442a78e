"""The pace of deliveries: slow at first and after an outage, full speed otherwise."""

import random
from collections import deque
from collections.abc import Iterator
from itertools import pairwise

import pytest

from crypto_checkout.services.webhooks.pace import FIRST_PER_SECOND, FULL_PER_SECOND, OUTAGE_FAILURES, Pace

STEP = 0.001
MOST = 4


def attempts(pace: Pace, begins: float, seconds: float, *, succeed: bool) -> int:
    """Run attempts that each take no time, whenever one may begin; return how many there were."""
    made = 0
    for now in moments(begins, seconds):
        for _ in range(pace.room(0, now)):
            pace.started(now)
            (pace.succeeded if succeed else pace.failed)(now)
            made += 1
    return made


def moments(begins: float, seconds: float) -> Iterator[float]:
    return (begins + step * STEP for step in range(round(seconds / STEP)))


def test_the_first_attempt_waits_for_nothing() -> None:
    pace = Pace(MOST, 0.0)
    assert pace.room(0, 0.0) == 1
    assert pace.wait_seconds(0.0) == 0


def test_an_endpoint_that_answers_is_at_full_speed_after_a_few_seconds_and_not_at_once() -> None:
    pace = Pace(MOST, 0.0)
    each_second = [attempts(pace, second, 1, succeed=True) for second in range(7)]
    assert each_second[0] <= FIRST_PER_SECOND + 1
    assert all(later <= 2.5 * sooner for sooner, later in pairwise(each_second[:-1]))
    assert each_second[-1] >= FULL_PER_SECOND
    assert pace.room(0, 7.0) == MOST
    assert pace.wait_seconds(7.0) == 0


def test_an_endpoint_that_answered_lately_is_at_full_speed_within_a_second_and_not_at_once() -> None:
    pace = Pace(MOST, 0.0, answered_lately=True)
    assert attempts(pace, 0.0, 0.125, succeed=True) <= FIRST_PER_SECOND / 8 + 1
    attempts(pace, 0.125, 0.875, succeed=True)
    assert pace.room(0, 1.0) == MOST
    assert pace.wait_seconds(1.0) == 0


def test_after_an_outage_an_endpoint_that_answered_lately_comes_back_as_any_other() -> None:
    pace = Pace(MOST, 0.0, answered_lately=True)
    attempts(pace, 0.0, 1.0, succeed=True)
    for _ in range(OUTAGE_FAILURES):
        pace.failed(1.0)
    assert attempts(pace, 1.0, 1, succeed=True) <= FIRST_PER_SECOND + 1
    assert pace.wait_seconds(2.0) > 0


def test_a_failure_halves_the_attempts_that_run_at_once_and_successes_bring_them_back() -> None:
    pace = at_full_speed()
    pace.failed(10.0)
    assert pace.room(0, 10.0) == MOST / 2
    for _ in range(3):
        pace.succeeded(10.1)
    assert pace.room(0, 10.1) == MOST


@pytest.mark.parametrize(("percent", "least_share"), [(5, 0.7), (10, 0.5)])
def test_an_endpoint_that_fails_now_and_then_keeps_most_of_its_pace(percent: int, least_share: float) -> None:
    perfect = delivered(Pace(16, 0.0), failing_percent=0)
    assert delivered(Pace(16, 0.0), failing_percent=percent) >= least_share * perfect


def test_an_endpoint_that_mostly_fails_is_asked_one_at_a_time() -> None:
    pace = at_full_speed()
    draw = random.Random(1)
    for _ in range(100):
        (pace.failed if draw.random() < 0.7 else pace.succeeded)(10.0)
    assert pace.room(0, 20.0) == 1


def test_an_endpoint_that_is_down_is_asked_a_few_times_a_second() -> None:
    pace = at_full_speed()
    for _ in range(OUTAGE_FAILURES):
        pace.failed(10.0)
    assert attempts(pace, 10.0, 10, succeed=False) <= 10 * FIRST_PER_SECOND + 1


def test_an_endpoint_that_comes_back_is_not_flooded() -> None:
    pace = at_full_speed()
    attempts(pace, 10.0, 60, succeed=False)
    assert attempts(pace, 70.0, 1, succeed=True) <= FIRST_PER_SECOND + 1
    assert pace.room(MOST, 71.0) == 0
    assert attempts(pace, 71.0, 8, succeed=True) > FULL_PER_SECOND
    assert pace.room(0, 79.0) == MOST


def test_the_wait_is_until_the_pace_allows_the_next() -> None:
    pace = Pace(MOST, 0.0)
    pace.started(0.0)
    assert pace.room(0, 0.0) == 0
    wait = pace.wait_seconds(0.0)
    assert 0 < wait <= 1 / FIRST_PER_SECOND
    assert pace.room(0, wait + STEP) == 1


def delivered(pace: Pace, *, failing_percent: int) -> int:
    """Return the successes of a minute in which each attempt takes 20 ms and some fail at random."""
    draw = random.Random(failing_percent)
    ends = deque[float]()
    successes = 0
    for now in moments(0.0, 60):
        while ends and ends[0] <= now:
            ends.popleft()
            fails = draw.randrange(100) < failing_percent
            successes += not fails
            (pace.failed if fails else pace.succeeded)(now)
        for _ in range(pace.room(len(ends), now)):
            pace.started(now)
            ends.append(now + 0.02)
    return successes


def at_full_speed() -> Pace:
    pace = Pace(MOST, 0.0)
    attempts(pace, 0.0, 8, succeed=True)
    assert pace.room(0, 8.0) == MOST
    return pace
