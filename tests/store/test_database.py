"""Units of work: what they see, what stays of them, and who is told; over real SQLite files."""

import asyncio
import os
import random
import resource
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiosqlite
import psycopg
import pytest

from crypto_checkout.core import ids, moments
from crypto_checkout.core.errors import DatabaseDamaged, DatabaseFailed
from crypto_checkout.store import group_commit
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.migrate import migrate
from tests.support.kill_writer import WALLET, stored, take_index
from tests.support.sqlite import on_writers_thread
from tests.support.waiting import WAIT_SECONDS

TOOL = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
connection.execute("INSERT INTO wallets (wallet_id, next_index) VALUES ('tool', 0)")
for _ in range(19):
    connection.execute("UPDATE wallets SET next_index = 0 WHERE wallet_id = 'tool'")
connection.close()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "checkout.db"
    migrate(path)
    return path


@pytest.fixture
async def db(path: Path) -> AsyncIterator[Database]:
    async with await Database.open(path, now) as db:
        yield db


def now() -> datetime:
    return datetime.now(UTC)


class Gate:
    """Holds a unit on its thread: the test learns that it is there, and lets it go on."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._open = threading.Event()

    def wait(self) -> None:
        self._reached.set()
        assert self._open.wait(WAIT_SECONDS), "nobody opened the gate"

    def open(self) -> None:
        self._open.set()

    async def reached(self) -> None:
        assert await asyncio.to_thread(self._reached.wait, WAIT_SECONDS), "the unit never came"


def held(gate: Gate) -> Callable[[WriteUnit], int]:
    """Take an index, and wait at the gate before returning it."""

    def work(unit: WriteUnit) -> int:
        index = take_index(unit)
        gate.wait()
        return index

    return work


def refused(unit: WriteUnit) -> int:
    take_index(unit)
    raise ValueError("refused")


def count(unit: ReadUnit) -> int:
    row = unit.one("SELECT COUNT(*) FROM events")
    assert row is not None
    return int(row[0])


ADD = "INSERT INTO wallets (wallet_id, next_index) VALUES ('tool', 0)"


def wallets(unit: ReadUnit) -> int:
    return len(unit.all("SELECT wallet_id FROM wallets"))


def indexes_taken(unit: ReadUnit) -> int:
    row = unit.one("SELECT next_index FROM wallets")
    return 0 if row is None else int(row[0])


def insert_event(body: str) -> Callable[[WriteUnit], int]:
    return lambda unit: unit.run(
        "INSERT INTO events (id, livemode, type, resource_id, body, created_at) VALUES (:id, 0, 't', 'r', :body, :now)",
        {"id": unit.new_id(ids.EVENT), "body": body, "now": unit.now_text},
    )


async def on_writer(db: Database, sql: str) -> Any:
    row = await on_writers_thread(db, lambda connection: connection.execute(sql).fetchone())
    return row[0] if row else None


@contextmanager
def other_process(path: Path) -> Iterator[sqlite3.Connection]:
    """Act as a command-line tool: SQLite treats another connection and another process alike."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=WAIT_SECONDS)) as connection:
        yield connection


# What a unit sees


async def test_a_unit_returns_what_it_stored(db: Database) -> None:
    assert await db.write(take_index) == 0
    assert await db.write(take_index) == 1
    assert await db.read(count) == 2


async def test_now_stands_still_in_a_unit_and_moves_on_between_units(path: Path) -> None:
    ticks = iter(datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=tick) for tick in range(100))

    def look(unit: ReadUnit) -> datetime:
        assert unit.now is unit.now
        assert unit.now_text == moments.to_text(unit.now)
        return unit.now

    async with await Database.open(path, lambda: next(ticks)) as db:
        written = await asyncio.gather(db.write(look), db.write(look))
        read = await db.read(look)
    assert written[0] < written[1] < read


async def test_a_new_id_tells_the_moment_of_its_unit(db: Database) -> None:
    at, identifier = await db.write(lambda unit: (unit.now, unit.new_id(ids.EVENT)))
    assert ids.is_id(identifier, ids.EVENT)
    assert identifier[:14] == ids.make(ids.EVENT, at, bytes(ids.ENTROPY_BYTES))[:14]


async def test_a_reader_sees_nothing_that_is_not_committed(db: Database) -> None:
    gate = Gate()
    writing = asyncio.create_task(db.write(held(gate)))
    await gate.reached()
    assert await db.read(count) == 0
    gate.open()
    await writing
    assert await db.read(count) == 1


async def test_a_reader_sees_one_snapshot_while_others_commit(db: Database) -> None:
    gate = Gate()

    def look_twice(unit: ReadUnit) -> tuple[int, int]:
        first = count(unit)
        gate.wait()
        return first, count(unit)

    reading = asyncio.create_task(db.read(look_twice))
    await gate.reached()
    await db.write(take_index)
    gate.open()
    assert await reading == (0, 0)
    assert await db.read(count) == 1


@pytest.mark.parametrize("sql", ["DELETE FROM events", "CREATE TABLE mine (x)", "PRAGMA user_version = 7"])
async def test_a_reader_cannot_write(db: Database, path: Path, sql: str) -> None:
    await db.write(take_index)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await db.read(lambda unit: unit.all(sql))
    assert stored(path) == 1


async def test_a_slow_reader_holds_up_no_other(db: Database) -> None:
    gate = Gate()
    slow = asyncio.create_task(db.read(lambda _: gate.wait()))
    await gate.reached()
    for _ in range(20):
        assert await db.read(count) == 0
    gate.open()
    await slow


async def test_a_reader_whose_caller_went_away_still_counts_as_busy(db: Database) -> None:
    gate = Gate()
    slow = asyncio.create_task(db.read(lambda _: gate.wait()))
    await gate.reached()
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    for _ in range(20):
        assert await db.read(count) == 0
    gate.open()


async def test_foreign_keys_hold(db: Database) -> None:
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError), match=r"(?i)foreign key"):
        await db.write(
            lambda unit: unit.run(
                "INSERT INTO deliveries (event_seq, endpoint_id, status, created_at, updated_at)"
                " VALUES (1, 'we_0', 'pending', :now, :now)",
                {"now": unit.now_text},
            )
        )


async def test_an_answer_survives_a_power_cut(db: Database) -> None:
    full = 2
    assert await on_writer(db, "PRAGMA journal_mode") == "wal"
    assert await on_writer(db, "PRAGMA synchronous") == full


async def test_any_folder_name_will_do(tmp_path: Path) -> None:
    path = tmp_path / "50% of #1? née & co" / "checkout.db"
    migrate(path)
    async with await Database.open(path, now) as db:
        await db.write(take_index)
    assert stored(path) == 1


# What stays of a unit


async def test_nothing_stays_of_a_unit_that_raises(db: Database, path: Path) -> None:
    with pytest.raises(ValueError, match="refused"):
        await db.write(refused)
    assert await db.write(take_index) == 0
    assert stored(path) == 1


async def test_units_that_wait_together_share_a_commit(db: Database, path: Path) -> None:
    commits = []
    await on_writers_thread(
        db, lambda connection: connection.set_trace_callback(lambda sql: commits.append(sql == "COMMIT"))
    )
    indexes = await asyncio.gather(*(db.write(take_index) for _ in range(200)))
    assert indexes == list(range(200))
    assert sum(commits) <= 2
    assert stored(path) == 200


async def test_a_failing_unit_takes_no_other_of_its_group_along(db: Database, path: Path) -> None:
    units = [refused if number % 10 == 3 else take_index for number in range(100)]
    outcomes = await asyncio.gather(*(db.write(unit) for unit in units), return_exceptions=True)
    assert [isinstance(outcome, ValueError) for outcome in outcomes] == [unit is refused for unit in units]
    assert [outcome for outcome in outcomes if isinstance(outcome, int)] == list(range(90))
    assert stored(path) == 90


@pytest.mark.parametrize("seed", range(5))
async def test_cancelled_writers_leave_no_half_unit_and_no_gap(db: Database, path: Path, seed: int) -> None:
    chance = random.Random(seed)
    answered = []

    async def write_five() -> None:
        for _ in range(5):
            index = await db.write(take_index)
            answered.append(index)

    writers = [asyncio.create_task(write_five()) for _ in range(200)]
    for victim in chance.sample(writers, 100):
        for _ in range(chance.randint(0, 20)):
            await asyncio.sleep(0)  # lets the loop turn, so that victims are met at every stage
        victim.cancel()
    await asyncio.wait(writers)
    await db.write(take_index)
    assert stored(path) >= len(answered) + 1
    assert stored(path) <= len(answered) + 1 + sum(writer.cancelled() for writer in writers)
    assert len(set(answered)) == len(answered)


async def test_a_unit_is_stored_whole_when_its_caller_goes_away_in_the_middle(db: Database, path: Path) -> None:
    gate, called = Gate(), asyncio.Event()

    def work(unit: WriteUnit) -> None:
        unit.after_commit(called.set)
        held(gate)(unit)

    writing = asyncio.create_task(db.write(work))
    await gate.reached()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    gate.open()
    await asyncio.wait_for(called.wait(), WAIT_SECONDS)
    assert stored(path) == 1


async def test_a_unit_does_not_run_when_its_caller_went_away_before(db: Database, path: Path) -> None:
    gate = Gate()
    ran: list[int] = []
    first = asyncio.create_task(db.write(held(gate)))
    await gate.reached()
    second = asyncio.create_task(db.write(lambda unit: ran.append(take_index(unit))))
    third = asyncio.create_task(db.write(take_index))
    await asyncio.sleep(0)
    assert len(db._queue) == 2
    second.cancel()
    gate.open()
    assert [await first, await third] == [0, 1]
    assert second.cancelled()
    assert ran == []
    assert stored(path) == 2


async def test_a_unit_does_not_run_when_its_caller_went_away_while_its_group_did(db: Database, path: Path) -> None:
    gate = Gate()
    first, second, third = (asyncio.create_task(db.write(work)) for work in (held(gate), take_index, take_index))
    await gate.reached()
    assert not db._queue
    second.cancel()
    await asyncio.wait({second})
    gate.open()
    assert [await first, await third] == [0, 1]
    assert stored(path) == 2


@pytest.mark.parametrize("sql", ["COMMIT", "rollback", " END", "BEGIN", "SAVEPOINT mine", "RELEASE unit"])
async def test_a_unit_cannot_end_its_transaction(db: Database, path: Path, sql: str) -> None:
    def work(unit: WriteUnit) -> None:
        take_index(unit)
        unit.run(sql)

    outcomes = await asyncio.gather(db.write(take_index), db.write(work), db.write(take_index), return_exceptions=True)
    assert isinstance(outcomes[1], sqlite3.ProgrammingError)
    with pytest.raises(sqlite3.ProgrammingError, match="control"):
        await db.read(lambda unit: unit.all(sql))
    assert stored(path) == 2


async def test_a_unit_that_is_over_can_write_nothing_more(db: Database, path: Path) -> None:
    leaked: list[WriteUnit] = []
    await db.write(leaked.append)
    with pytest.raises(sqlite3.OperationalError, match="ended"):
        await on_writers_thread(db, lambda _: take_index(leaked[0]))
    assert stored(path) == 0


# Who is told


async def test_what_was_registered_runs_after_the_commit_and_before_the_caller_goes_on(
    db: Database, path: Path
) -> None:
    seen = []

    def work(unit: WriteUnit) -> None:
        take_index(unit)
        unit.after_commit(lambda: seen.append((stored(path), threading.current_thread())))
        assert seen == []

    await db.write(work)
    assert seen == [(1, threading.main_thread())]


async def test_nothing_registered_runs_for_a_unit_that_failed(db: Database) -> None:
    called = []

    def work(unit: WriteUnit) -> None:
        unit.after_commit(lambda: called.append("failed"))
        refused(unit)

    outcomes = await asyncio.gather(
        db.write(work),
        db.write(lambda unit: unit.after_commit(lambda: called.append("stored"))),
        return_exceptions=True,
    )
    assert isinstance(outcomes[0], ValueError)
    assert called == ["stored"]


async def test_a_callback_that_raises_is_reported_and_keeps_no_answer_back(db: Database) -> None:
    reports: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    handler = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, report: reports.append(report))
    try:
        units = [lambda unit: unit.after_commit(lambda: 1 // 0), take_index, take_index]
        async with asyncio.timeout(WAIT_SECONDS):
            assert await asyncio.gather(*(db.write(unit) for unit in units)) == [None, 0, 1]
    finally:
        loop.set_exception_handler(handler)
    assert [type(report["exception"]) for report in reports] == [ZeroDivisionError]


async def test_stop_iteration_reaches_the_caller_as_an_error(db: Database) -> None:
    def work(unit: ReadUnit) -> object:
        return next(iter(unit.all("SELECT id FROM events")))

    async with asyncio.timeout(WAIT_SECONDS):
        with pytest.raises(RuntimeError, match="StopIteration"):
            await db.write(work)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await db.read(work)
        assert await db.write(take_index) == 0


async def test_a_clock_that_fails_is_told_to_the_callers_and_leaves_the_database_working(path: Path) -> None:
    broken = True

    def clock() -> datetime:
        if broken:
            raise OSError("no clock")
        return now()

    async with await Database.open(path, clock) as db:
        with pytest.raises(DatabaseFailed, match="no clock"):
            await db.write(take_index)
        with pytest.raises(OSError, match="no clock"):
            await db.read(count)
        broken = False
        assert await db.write(take_index) == 0
        assert await db.read(count) == 1


async def test_callers_are_answered_although_the_writing_task_is_cancelled(db: Database, path: Path) -> None:
    gate = Gate()
    writing = [asyncio.create_task(db.write(held(gate)))]
    await gate.reached()
    writing.append(asyncio.create_task(db.write(take_index)))
    for _ in range(3):
        assert db._drain is not None
        db._drain.cancel()
        await asyncio.sleep(0)
    gate.open()
    async with asyncio.timeout(WAIT_SECONDS):
        assert await asyncio.gather(*writing) == [0, 1]
    assert stored(path) == 2


async def test_callers_are_answered_although_the_writing_task_is_cancelled_before_it_began(db: Database) -> None:
    writing = asyncio.create_task(db.write(take_index))
    await asyncio.sleep(0)
    assert db._drain is not None
    db._drain.cancel()
    async with asyncio.timeout(WAIT_SECONDS):
        assert await writing == 0


def test_the_end_of_the_loop_still_lets_tasks_write_their_last_words(path: Path) -> None:
    answered = []

    async def last_words(db: Database, turns: int) -> None:
        try:
            for _ in range(turns):
                await asyncio.sleep(0)
            while True:
                answered.append(await db.write(take_index))
        finally:
            answered.append(await db.write(take_index))

    async def main(turns: int) -> None:
        async with await Database.open(path, now) as db:
            tasks = [asyncio.create_task(last_words(db, number)) for number in range(10)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in [*tasks, *filter(None, [db._drain])]:  # as asyncio.run does at its end
                task.cancel()
            async with asyncio.timeout(WAIT_SECONDS):
                await asyncio.wait(tasks)

    for turns in range(1, 60):
        before = len(answered)
        asyncio.run(main(turns))
        assert len(answered) - before >= 10
    assert len(set(answered)) == len(answered)
    assert stored(path) >= len(answered)


# Errors of the transaction itself


@contextmanager
def limited_file_size(size: int) -> Iterator[None]:
    """Have the operating system refuse to make files longer than this."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def outcomes_of(*writes: Awaitable[object]) -> list[object]:
    return list(await asyncio.gather(*writes, return_exceptions=True))


async def test_a_full_disk_is_told_to_all_whose_unit_it_undid_and_leaves_the_database_working(
    db: Database, path: Path
) -> None:
    called: list[str] = []

    def registering(unit: WriteUnit) -> int:
        unit.after_commit(lambda: called.append("stored"))
        return take_index(unit)

    await db.write(take_index)
    before = await on_writer(db, "PRAGMA max_page_count")
    await on_writer(db, f"PRAGMA max_page_count = {await on_writer(db, 'PRAGMA page_count') + 2}")
    outcomes = await outcomes_of(db.write(registering), db.write(insert_event("x" * 100_000)), db.write(registering))
    assert [type(outcome) for outcome in outcomes] == [DatabaseFailed] * 3
    assert all("full" in str(outcome) for outcome in outcomes)
    assert len(set(map(id, outcomes))) == 3
    assert called == []
    assert stored(path) == 1

    await on_writer(db, f"PRAGMA max_page_count = {before}")
    assert await db.write(registering) == 1
    assert called == ["stored"]
    assert stored(path) == 2


async def test_a_unit_that_makes_light_of_a_full_disk_leaves_no_half_of_itself(db: Database, path: Path) -> None:
    def careless(unit: WriteUnit) -> None:
        take_index(unit)
        with pytest.raises(DatabaseFailed, match="full"):
            insert_event("x" * 100_000)(unit)
        unit.run("DELETE FROM wallets")

    def silent(unit: WriteUnit) -> None:
        take_index(unit)
        with pytest.raises(DatabaseFailed, match="full"):
            insert_event("x" * 100_000)(unit)

    await db.write(take_index)
    await on_writer(db, f"PRAGMA max_page_count = {await on_writer(db, 'PRAGMA page_count') + 2}")
    for unit in (careless, silent):
        outcomes = await outcomes_of(db.write(take_index), db.write(unit))
        assert [type(outcome) for outcome in outcomes] == [DatabaseFailed] * 2
    assert stored(path) == 1


async def test_an_error_in_the_commit_is_told_to_all_and_leaves_the_database_working(db: Database, path: Path) -> None:
    called: list[str] = []

    def registering(unit: WriteUnit) -> int:
        unit.after_commit(lambda: called.append("stored"))
        return take_index(unit)

    await db.write(take_index)
    wal = path.with_name(path.name + "-wal")
    with limited_file_size(wal.stat().st_size):
        outcomes = await outcomes_of(*(db.write(registering) for _ in range(5)))
    assert [type(outcome) for outcome in outcomes] == [DatabaseFailed] * 5
    assert called == []
    assert await db.write(registering) == 1
    assert stored(path) == 2


async def test_a_unit_waits_for_the_write_of_another_process(db: Database, path: Path) -> None:
    begun = threading.Event()
    await on_writers_thread(db, lambda raw: raw.set_trace_callback(lambda _: begun.set()))
    with other_process(path) as tool:
        tool.execute("BEGIN IMMEDIATE")
        tool.execute("INSERT INTO wallets (wallet_id, next_index) VALUES (:wallet, 0)", {"wallet": WALLET})
        writing = asyncio.create_task(db.write(take_index))
        assert await asyncio.to_thread(begun.wait, WAIT_SECONDS)
        assert await db.read(count) == 0
        assert not writing.done()
        tool.execute("COMMIT")
        assert await writing == 0
    assert stored(path) == 1


async def test_another_process_that_never_lets_go_is_told_and_the_database_works_on(
    db: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "BUSY_TIMEOUT_MS", 1)
    with other_process(path) as tool:
        tool.execute("BEGIN IMMEDIATE")
        outcomes = await outcomes_of(db.write(take_index), db.write(take_index))
        assert [type(outcome) for outcome in outcomes] == [DatabaseFailed] * 2
        assert all("locked" in str(outcome) for outcome in outcomes)
        tool.execute("ROLLBACK")
    assert await db.write(take_index) == 0
    assert stored(path) == 1


@pytest.mark.sqlite
async def test_the_quick_reads_of_one_turn_share_a_snapshot_and_the_next_turn_sees_what_was_committed(
    db: Database, path: Path
) -> None:
    seen = [await db.read(wallets, quick=True)]
    with other_process(path) as tool:
        tool.execute(ADD)
        seen += [
            await db.read(wallets, quick=True),
            await db.read(wallets),
        ]  # the second is on a thread, and takes turns
        seen.append(await db.read(wallets, quick=True))
    assert seen == [0, 0, 1, 1]


@pytest.mark.sqlite
async def test_a_quick_read_that_fails_ends_the_snapshot_of_its_turn(db: Database, path: Path) -> None:
    assert await db.read(wallets, quick=True) == 0
    with other_process(path) as tool:
        tool.execute(ADD)
    with pytest.raises(sqlite3.OperationalError):
        await db.read(lambda unit: unit.all("SELECT missing FROM wallets"), quick=True)
    assert await db.read(wallets, quick=True) == 1


async def test_who_wrote_reads_it_in_the_same_turn_as_others_read(db: Database) -> None:
    async def write_and_read() -> int:
        await db.write(take_index, quick=True)
        return await db.read(indexes_taken, quick=True)

    async def read_on() -> None:
        while True:
            await db.read(indexes_taken, quick=True)
            await asyncio.sleep(0)

    readers = [asyncio.create_task(read_on()) for _ in range(3)]
    assert [await write_and_read() for _ in range(50)] == [*range(1, 51)]
    for reader in readers:
        reader.cancel()
    await asyncio.wait(readers)


@pytest.mark.sqlite
async def test_another_process_gets_its_turn_while_the_server_writes_without_pause(db: Database, path: Path) -> None:
    async def write_on() -> None:
        while True:
            await db.write(take_index)

    writers = [asyncio.create_task(write_on()) for _ in range(20)]
    await db.write(take_index)
    tool = await asyncio.create_subprocess_exec(sys.executable, "-c", TOOL, str(path))
    assert await asyncio.wait_for(tool.wait(), WAIT_SECONDS) == 0
    assert not any(writer.done() for writer in writers)
    for writer in writers:
        writer.cancel()
    await asyncio.wait(writers)
    assert await db.read(lambda unit: unit.all("SELECT next_index FROM wallets WHERE wallet_id = 'tool'"))
    assert (await db.read(count)) > 20


# Opening and closing


class Open:
    """What this process has open at a moment: the number of its descriptors, and its threads."""

    def __init__(self) -> None:
        self.descriptors = len(os.listdir("/dev/fd"))  # noqa: PTH208
        self.threads = {*threading.enumerate()}

    def is_within(self, before: "Open") -> bool:
        """Tell whether nothing was added; something of an earlier test may have ended meanwhile."""
        return self.descriptors <= before.descriptors and self.threads <= before.threads


@pytest.mark.sqlite
async def test_opening_and_closing_fifty_times_leaks_no_descriptor_and_no_thread(path: Path) -> None:
    await asyncio.to_thread(int)  # the loop's own worker thread
    before = Open()
    for _ in range(50):
        async with await Database.open(path, now) as db:
            await asyncio.gather(db.write(take_index), db.read(count), db.read(count))
    assert Open().is_within(before)
    assert sorted(each.name for each in path.parent.iterdir()) == ["checkout.db", "secret.key"]


async def test_a_database_that_cannot_be_opened_leaves_nothing_open(tmp_path: Path) -> None:
    missing, other = tmp_path / "missing.db", tmp_path / "other.db"
    other.write_text("no database, but long enough to be looked at " * 100)
    before = Open()
    for _ in range(50):
        with pytest.raises(DatabaseFailed, match="unable to open"):
            await Database.open(missing, now)
        assert Open().is_within(before)
        with pytest.raises(DatabaseDamaged, match="not a database"):
            await Database.open(other, now)
        assert Open().is_within(before)
    assert not missing.exists()


async def test_closing_finishes_what_waits_and_refuses_what_comes_later(path: Path) -> None:
    write_gate, read_gate = Gate(), Gate()

    def counted(unit: ReadUnit) -> int:
        read_gate.wait()
        return count(unit)

    db = await Database.open(path, now)
    running = [asyncio.create_task(db.write(held(write_gate)))]
    await write_gate.reached()
    running += [asyncio.create_task(db.write(take_index)) for _ in range(3)]
    reading = asyncio.create_task(db.read(counted))
    await read_gate.reached()
    closing = asyncio.create_task(db.close())
    await asyncio.sleep(0)
    for refusal in (db.write(take_index), db.read(count)):
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            await refusal
    assert not closing.done()
    write_gate.open()
    read_gate.open()
    await closing
    assert await asyncio.gather(*running) == [0, 1, 2, 3]
    assert await reading in {0, 1, 4}, "it sees the groups that are committed by then, and no part of one"
    assert stored(path) == 4


async def test_closing_again_waits_for_the_same_end(path: Path) -> None:
    db = await Database.open(path, now)
    gate = Gate()
    writing = asyncio.create_task(db.write(held(gate)))
    await gate.reached()
    closings = [asyncio.create_task(db.close()) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(closing.done() for closing in closings)
    gate.open()
    await asyncio.gather(*closings)
    await db.close()
    assert await writing == 0


async def test_a_close_whose_caller_goes_away_still_closes(path: Path) -> None:
    threads = threading.active_count()
    db = await Database.open(path, now)
    gate = Gate()
    writing = asyncio.create_task(db.write(held(gate)))
    await gate.reached()
    closing = asyncio.create_task(db.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    gate.open()
    assert await writing == 0
    await db.close()
    assert threading.active_count() <= threads + 1  # the gate's own


def test_a_loop_that_ends_while_the_database_closes_leaves_no_thread(path: Path) -> None:
    gate = Gate()
    left_behind: list[asyncio.Task[Any]] = []

    async def main() -> None:
        db = await Database.open(path, now)
        left_behind.append(asyncio.create_task(db.write(held(gate))))
        await gate.reached()
        left_behind.append(asyncio.create_task(db.close()))
        await asyncio.sleep(0)
        gate.open()

    threads = threading.active_count()
    asyncio.run(main())
    assert threading.active_count() == threads
    assert stored(path) == 1


# What the database room expects of aiosqlite


async def test_aiosqlite_runs_functions_on_one_thread_of_its_own_in_order_and_returns_their_results(path: Path) -> None:
    """`_execute` is private: a release that changes it must fail here before it fails in production."""
    order = []

    def work(number: int) -> tuple[int, int]:
        order.append(number)
        return number, threading.get_ident()

    def fail() -> None:
        raise LookupError("as it is")

    async with aiosqlite.connect(path) as connection:
        calls = [connection._execute(work, number) for number in range(100)]  # type: ignore[no-untyped-call]
        results = await asyncio.gather(*calls)
        assert [number for number, _ in results] == order == list(range(100))
        assert {thread for _, thread in results} == {connection._thread.ident}
        assert isinstance(connection._conn, sqlite3.Connection)
        with pytest.raises(LookupError, match="as it is"):
            await connection._execute(fail)  # type: ignore[no-untyped-call]
    with pytest.raises(ValueError, match="closed"):
        await connection._execute(work, 100)  # type: ignore[no-untyped-call]
