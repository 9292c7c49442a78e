"""The pause that open pages make between their polls, played with thousands of them."""

import heapq
import random

import pytest

from crypto_checkout.http.poll_pace import LONGEST_SECONDS, MOST_POLLS_PER_SECOND, USUAL_SECONDS, PollPace
from tests.support.api import RateClock


def polls_a_second(pages: int, until: float, pace: PollPace, clock: RateClock) -> float:
    """Let pages poll as they do, the first time spread over some seconds; return their rate in the last half minute."""
    began = clock.now
    due = [began + USUAL_SECONDS * number / pages for number in range(pages)]
    heapq.heapify(due)
    counted = 0
    while (at := due[0]) < began + until:
        clock.now = at
        counted += at >= began + until - 30
        heapq.heapreplace(due, at + max(USUAL_SECONDS, pace.seconds() or 0))
    return counted / 30


@pytest.mark.parametrize("pages", [1, 1_000, 2_400])
def test_pages_that_one_process_answers_easily_poll_as_usual(pages: int) -> None:
    clock = RateClock()
    pace = PollPace(clock, random.Random(7).random)
    assert polls_a_second(pages, 60, pace, clock) == pytest.approx(pages / USUAL_SECONDS, rel=0.2)
    assert pace.seconds() is None


@pytest.mark.parametrize("pages", [5_000, 10_000, 25_000])
def test_very_many_pages_poll_less_often_and_take_no_more_together(pages: int) -> None:
    clock = RateClock()
    pace = PollPace(clock, random.Random(7).random)
    rate = polls_a_second(pages, 120, pace, clock)
    assert 0.7 * MOST_POLLS_PER_SECOND < rate < 1.3 * MOST_POLLS_PER_SECOND


def test_pages_wait_half_a_minute_at_most_on_average_and_all_poll_as_usual_once_the_crowd_has_gone() -> None:
    clock = RateClock()
    pace = PollPace(clock, random.Random(7).random)
    polls_a_second(60_000, 60, pace, clock)
    assert LONGEST_SECONDS / 2 <= (pace.seconds() or 0) <= LONGEST_SECONDS * 3 / 2
    polls_a_second(10, 120, pace, clock)
    assert pace.seconds() is None
