"""Backups of the running server: made when they are due, by a process of its own, and looked after."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from crypto_checkout import metrics
from crypto_checkout.core.alerts.issues import IssueKind
from crypto_checkout.core.backups import Rotation
from crypto_checkout.core.owner.audit import COMMAND_LINE
from crypto_checkout.program import own_command
from crypto_checkout.services.alerts.server_issues import ServerIssues, WatchedMode
from crypto_checkout.services.ledger.health import Readiness
from crypto_checkout.services.upkeep.backups import Backups
from crypto_checkout.store.age_files import Encryption
from crypto_checkout.store.backups import making
from crypto_checkout.store.backups.making import Job
from crypto_checkout.store.data_folder import life
from crypto_checkout.store.database import Database
from crypto_checkout.store.migrate import migrate
from tests.support.api import Clock

pytestmark = pytest.mark.sqlite

DAY = timedelta(days=1)
Make = Callable[..., Backups]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def db(tmp_path: Path, clock: Clock) -> AsyncIterator[Database]:
    path = tmp_path / "checkout.db"
    migrate(path)
    async with await Database.open(path, clock) as db:
        await db.write(lambda unit: life.begin(unit, "life"))
        yield db


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path / "checkout.db", tmp_path / "backups", Encryption(), Rotation(7, 4))


@pytest.fixture
def make(db: Database, job: Job, clock: Clock) -> Make:
    def make(**changes: object) -> Backups:
        chosen: dict[str, object] = {"every": DAY, "command": [*own_command(), "backup-worker"], **changes}
        return Backups(db, job, clock=clock, **chosen)  # type: ignore[arg-type]

    return make


def names(job: Job) -> list[str]:
    return sorted(path.name for path in job.folder.glob("checkout-*"))


async def test_the_first_backup_is_made_an_hour_after_the_database_and_then_one_a_day(
    make: Make, job: Job, clock: Clock
) -> None:
    backups = make()
    await backups.turn()
    assert names(job) == []
    for hours, count in ((1, 1), (0, 1), (23, 1), (1, 2), (24, 3)):
        clock.move(hours=hours)
        await backups.turn()
        assert len(names(job)) == count
        assert backups.issue() is None


async def test_a_restart_neither_repeats_a_backup_nor_loses_one(make: Make, job: Job, clock: Clock) -> None:
    clock.move(hours=2)
    for _ in range(3):
        await make().turn()
    assert len(names(job)) == 1
    clock.move(hours=25)
    for _ in range(3):
        await make().turn()
    assert len(names(job)) == 2


async def test_a_clock_that_jumps_makes_one_more_at_most(make: Make, job: Job, clock: Clock) -> None:
    backups = make()
    clock.move(hours=2)
    await backups.turn()
    clock.move(days=400)
    await backups.turn()
    clock.move(days=-400)
    for _ in range(3):
        await backups.turn()
    assert len(names(job)) == 2
    clock.move(hours=24)
    for _ in range(3):
        await backups.turn()
    assert len(names(job)) == 3


async def test_it_is_made_now_if_the_owner_asks_even_where_none_are_made_otherwise(make: Make, job: Job) -> None:
    backups = make(every=None)
    await backups.turn()
    assert names(job) == []
    assert backups.status().next_at is None
    backups.back_up_now()
    progress = backups.status().progress
    assert progress is not None
    await backups.turn()
    assert len(names(job)) == 1
    assert backups.status().progress is None
    newest = backups.status().newest
    assert newest is not None
    assert newest.is_verified


async def test_asking_ends_the_pause_at_once(make: Make, job: Job) -> None:
    backups = make(every=None)
    running = asyncio.create_task(backups.run())
    try:
        await asyncio.sleep(0)
        backups.back_up_now()
        async with asyncio.timeout(60):
            while not names(job):
                await asyncio.sleep(0.05)
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def test_one_that_fails_is_a_problem_and_is_tried_again_in_an_hour(make: Make, job: Job, clock: Clock) -> None:
    backups = make()
    clock.move(hours=2)
    job.folder.write_text("in the way", "utf-8")
    before = generate_latest(metrics.REGISTRY)
    for _ in range(2):
        await backups.turn()
    assert before != generate_latest(metrics.REGISTRY)
    problem = backups.issue()
    assert problem is not None
    assert str(job.folder) in problem
    job.folder.unlink()
    await backups.turn()
    assert names(job) == []
    clock.move(hours=1)
    await backups.turn()
    assert len(names(job)) == 1
    assert backups.issue() is None


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["sh", "-c", "read line; kill -9 $$"], "ended before it was complete (exit code -9)"),
        (["sh", "-c", "exit 3"], "ended before it was complete (exit code 3)"),
        (["/nowhere/crypto-checkout"], "can't be started: No such file or directory"),
    ],
)
async def test_a_process_that_ends_early_or_never_starts_is_a_failure(
    make: Make, job: Job, clock: Clock, command: list[str], words: str
) -> None:
    backups = make(command=command)
    clock.move(hours=2)
    await backups.turn()
    failure = backups.status().failure
    assert failure is not None
    assert words in failure.words
    assert names(job) == []


async def test_ending_the_server_ends_the_process(make: Make, tmp_path: Path, clock: Clock) -> None:
    backups = make(command=["sh", "-c", f"read line; echo $$ > {tmp_path}/pid; exec sleep 600"])
    clock.move(hours=2)
    turn = asyncio.create_task(backups.turn())
    async with asyncio.timeout(60):
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            await asyncio.sleep(0.02)
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


async def test_a_backup_older_than_two_periods_is_late(make: Make, job: Job, clock: Clock) -> None:
    backups = make(command=["sh", "-c", 'read line; echo "{\\"failed\\": \\"x\\", \\"running\\": true}"'])
    making.make(job, clock())
    clock.move(hours=47)
    await backups.turn()
    assert backups.issue() is None
    assert not backups.status().is_late
    clock.move(hours=2)
    await backups.turn()
    assert backups.status().is_late
    assert backups.issue() == "The newest backup is 2 days 1 hour old."


async def test_the_age_and_size_of_the_newest_are_metrics(make: Make, job: Job, clock: Clock) -> None:
    backups = make()
    made = making.make(job, clock())
    clock.move(minutes=10)
    await backups.turn()
    assert metrics.REGISTRY.get_sample_value("checkout_backup_age_seconds") == pytest.approx(600, abs=1)
    assert metrics.REGISTRY.get_sample_value("checkout_backup_size_bytes") == made.size_bytes


async def test_a_download_is_noted_and_no_name_leads_out_of_the_folder(
    make: Make, db: Database, job: Job, clock: Clock
) -> None:
    backups = make()
    made = making.make(job, clock())
    for name in ("../checkout.db", "checkout.db", "/etc/passwd", "", ".", "backups.json", f"x/../{made.name}"):
        assert await backups.open(name, COMMAND_LINE) is None
    file = await backups.open(made.name, COMMAND_LINE)
    assert file is not None
    with file:
        made.path.unlink()
        assert len(file.read()) == made.size_bytes
    noted = await db.read(lambda unit: unit.one("SELECT action, detail FROM audit"))
    assert noted is not None
    assert tuple(noted) == ("backup.downloaded", made.name)


async def test_a_problem_is_an_issue_of_the_whole_server(
    make: Make, db: Database, job: Job, clock: Clock, tmp_path: Path
) -> None:
    backups = make(command=["sh", "-c", 'read line; echo "{\\"failed\\": \\"The disk would fill.\\"}"'])
    watched = WatchedMode(Readiness(db, (), clock))
    issues = ServerIssues(watched, livemode=True, folder=tmp_path, clock=clock, backups=backups)
    assert IssueKind.BACKUP not in [each.kind for each in await issues.now()]
    clock.move(hours=2)
    await backups.turn()
    (issue,) = [each for each in await issues.now() if each.kind is IssueKind.BACKUP]
    assert issue.livemode is None
    assert issue.words == "The last backup failed. The disk would fill."
    assert "tries again every hour" in issue.advice
    clock.move(minutes=1)
    making.make(job, clock())  # by hand
    await backups.turn()
    assert IssueKind.BACKUP not in [each.kind for each in await issues.now()]
