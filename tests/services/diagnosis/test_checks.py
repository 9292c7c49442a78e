"""What doctor says of the disk and of newer versions."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from crypto_checkout.core.diagnosis.checks import Severity
from crypto_checkout.core.upkeep.disk import Forecast, Growth
from crypto_checkout.core.upkeep.space import FolderSizes
from crypto_checkout.core.upkeep.versions import Release
from crypto_checkout.services.diagnosis import checks
from crypto_checkout.services.upkeep.disk_watch import DiskReport
from crypto_checkout.store.upkeep.newest_version import LastLook
from crypto_checkout.store.upkeep.space import Pages

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
MB, GB = 10**6, 10**9
SIZES = FolderSizes(GB, 0, 0, 0, 0, 0, 40 * GB, 6 * GB)
REPORT = DiskReport(SIZES, Pages(GB, 0), None, NOW + timedelta(days=7))
LOOK = LastLook(
    "https://example.com/latest", NOW, NOW + timedelta(days=1), Release("1.1.0", "https://example.com/1.1.0")
)


@pytest.mark.parametrize(
    ("days_left", "mark", "words"),
    [
        (150, Severity.OK, "at the present rate (41 MB a day), the disk will be full in about 5 months"),
        (29, Severity.WARN, "at the present rate (41 MB a day), the disk will be full in 29 days"),
        (None, Severity.OK, "at the present rate (41 MB a day), the disk will last for more than ten years"),
    ],
)
def test_a_disk_that_is_full_within_a_month_is_warned_of(days_left: float | None, mark: Severity, words: str) -> None:
    forecast = Forecast(Growth(41 * MB, 0, 0), days_left)
    check = checks.of_disk(dataclasses.replace(REPORT, forecast=forecast))
    assert (check.mark, check.what) == (mark, f"6.0 GB of 40 GB free; {words}")
    assert (check.advice is None) is (mark is Severity.OK)


def test_in_the_first_week_it_says_from_when_on() -> None:
    check = checks.of_disk(REPORT)
    assert (check.mark, check.advice) == (Severity.OK, None)
    assert check.what == "6.0 GB of 40 GB free; there will be a forecast from 2026-11-30"


@pytest.mark.parametrize(
    ("version", "look", "mark", "words"),
    [
        ("1.0.0", LOOK, Severity.WARN, "1.1.0 is available, this is 1.0.0: https://example.com/1.1.0"),
        ("1.1.0", LOOK, Severity.OK, "this is 1.1.0, the newest"),
        ("1.2.0", LOOK, Severity.OK, "this is 1.2.0, the newest"),
        ("1.0.0", None, Severity.OK, "this is 1.0.0; no newer one was looked for yet"),
        (
            "1.1.0",
            dataclasses.replace(LOOK, problem="it answers with status 500"),
            Severity.WARN,
            "this is 1.1.0; asking https://example.com/latest for the newest failed: it answers with status 500",
        ),
    ],
)
def test_a_newer_version_and_a_url_that_doesn_t_answer_are_warned_of(
    version: str, look: LastLook | None, mark: Severity, words: str
) -> None:
    check = checks.of_updates(version, look)
    assert (check.mark, check.what) == (mark, words)
    assert (check.advice is None) is (mark is Severity.OK)
