"""A clock that jumps, or is behind the database, is an issue, and holds up no delivery."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from crypto_checkout.core.alerts.issues import IssueKind
from crypto_checkout.services.alerts.issues import Issues
from crypto_checkout.services.alerts.server_issues import ServerIssues, WatchedMode
from crypto_checkout.services.ledger.health import Readiness
from crypto_checkout.services.upkeep.clock_watch import ClockWatch
from tests.support.api import LINK, PRICE, App, Clock, listed, made, open_app
from tests.support.receiver import Receiver
from tests.support.waiting import until

ENDPOINTS, LINKS, SESSIONS = "/webhook_endpoints", "/payment_links", "/checkout_sessions"
HOUR = 3600.0


class Clocks:
    """A wall clock, and one that cannot be set."""

    def __init__(self, wall: Clock) -> None:
        self.wall = wall
        self.seconds = 1000.0

    def elapsed(self) -> float:
        return self.seconds

    def tick(self, seconds: float = 5, *, jump: float = 0) -> None:
        self.seconds += seconds
        self.wall.move(seconds=seconds + jump)


@pytest.fixture
def clocks() -> Clocks:
    return Clocks(Clock())


@pytest.fixture
async def app(tmp_path: Path, clocks: Clocks) -> AsyncIterator[App]:
    webhooks = {"allow_private_networks": True, "retry_seconds": [600, 600, 600]}
    async with open_app(tmp_path, clock=clocks.wall, webhooks=webhooks) as running:
        yield running


def watch_of(app: App, clocks: Clocks) -> ClockWatch:
    return ClockWatch(app.opened.db, (), clock=clocks.wall, elapsed=clocks.elapsed)


@pytest.mark.parametrize(
    ("jump", "words"),
    [
        (-HOUR, "The clock of this machine was set back by 1 hour;"),
        (24 * HOUR, "The clock of this machine was set ahead by 1 day;"),
    ],
)
async def test_a_jump_is_an_issue_for_a_day_or_until_it_is_dismissed(
    app: App, clocks: Clocks, capfd: pytest.CaptureFixture[str], jump: float, words: str
) -> None:
    watch = watch_of(app, clocks)
    await watch.turn()
    for drift in (0, 30, -30):
        clocks.tick(jump=drift)
        await watch.turn()
    assert watch.issue() is None
    clocks.tick(jump=jump)
    await watch.turn()
    issue = watch.issue()
    assert issue is not None
    assert issue.words.startswith(words)
    assert issue.words in capfd.readouterr().out
    clocks.tick(24 * HOUR - 1)
    await watch.turn()
    assert watch.issue() == issue
    clocks.tick(2)
    assert watch.issue() is None


async def test_it_is_shown_in_both_modes_and_can_be_put_aside(app: App, clocks: Clocks) -> None:
    watch = watch_of(app, clocks)
    await watch.turn()
    clocks.tick(jump=-HOUR)
    await watch.turn()
    parts = WatchedMode(Readiness(app.opened.db, (), clocks.wall))
    of_modes = {
        mode: ServerIssues(parts, livemode=mode, folder=Path("/"), clock=clocks.wall, clock_watch=watch)
        for mode in (True, False)
    }
    found = Issues(app.opened.db, of_modes, dismissed=of_modes[True].dismiss)
    (live,), (test,) = (await found.of_server(True), await found.of_server(False))
    assert live == test
    assert (live.kind, live.livemode) == (IssueKind.CLOCK, None)
    await app.opened.db.write(found.dismiss("clock:2020-01-01T00:00:00.000Z"))
    assert await found.of_server(True) == [live]
    await app.opened.db.write(found.dismiss(live.cause))
    assert await found.of_server(True) == []


async def test_a_start_behind_the_database_is_an_issue(app: App, clocks: Clocks) -> None:
    await made(app.api, SESSIONS, PRICE)
    clocks.wall.move(days=-1)
    watch = watch_of(app, clocks)
    await watch.turn()
    issue = watch.issue()
    assert issue is not None
    assert issue.words.startswith("The clock of this machine is 1 day behind the newest entry of the database;")


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_a_retry_that_was_scheduled_by_a_clock_ahead_waits_no_longer_than_its_delay(
    app: App, clocks: Clocks, is_restarted: bool
) -> None:
    watch = watch_of(app, clocks)
    await watch.turn()
    with Receiver(status=500) as receiver:
        endpoint = await made(app.api, ENDPOINTS, {"url": receiver.url, "events": ["payment_link.created"]})
        path = f"{ENDPOINTS}/{endpoint['id']}/deliveries"

        async def attempts() -> int:
            return sum(len(each["attempts"]) for each in (await listed(app.api, path))["data"])

        async def is_tried(times: int) -> None:
            async def enough() -> bool:
                return await attempts() == times

            await until(enough, f"attempt {times}")

        right = clocks.wall.now
        clocks.tick(jump=24 * HOUR)
        await watch.turn()
        await made(app.api, LINKS, LINK)
        await is_tried(1)
        clocks.wall.now = right + timedelta(seconds=5)
        watch = watch_of(app, clocks) if is_restarted else watch
        await watch.turn()
        clocks.tick(601)
        await is_tried(2)
        (delivery,) = (await listed(app.api, path))["data"]
        assert due_at(delivery["nextAttemptAt"]) < clocks.wall.now + timedelta(seconds=661)


def due_at(text: str) -> datetime:
    return datetime.fromisoformat(text)
