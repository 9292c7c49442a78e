"""Names of backups, when the next is due, and which are kept."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.core.backups import Rotation, made_at, name_of, next_due, superseded

NOW = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)

moments = st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=0)
)
rotations = st.builds(Rotation, st.integers(1, 10), st.integers(0, 6))


@given(moments, st.integers(1, 999), st.booleans())
def test_a_name_holds_its_time(moment: datetime, number: int, encrypted: bool) -> None:
    assert made_at(name_of(moment, number=number, encrypted=encrypted)) == moment


@pytest.mark.parametrize(
    "name",
    [
        "checkout.db",
        "checkout-20261301-000000.db",
        "checkout-20261201-093000.db-wal",
        "../checkout-20261201-093000.db",
        "checkout-20261201-093000.db.age.age",
        "checkout-٢0261201-093000.db",
        "a/checkout-20261201-093000.db",
        "",
    ],
)
def test_other_files_are_no_backups(name: str) -> None:
    assert made_at(name) is None


@given(st.lists(moments, unique=True), moments, rotations)
def test_rotation_keeps_the_newest_and_one_of_each_of_the_last_days_and_weeks(
    times: list[datetime], now: datetime, rotation: Rotation
) -> None:
    names = {name_of(each, encrypted=each.minute % 2 == 0): each for each in times}
    kept = {names[each] for each in names.keys() - superseded(names.keys(), now, rotation)}
    past = sorted(each for each in times if each <= now)
    assert {each for each in times if each > now} <= kept
    assert past[-1:] == sorted(kept & {*past})[-1:]
    days = sorted({each.date() for each in past})[-rotation.daily :]
    assert {max(each for each in past if each.date() == day) for day in days} <= kept
    weeks = sorted({each.isocalendar()[:2] for each in past}, reverse=True)[: rotation.weekly]
    assert {max(each for each in past if each.isocalendar()[:2] == week) for week in weeks} <= kept
    assert len(kept & {*past}) <= rotation.daily + rotation.weekly


@given(st.lists(st.integers(1, 100), min_size=1, max_size=60), rotations)
def test_rotating_after_each_backup_keeps_what_rotating_once_would(hours: list[int], rotation: Rotation) -> None:
    every, there, now = [], set[str](), NOW
    for each in hours:
        now += timedelta(hours=each)
        every.append(name_of(now, encrypted=False))
        there.add(every[-1])
        there -= superseded(there, now, rotation)
    assert there == {*every} - superseded(every, now, rotation)


def test_files_of_others_are_never_deleted() -> None:
    names = {"notes.txt", "checkout.db", *(name_of(NOW - number * DAY, encrypted=False) for number in range(3))}
    gone = superseded(names, NOW, Rotation(1, 0))
    assert gone == {name_of(NOW - DAY, encrypted=False), name_of(NOW - 2 * DAY, encrypted=False)}


def test_the_next_is_due_by_the_newest_of_the_past() -> None:
    assert next_due([NOW - DAY, NOW - 3 * DAY], NOW, DAY) == NOW
    assert next_due([], NOW, DAY) == NOW


def test_a_clock_that_was_ahead_costs_one_more_backup() -> None:
    ahead = NOW + 400 * DAY
    assert next_due([ahead], NOW, DAY) == NOW
    assert next_due([ahead, NOW], NOW, DAY) == NOW + DAY
