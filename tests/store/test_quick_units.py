"""Quick units: they run on the event loop, give way to whatever would hold it up, and lose nothing that others keep."""

import asyncio
import random
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.core import ids
from crypto_checkout.core.errors import DatabaseFailed, ResourceNotFound
from crypto_checkout.store import group_commit
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.group_commit import Group, QueuedUnit
from crypto_checkout.store.migrate import migrate
from crypto_checkout.store.sqlite.checkpoints import Checkpoints
from crypto_checkout.store.sqlite.engine import SqliteEngine
from tests.store.test_database import (
    Gate,
    count,
    held,
    insert_event,
    limited_file_size,
    on_writer,
    other_process,
    outcomes_of,
    refused,
)
from tests.support.kill_writer import WALLET, stored, take_index
from tests.support.sqlite import on_writers_thread
from tests.support.waiting import WAIT_SECONDS

pytestmark = pytest.mark.sqlite

MANY = (
    "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 100000)"
    " SELECT MAX(n) FROM numbers"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "checkout.db"
    migrate(path)
    return path


@pytest.fixture
async def db(path: Path) -> AsyncIterator[Database]:
    async with await Database.open(path, lambda: datetime.now(UTC)) as db:
        yield db


@pytest.fixture(autouse=True)
def _slow_machines_commit_together_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "_MOST_SECONDS", WAIT_SECONDS)


def noting(threads: list[threading.Thread], work: Callable[[WriteUnit], int]) -> Callable[[WriteUnit], int]:
    """Note the thread that a unit runs on, each time it runs."""

    def run(unit: WriteUnit) -> int:
        threads.append(threading.current_thread())
        return work(unit)

    return run


def long(unit: WriteUnit) -> int:
    """Take an index, and many steps."""
    index = take_index(unit)
    assert unit.all(MANY)[0][0] == 100_000
    return index


def violating(unit: WriteUnit) -> int:
    """Take an index, and store a row that is there."""
    index = take_index(unit)
    unit.run("INSERT INTO wallets (wallet_id, next_index) VALUES (:wallet, 0)", {"wallet": WALLET})
    return index


def refused_at_once(_: WriteUnit) -> int:
    """Refuse, with nothing changed."""
    raise ResourceNotFound("there is no such thing")


async def hold_commit(db: Database, gate: Gate) -> None:
    """Hold the writer's thread where it begins a commit, until the gate opens."""
    await on_writers_thread(
        db, lambda raw: raw.set_trace_callback(lambda sql: gate.wait() if sql == "COMMIT" else None)
    )


# Where they run


async def test_quick_units_run_on_the_event_loop_and_others_do_not(db: Database) -> None:
    quick: list[threading.Thread] = []
    others: list[threading.Thread] = []
    assert await db.write(noting(quick, take_index), quick=True) == 0
    quick.append(await db.read(lambda _: threading.current_thread(), quick=True))
    assert await db.write(noting(others, take_index)) == 1
    others.append(await db.read(lambda _: threading.current_thread()))
    assert set(quick) == {threading.main_thread()}
    assert threading.main_thread() not in others


async def test_quick_units_stay_on_the_event_loop_where_one_that_is_not_waits_among_them(db: Database) -> None:
    quick: list[threading.Thread] = []
    others: list[threading.Thread] = []
    await asyncio.gather(
        db.write(noting(quick, take_index), quick=True),
        db.write(noting(others, take_index)),
        db.write(noting(quick, take_index), quick=True),
    )
    assert set(quick) == {threading.main_thread()}
    assert threading.main_thread() not in others


async def test_a_quick_read_that_is_long_after_all_runs_on_a_thread(db: Database) -> None:
    threads: list[threading.Thread] = []

    def read(unit: ReadUnit) -> int:
        threads.append(threading.current_thread())
        found: int = unit.all(MANY)[0][0]
        return found

    assert await db.read(read, quick=True) == 100_000
    assert [thread is threading.main_thread() for thread in threads] == [True, False]
    assert await db.read(count, quick=True) == 0


async def test_an_interrupted_read_leaves_the_connection_as_it_was(db: Database) -> None:
    def read(unit: ReadUnit) -> threading.Thread:
        if threading.current_thread() is threading.main_thread():
            unit.all(MANY)
        return threading.current_thread()

    for _ in range(1500):
        assert await db.read(read, quick=True) is not threading.main_thread()
        assert await db.read(lambda _: threading.current_thread(), quick=True) is threading.main_thread()


async def test_many_quick_reads_one_after_the_other_are_each_quick(db: Database) -> None:
    threads = {
        await db.read(lambda unit: (count(unit), threading.current_thread())[1], quick=True) for _ in range(30_000)
    }
    assert threads == {threading.main_thread()}


async def test_quick_units_with_one_that_is_long_after_all_run_on_the_thread_and_once(db: Database, path: Path) -> None:
    threads: list[threading.Thread] = []
    units = [take_index, noting(threads, long), take_index]
    assert await asyncio.gather(*(db.write(unit, quick=True) for unit in units)) == [0, 1, 2]
    assert [thread is threading.main_thread() for thread in threads] == [True, False]
    assert stored(path) == 3
    assert await db.write(noting(threads, take_index), quick=True) == 3
    assert threads[-1] is threading.main_thread()


async def test_interrupted_writes_leave_the_writer_as_it_was(db: Database, path: Path) -> None:
    def work(unit: WriteUnit) -> int:
        index = take_index(unit)
        if threading.current_thread() is threading.main_thread():
            unit.all(MANY)
        return index

    for number in range(100):
        assert await asyncio.gather(*(db.write(unit, quick=True) for unit in (take_index, work))) == [
            2 * number,
            2 * number + 1,
        ]
    assert stored(path) == 200


@pytest.mark.parametrize("sql", ["DELETE FROM events", "PRAGMA user_version = 7"])
async def test_a_quick_reader_cannot_write(db: Database, path: Path, sql: str) -> None:
    await db.write(take_index)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await db.read(lambda unit: unit.all(sql), quick=True)
    assert stored(path) == 1


# Beside others


async def test_nothing_on_the_event_loop_waits_for_a_commit_or_sees_what_is_not_committed(db: Database) -> None:
    gate = Gate()
    await hold_commit(db, gate)
    writing = asyncio.create_task(db.write(take_index, quick=True))
    await gate.reached()
    before = db.version()
    assert await db.read(count, quick=True) == 0
    assert not writing.done()
    gate.open()
    await writing
    assert await db.read(count, quick=True) == 1
    assert db.version() != before


async def test_a_quick_write_waits_for_another_process_on_the_thread(db: Database, path: Path) -> None:
    begun = threading.Event()
    threads: list[threading.Thread] = []
    with other_process(path) as tool:
        tool.execute("BEGIN IMMEDIATE")
        tool.execute("INSERT INTO wallets (wallet_id, next_index) VALUES (:wallet, 0)", {"wallet": WALLET})

        def trace(_: str) -> None:
            if threading.current_thread() is not threading.main_thread():
                begun.set()

        await on_writers_thread(db, lambda raw: raw.set_trace_callback(trace))
        writing = asyncio.create_task(db.write(noting(threads, take_index), quick=True))
        assert await asyncio.to_thread(begun.wait, WAIT_SECONDS)
        assert await db.read(count, quick=True) == 0
        assert not writing.done()
        tool.execute("COMMIT")
        assert await writing == 0
    assert threading.main_thread() not in threads
    assert stored(path) == 1


async def test_another_process_that_never_lets_go_is_told_to_quick_writers(
    db: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "BUSY_TIMEOUT_MS", 1)
    with other_process(path) as tool:
        tool.execute("BEGIN IMMEDIATE")
        outcomes = await outcomes_of(*(db.write(take_index, quick=True) for _ in range(2)))
        assert [type(outcome) for outcome in outcomes] == [DatabaseFailed] * 2
        assert all("locked" in str(outcome) for outcome in outcomes)
        tool.execute("ROLLBACK")
    assert await db.write(take_index, quick=True) == 0
    assert stored(path) == 1


async def test_quick_units_and_others_keep_the_order_of_their_calls(db: Database, path: Path) -> None:
    chance = random.Random(7)
    writes = [db.write(take_index, quick=chance.random() < 0.9) for _ in range(1000)]
    assert await asyncio.gather(*writes) == list(range(1000))
    assert stored(path) == 1000


async def test_quick_units_that_wait_together_share_a_commit(db: Database, path: Path) -> None:
    statements: list[str] = []
    await on_writers_thread(db, lambda raw: raw.set_trace_callback(statements.append))
    assert await asyncio.gather(*(db.write(take_index, quick=True) for _ in range(50))) == list(range(50))
    assert statements.count("COMMIT") == 1
    assert stored(path) == 50


async def test_quick_units_that_take_long_together_leave_the_loop_to_others_in_between(
    db: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "_MOST_SECONDS", 0.2)

    def busy(unit: WriteUnit) -> int:
        until = time.thread_time() + group_commit._MOST_SECONDS
        while time.thread_time() <= until:
            pass
        return take_index(unit)

    statements: list[str] = []
    await on_writers_thread(db, lambda raw: raw.set_trace_callback(statements.append))
    units = [busy, take_index, take_index, busy, busy]
    assert await asyncio.gather(*(db.write(unit, quick=True) for unit in units)) == list(range(5))
    assert statements.count("COMMIT") == 3
    assert stored(path) == 5


# What stays


@pytest.mark.parametrize("wrong", [refused, violating])
async def test_a_failing_quick_unit_takes_no_other_of_its_group_along(
    db: Database, path: Path, wrong: Callable[[WriteUnit], int]
) -> None:
    units = [take_index, *(wrong if number % 10 == 3 else take_index for number in range(49))]
    outcomes = await asyncio.gather(*(db.write(unit, quick=True) for unit in units), return_exceptions=True)
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [unit is wrong for unit in units]
    assert [outcome for outcome in outcomes if isinstance(outcome, int)] == list(range(45))
    assert stored(path) == 45


@pytest.mark.parametrize(("wrong", "is_left_there"), [(refused_at_once, True), (refused, False), (violating, False)])
async def test_a_group_leaves_the_event_loop_only_for_a_unit_that_fails_after_a_change(
    db: Database, wrong: Callable[[WriteUnit], int], is_left_there: bool
) -> None:
    threads: list[threading.Thread] = []
    units = [noting(threads, take_index), wrong, take_index]
    outcomes = await asyncio.gather(*(db.write(unit, quick=True) for unit in units), return_exceptions=True)
    assert [outcome for outcome in outcomes if isinstance(outcome, int)] == [0, 1]
    assert [thread is threading.main_thread() for thread in threads] == ([True] if is_left_there else [True, False])


def put_event(body: str) -> Callable[[WriteUnit], None]:
    """Return a unit that leaves its event to be inserted with those of the others."""

    def work(unit: WriteUnit) -> None:
        unit.put_row(
            "INSERT INTO events (id, livemode, type, resource_id, body, created_at) VALUES (?, ?, ?, ?, ?, ?)",
            (unit.new_id(ids.EVENT), 0, "x", "cs_1", body, unit.now_text),
            table="events",
        )

    return work


@pytest.mark.parametrize("storing", [insert_event, put_event])
async def test_a_full_disk_undoes_all_quick_units_of_a_group_and_leaves_the_database_working(
    db: Database, path: Path, storing: Callable[[str], Callable[[WriteUnit], object]]
) -> None:
    called: list[str] = []

    def registering(unit: WriteUnit) -> int:
        unit.after_commit(lambda: called.append("stored"))
        return take_index(unit)

    await db.write(take_index)
    before = await on_writer(db, "PRAGMA max_page_count")
    await on_writer(db, f"PRAGMA max_page_count = {await on_writer(db, 'PRAGMA page_count') + 2}")
    units = [registering, storing("x" * 100_000), registering]
    outcomes = await outcomes_of(*(db.write(unit, quick=True) for unit in units))
    assert [type(outcome) for outcome in outcomes] == [DatabaseFailed] * 3
    assert all("full" in str(outcome) for outcome in outcomes)
    assert (called, stored(path)) == ([], 1)
    await on_writer(db, f"PRAGMA max_page_count = {before}")
    assert await db.write(registering, quick=True) == 1
    assert (called, stored(path)) == (["stored"], 2)


async def test_an_error_in_the_commit_of_quick_units_is_told_to_all(db: Database, path: Path) -> None:
    await db.write(take_index)
    with limited_file_size(path.with_name(path.name + "-wal").stat().st_size):
        outcomes = await outcomes_of(*(db.write(take_index, quick=True) for _ in range(5)))
    assert [type(outcome) for outcome in outcomes] == [DatabaseFailed] * 5
    assert await db.write(take_index, quick=True) == 1
    assert stored(path) == 2


@pytest.mark.parametrize("quick", [True, False])
async def test_nothing_is_committed_where_what_comes_before_it_fails(db: Database, path: Path, quick: bool) -> None:
    fails = [True]

    def store() -> None:
        if fails.pop():
            raise OSError("the disk is gone")

    db.before_commit(store)
    outcomes = await outcomes_of(*(db.write(take_index, quick=quick) for _ in range(3)))
    assert [type(outcome) for outcome in outcomes] == [DatabaseFailed] * 3
    fails.append(False)
    assert await db.write(take_index, quick=quick) == 0
    assert stored(path) == 1


async def test_callers_are_answered_although_the_writing_task_is_cancelled_during_a_commit(
    db: Database, path: Path
) -> None:
    gate, called = Gate(), asyncio.Event()

    def work(unit: WriteUnit) -> int:
        unit.after_commit(called.set)
        return take_index(unit)

    await hold_commit(db, gate)
    writing = [asyncio.create_task(db.write(unit, quick=True)) for unit in (work, take_index)]
    await gate.reached()
    later = asyncio.create_task(db.write(take_index, quick=True))
    writing[0].cancel()
    for _ in range(3):
        assert db._drain is not None
        db._drain.cancel()
        await asyncio.sleep(0)
    gate.open()
    async with asyncio.timeout(WAIT_SECONDS):
        outcomes = await asyncio.gather(*writing, later, return_exceptions=True)
        await called.wait()
    assert [type(outcomes[0]), *outcomes[1:]] == [asyncio.CancelledError, 1, 2]
    assert stored(path) == 3


@pytest.mark.parametrize("seed", range(3))
async def test_cancelled_quick_writers_leave_no_half_unit_and_no_gap(db: Database, path: Path, seed: int) -> None:
    chance = random.Random(seed)
    answered = []

    async def write_five() -> None:
        for _ in range(5):
            index = await db.write(take_index, quick=chance.random() < 0.8)
            answered.append(index)

    writers = [asyncio.create_task(write_five()) for _ in range(100)]
    for victim in chance.sample(writers, 50):
        for _ in range(chance.randint(0, 20)):
            await asyncio.sleep(0)
        victim.cancel()
    await asyncio.wait(writers)
    await db.write(take_index)
    assert len(answered) < stored(path) <= len(answered) + 1 + sum(writer.cancelled() for writer in writers)
    assert len(set(answered)) == len(answered)


async def test_closing_finishes_quick_units_that_wait(path: Path) -> None:
    gate = Gate()
    db = await Database.open(path, lambda: datetime.now(UTC))
    running = [asyncio.create_task(db.write(held(gate)))]
    await gate.reached()
    running += [asyncio.create_task(db.write(take_index, quick=True)) for _ in range(3)]
    await asyncio.sleep(0)
    ending = asyncio.create_task(db.close())
    await asyncio.sleep(0)
    for refusal in (db.write(take_index, quick=True), db.read(count, quick=True)):
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            await refusal
    gate.open()
    await ending
    assert await asyncio.gather(*running) == [0, 1, 2, 3]
    assert stored(path) == 4


# Whether anything has changed


async def test_the_version_changes_with_every_commit_and_not_without_one(db: Database, path: Path) -> None:
    await db.read(count, quick=True)  # SQLite counts its first look at the file, too
    seen = [db.version()]

    async def has_changed() -> bool:
        await asyncio.sleep(0)  # within a turn of the loop it is asked once
        seen.append(db.version())
        return seen[-1] not in seen[:-1]

    await db.read(count)
    await db.read(count, quick=True)
    assert not await has_changed()
    for quick in (True, False):
        await db.write(take_index, quick=quick)
        assert await has_changed()
    with closing(sqlite3.connect(path, isolation_level=None)) as tool:
        tool.execute("BEGIN IMMEDIATE")
        tool.execute("UPDATE wallets SET next_index = next_index + 1")
        assert not await has_changed()
        tool.execute("COMMIT")
        assert await has_changed()
        tool.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    await db.write(take_index)
    assert await has_changed()


@pytest.mark.parametrize("quick", [True, False])
async def test_whatever_goes_wrong_beside_a_commit_callers_are_told_and_the_next_ones_stored(
    db: Database, path: Path, monkeypatch: pytest.MonkeyPatch, quick: bool
) -> None:
    prepare, failures = Checkpoints.prepare, [MemoryError("no room")]

    def fail_once(self: Checkpoints, connection: sqlite3.Connection) -> None:
        if failures:
            raise failures.pop()
        prepare(self, connection)

    monkeypatch.setattr(Checkpoints, "prepare", fail_once)
    first = [db.write(insert_event("lost"), quick=quick) for _ in range(2)]
    errors = await asyncio.wait_for(asyncio.gather(*first, return_exceptions=True), WAIT_SECONDS)
    assert [type(error) for error in errors] == [DatabaseFailed, DatabaseFailed]
    with other_process(path) as other:  # it isn't locked out
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
    await asyncio.wait_for(db.write(insert_event("stored"), quick=quick), WAIT_SECONDS)
    assert await db.read(count) == 1


async def test_the_next_group_waits_for_the_thread_although_the_loop_ends(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, goes_on, seen = threading.Event(), threading.Event(), list[bool]()

    def bound(_: Checkpoints, __: sqlite3.Connection) -> None:
        begun.set()
        goes_on.wait(WAIT_SECONDS)

    begin = SqliteEngine.begin

    def look(self: SqliteEngine, group: Group) -> Sequence[QueuedUnit[Any]]:
        seen.append(begun.is_set() and not goes_on.is_set())
        return begin(self, group)

    monkeypatch.setattr(Checkpoints, "bound", bound)
    monkeypatch.setattr(SqliteEngine, "begin", look)
    async with await Database.open(path, lambda: datetime.now(UTC)) as db:
        first = asyncio.create_task(db.write(insert_event("first"), quick=True))
        await asyncio.to_thread(begun.wait, WAIT_SECONDS)
        second = asyncio.create_task(db.write(insert_event("second"), quick=True))
        await asyncio.sleep(0)
        assert db._drain is not None
        db._drain.cancel()  # as the end of the event loop does
        await asyncio.sleep(0.05)
        goes_on.set()
        await asyncio.gather(first, second)
    assert seen == [False, False]
