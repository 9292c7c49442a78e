"""The forecast of a full disk: usual growth counts, and nothing that happens once."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.core.upkeep.disk import (
    Copies,
    DiskDay,
    Forecast,
    Growth,
    about,
    forecast,
    known_from,
)

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
MB, GB = 10**6, 10**9
ALONE = Copies()


def days(sizes: Sequence[float], others: Sequence[float] | None = None) -> list[DiskDay]:
    """Return a day for each size, the last one today."""
    first = NOW - timedelta(days=len(sizes) - 1)
    return [
        DiskDay((at := first + timedelta(days=number)).date(), at, int(each), int(others[number]) if others else 0)
        for number, each in enumerate(sizes)
    ]


def steady(a_day: float, number: int = 28, start: float = GB) -> list[float]:
    return [start + a_day * each for each in range(number)]


def growth(sizes: Sequence[float]) -> float:
    found = forecast(days(sizes), NOW, 100 * GB, ALONE)
    assert found is not None
    return found.growth.database


def test_a_steady_growth_says_when_the_disk_is_full() -> None:
    found = forecast(days(steady(41 * MB)), NOW, 150 * 41 * MB, ALONE)
    assert found is not None
    assert found.days_left == pytest.approx(150, abs=0.1)
    assert found.words == "At the present rate (41 MB a day), the disk will be full in about 5 months"
    assert found.seconds_left == pytest.approx(150 * 86_400, rel=0.01)


@pytest.mark.parametrize("day", range(1, 28))
def test_one_import_at_any_day_is_no_growth(day: int) -> None:
    sizes = [each + (5 * GB if number >= day else 0) for number, each in enumerate(steady(2 * MB))]
    assert growth(sizes) == pytest.approx(2 * MB, rel=0.01)


@pytest.mark.parametrize("day", range(1, 28))
def test_neither_is_it_in_a_folder_that_never_changes(day: int) -> None:
    assert growth([GB if number < day else 6 * GB for number in range(28)]) == 0


@pytest.mark.parametrize("day", [1, 9, 20, 27])
def test_neither_is_what_is_deleted_once(day: int) -> None:
    sizes = [each - (900 * MB if number >= day else 0) for number, each in enumerate(steady(2 * MB))]
    assert growth(sizes) == pytest.approx(2 * MB, rel=0.01)


def test_a_shop_that_sells_on_weekends_grows_by_its_mean() -> None:
    sizes, total = [], float(GB)
    for number in range(29):
        total += 70 * MB if number % 7 in {5, 6} else 0
        sizes.append(total)
    assert growth(sizes) == pytest.approx(20 * MB, rel=0.1)


def test_an_import_each_week_is_the_usual_growth() -> None:
    sizes, total = [], float(GB)
    for number in range(29):
        total += 700 * MB if number % 7 == 0 else 1 * MB
        sizes.append(total)
    assert growth(sizes) == pytest.approx(100 * MB, rel=0.1)


def test_a_folder_that_just_began_has_no_forecast() -> None:
    assert forecast([], NOW, GB, ALONE) is None
    assert forecast(days(steady(50 * MB, 7)[:6]), NOW, GB, ALONE) is None
    assert known_from([], NOW) >= NOW + timedelta(days=5)
    assert known_from(days(steady(50 * MB, 3)), NOW) <= NOW + timedelta(days=5)
    assert forecast(days(steady(50 * MB, 8)), NOW, GB, ALONE) is not None


def test_days_without_a_server_are_no_gap_in_the_growth() -> None:
    known = days(steady(10 * MB))
    assert growth([each.database_bytes for each in known]) == pytest.approx(10 * MB)
    found = forecast([*known[:8], *known[17:]], NOW, GB, ALONE)
    assert found is not None
    assert found.growth.database == pytest.approx(10 * MB, rel=0.01)


def test_days_that_a_wrong_clock_left_don_t_count() -> None:
    known = days(steady(10 * MB))
    ahead = DiskDay((NOW + timedelta(days=400)).date(), NOW + timedelta(days=400), 900 * GB, 0)
    found = forecast([*known, ahead], NOW, GB, ALONE)
    assert found is not None
    assert found.growth.database == pytest.approx(10 * MB, rel=0.01)


def test_backups_on_the_same_disk_grow_with_the_database_and_those_to_come_take_room() -> None:
    full = forecast(days(steady(MB)), NOW, 24 * 12 * MB, Copies(kept=11, there=11))
    assert full is not None
    assert full.growth.total == pytest.approx(12 * MB, rel=0.01)
    assert full.days_left == pytest.approx(24, abs=0.1)
    # Each copy is 1.027 GB: the third one doesn't fit.
    filling = forecast(days(steady(MB)), NOW, int(2.5 * GB), Copies(kept=11, there=0))
    assert filling is not None
    assert filling.days_left is not None
    assert 2 < filling.days_left < 3


def test_others_on_the_disk_count() -> None:
    found = forecast(days(steady(0), steady(300 * MB)), NOW, 3 * GB, ALONE)
    assert found is not None
    assert found.days_left == pytest.approx(10, abs=0.1)
    assert found.growth.others == pytest.approx(300 * MB)


def test_what_shrinks_makes_no_room_for_the_rest() -> None:
    found = forecast(days(steady(10 * MB), steady(-20 * MB, start=9 * GB)), NOW, GB, ALONE)
    assert found is not None
    assert found.growth.others == 0
    assert found.days_left == pytest.approx(100, abs=0.1)


def test_without_growth_there_is_no_end() -> None:
    found = forecast(days(steady(0)), NOW, GB, ALONE)
    assert found is not None
    assert (found.days_left, found.seconds_left) == (None, math.inf)
    assert found.words == "The disk isn't filling up: nothing on it grows at present"
    slow = forecast(days(steady(100)), NOW, GB, ALONE)
    assert slow is not None
    assert slow.words == "At the present rate (100 bytes a day), the disk will last for more than ten years"


def test_the_end_that_is_near_stays_near_until_it_is_clearly_farther() -> None:
    def at(days_left: float | None) -> Forecast:
        return Forecast(Growth(1, 0, 0), days_left)

    assert not at(30).is_soon(was_soon=False)
    assert at(29.9).is_soon(was_soon=False)
    assert at(34).is_soon(was_soon=True)
    assert not at(36).is_soon(was_soon=True)
    assert not at(None).is_soon(was_soon=True)


@given(
    st.lists(st.integers(0, 10**13), min_size=7, max_size=40),
    st.integers(-(10**9), 10**13),
    st.builds(Copies, st.integers(0, 20), st.integers(0, 20)),
)
def test_any_sizes_have_a_forecast_that_makes_sense(sizes: list[int], room: int, copies: Copies) -> None:
    found = forecast(days([float(each) for each in sizes]), NOW, room, copies)
    if len(sizes) < 8:
        return
    assert found is not None
    assert found.growth.total >= 0
    assert found.days_left is None or found.days_left >= 0
    assert found.seconds_left >= 0
    assert found.words


@given(st.integers(1, 10**12), st.integers(8, 40), st.integers(2, 38))
def test_a_single_step_never_changes_a_steady_growth(step: int, number: int, place: int) -> None:
    sizes = [each + (step if position >= place else 0) for position, each in enumerate(steady(3 * MB, number))]
    usual = growth(steady(3 * MB, number))
    assert growth(sizes) <= usual + 5 * usual / 6, "a step counts no more than some usual days"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0.3, "less than a day"), (1.9, "1 day"), (29.9, "29 days"), (31, "about 4 weeks"), (59, "about 8 weeks"),
        (150, "about 5 months"), (729, "about 24 months"), (730, "about 2 years"), (3650, "about 10 years"),
    ],
)  # fmt: skip
def test_days_in_words(number: float, words: str) -> None:
    assert about(number) == words
