"""The daily look for a newer version: once a day, over restarts, and quiet when it fails."""

from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from crypto_checkout.core.errors import UpdatesUnknown
from crypto_checkout.services.upkeep.update_watch import UpdateWatch
from tests.support.api import Clock

URL = "https://example.com/latest"


class Site:
    """Answers with what it is told to, and counts."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked = 0

    async def __call__(self, url: str) -> Any:
        assert url == URL
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def release(version: str) -> dict[str, str]:
    return {"version": version, "url": f"https://example.com/{version}"}


def watch(folder: Path, site: Site, clock: Clock, *, url: str = URL, version: str = "1.0.0") -> UpdateWatch:
    return UpdateWatch(url, folder, version, site, clock)


async def test_a_newer_version_is_known_and_so_it_is_after_a_restart(tmp_path: Path) -> None:
    site, clock = Site(release("1.1.0")), Clock()
    first = watch(tmp_path, site, clock)
    with capture_logs() as lines:
        await first.turn()
    assert [(line["event"], line["version"]) for line in lines] == [("there is a newer version", "1.1.0")]
    again = watch(tmp_path, site, clock)
    assert first.newer is not None
    assert again.newer == first.newer
    await again.turn()
    assert site.asked == 1


async def test_it_asks_once_a_day_give_or_take_two_hours(tmp_path: Path) -> None:
    site, clock = Site(release("1.0.0")), Clock()
    times = []
    for _ in range(6 * 24 * 20):
        # A restart every ten minutes changes nothing.
        looking = watch(tmp_path, site, clock)
        before = site.asked
        await looking.turn()
        if site.asked > before:
            times.append(clock())
        clock.move(minutes=10)
    gaps = {after - before for before, after in pairwise(times)}
    assert all(timedelta(hours=22) <= gap <= timedelta(hours=26, minutes=10) for gap in gaps)
    assert len(gaps) > 1, "a crowd of servers doesn't ask in one minute"


async def test_after_the_update_there_is_nothing_newer(tmp_path: Path) -> None:
    site, clock = Site(release("1.1.0")), Clock()
    await watch(tmp_path, site, clock).turn()
    assert watch(tmp_path, site, clock, version="1.1.0").newer is None


@pytest.mark.parametrize("version", ["0.9.9", "1.0.0", "0.0.1"])
async def test_nobody_is_led_to_a_lower_version(tmp_path: Path, version: str) -> None:
    looking = watch(tmp_path, Site(release(version)), Clock())
    await looking.turn()
    assert looking.newer is None
    assert looking.last is not None
    assert looking.last.problem is None


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (UpdatesUnknown("it answers with status 500"), "it answers with status 500"),
        ({"version": "nightly"}, "the answer names no version like 1.2.3"),
        ({"version": "9.0.0", "url": "http://x/"}, "the answer has no https:// URL of a page about the version"),
    ],
)
async def test_a_failure_is_logged_and_keeps_what_was_known_for_another_day(
    tmp_path: Path, answer: Any, problem: str
) -> None:
    site, clock = Site(release("1.1.0")), Clock()
    looking = watch(tmp_path, site, clock)
    await looking.turn()
    site.answer = answer
    clock.move(hours=27)
    with capture_logs() as lines:
        await looking.turn()
        await looking.turn()
    assert site.asked == 2
    assert [line["error"] for line in lines] == [problem]
    for each in (looking, watch(tmp_path, site, clock)):
        assert each.last is not None
        assert each.last.problem == problem
        assert each.newer is not None
        assert each.newer.version == "1.1.0"


async def test_another_url_is_asked_at_once_and_none_is_never(tmp_path: Path) -> None:
    site, clock = Site(release("1.1.0")), Clock()
    await watch(tmp_path, site, clock).turn()
    assert watch(tmp_path, site, clock, url="https://example.com/other").last is None
    off = watch(tmp_path, site, clock, url="")
    await off.run()
    assert (off.newer, site.asked) == (None, 1)


async def test_a_clock_that_was_ahead_doesn_t_end_the_looks(tmp_path: Path) -> None:
    site, clock = Site(release("1.1.0")), Clock()
    clock.move(days=400)
    await watch(tmp_path, site, clock).turn()
    clock.move(days=-400)
    looking = watch(tmp_path, site, clock)
    await looking.turn()
    await looking.turn()
    assert site.asked == 2


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "[" * 100_000, "5", '{"url": "https://example.com/latest"}',
        '{"url": "https://example.com/latest", "at": "x", "nextAt": "y", "release": null, "problem": null}',
        (
            '{"url": "https://example.com/latest", "at": "2026-01-01T00:00:00.000Z", '
            '"nextAt": "2999-01-01T00:00:00.000Z", "problem": null, '
            '"release": {"version": "9.0.0", "url": "javascript:x"}}'
        ),
    ],
)  # fmt: skip
async def test_a_record_that_can_t_be_read_is_no_record(tmp_path: Path, text: str) -> None:
    (tmp_path / "newest-version").write_text(text)
    site = Site(release("1.1.0"))
    looking = watch(tmp_path, site, Clock())
    assert looking.last is None
    await looking.turn()
    assert site.asked == 1


async def test_without_room_for_the_record_the_version_is_known_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("crypto_checkout.store.files.write", fail)
    looking = watch(tmp_path, Site(release("1.1.0")), Clock())
    await looking.turn()
    assert looking.newer is not None
