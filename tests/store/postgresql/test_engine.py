"""Units of work on a real PostgreSQL server, which is killed, stopped and read by others meanwhile."""

import asyncio
import errno
import os
import random
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import NoneType
from typing import Any

import psycopg
import pytest

from crypto_checkout.app.clock import system_clock
from crypto_checkout.core.errors import DatabaseFailed, FatalError
from crypto_checkout.core.webhooks.events import Event, EventType
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.place import DatabaseServer
from crypto_checkout.store.postgresql import locks
from crypto_checkout.store.postgresql.connection import PostgresqlConnection
from crypto_checkout.store.webhooks import events
from tests.support.kill_writer import killed_after, take_index
from tests.support.postgresql import DURABLE, PostgresqlServer
from tests.support.waiting import until

KILLS = 10
MOST_ANSWERS_BEFORE_A_KILL = 400
PATIENCE_SECONDS = 60


@pytest.fixture
def own_server(postgresql_server: PostgresqlServer) -> Iterator[PostgresqlServer]:
    """Start a server that a test may stop; what it confirms is on the disk."""
    with PostgresqlServer(postgresql_server.programs, **DURABLE) as made:
        yield made


def answer(server: DatabaseServer, sql: str) -> Any:
    with psycopg.connect(server.url, autocommit=True) as session:
        row = session.execute(sql.encode()).fetchone()
        return None if row is None else row[0]


def stored(server: DatabaseServer) -> int:
    """Return how many units of `take_index` are stored, after a proof that none is half there, missing or double."""
    with psycopg.connect(server.url) as session:
        (next_index,) = session.execute("SELECT COALESCE(SUM(next_index), 0) FROM wallets").fetchone() or (0,)
        events = session.execute("SELECT CAST(resource_id AS BIGINT) FROM events ORDER BY seq").fetchall()
        blocks = session.execute("SELECT number FROM blocks ORDER BY number").fetchall()
    assert events == blocks == [(index,) for index in range(int(next_index))]
    return int(next_index)


async def test_a_unit_reads_what_it_wrote_by_name_and_by_place(db: Database) -> None:
    def unit(unit: WriteUnit) -> Any:
        unit.run("INSERT INTO wallets (wallet_id, next_index, label) VALUES (:id, 2, 'é')", {"id": "a"})
        return unit.one("SELECT wallet_id, next_index, label, system FROM wallets")

    row = await db.write(unit)
    assert (row["wallet_id"], row["next_index"], row[2], row["system"]) == ("a", 2, "é", None)
    assert (tuple(row), row.keys(), len(row)) == (
        ("a", 2, "é", None),
        ["wallet_id", "next_index", "label", "system"],
        4,
    )


async def test_sums_and_comparisons_are_the_integers_that_sqlite_gives(db: Database) -> None:
    sql = "SELECT SUM(n) AS sum, COUNT(*) = 2 AS yes, NULL AS none FROM (SELECT 1 AS n UNION ALL SELECT 2) AS numbers"
    row = await db.read(lambda unit: unit.one(sql))
    assert row is not None
    assert [(value, type(value)) for value in row] == [(3, int), (1, int), (None, type(None))]


async def test_units_that_wait_together_are_stored_in_their_order(db: Database, server: DatabaseServer) -> None:
    assert await asyncio.gather(*(db.write(take_index) for _ in range(200))) == list(range(200))
    assert stored(server) == 200


async def test_a_unit_that_fails_undoes_its_own_changes_and_no_others(db: Database, server: DatabaseServer) -> None:
    def failing(unit: WriteUnit) -> None:
        take_index(unit)
        unit.run("INSERT INTO blocks (chain_id, number, hash, time) VALUES (1, 0, '', '')")

    units = [db.write(take_index), db.write(failing), db.write(take_index), db.write(refusing), db.write(take_index)]
    outcomes = await asyncio.gather(*units, return_exceptions=True)
    assert [outcomes[place] for place in (0, 2, 4)] == [0, 1, 2]
    assert isinstance(outcomes[1], psycopg.errors.UniqueViolation)
    assert isinstance(outcomes[3], RuntimeError)
    assert stored(server) == 3


def refusing(unit: WriteUnit) -> None:
    take_index(unit)
    raise RuntimeError("no")


async def test_a_unit_that_reads_sees_one_snapshot_and_writes_nothing(db: Database, server: DatabaseServer) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def unit(unit: ReadUnit) -> tuple[int, int]:
        first = len(unit.all("SELECT number FROM blocks"))
        loop.call_soon_threadsafe(reached.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(PATIENCE_SECONDS)
        return first, len(unit.all("SELECT number FROM blocks"))

    reading = asyncio.create_task(db.read(unit))
    await reached.wait()
    await db.write(take_index)
    go_on.set()
    assert await reading == (0, 0)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        await db.read(lambda unit: unit.one("DELETE FROM blocks"))
    assert await db.read(lambda unit: len(unit.all("SELECT number FROM blocks"))) == 1
    assert stored(server) == 1


async def test_two_processes_write_one_after_the_other(db: Database, server: DatabaseServer) -> None:
    async with await Database.open(server, system_clock) as other:
        indexes = await asyncio.gather(*(each.write(take_index) for each in (db, other) for _ in range(50)))
    assert sorted(indexes) == list(range(100))
    assert stored(server) == 100


async def test_the_version_changes_with_own_commits_at_once_and_with_those_of_others_soon(
    db: Database, server: DatabaseServer
) -> None:
    first = db.version()
    assert first is not None
    await db.write(take_index)
    await asyncio.sleep(0)
    second = db.version()
    assert second not in {None, first}
    await wait_until_still(db)
    still = db.version()
    answer(server, "UPDATE wallets SET label = 'other' RETURNING 1")
    changed_at = asked_at = time.monotonic()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (version := db.version()) in {None, still}:
            # So soon is a key refused that was revoked elsewhere; what isn't known is no old version.
            assert version is None or asked_at - changed_at < 1
            await asyncio.sleep(0.01)
            asked_at = time.monotonic()


async def wait_until_still(db: Database) -> None:
    """Wait until what this process wrote is known."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        last, since = db.version(), asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() - since < 1:
            await asyncio.sleep(0.05)
            if db.version() != last:
                last, since = db.version(), asyncio.get_running_loop().time()


async def test_the_version_is_not_told_while_readers_may_see_a_commit_that_is_not_counted(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_visible, goes_on, commit = threading.Event(), threading.Event(), PostgresqlConnection.commit

    def held(self: PostgresqlConnection, event_id: str | None = None) -> None:
        commit(self, event_id)
        is_visible.set()
        goes_on.wait(PATIENCE_SECONDS)

    monkeypatch.setattr(PostgresqlConnection, "commit", held)
    before = db.version()
    assert before is not None
    writing = asyncio.create_task(db.write(take_index))
    try:
        await until(is_visible.is_set, "the commit")
        assert db.version() is None
    finally:
        goes_on.set()
    await writing
    assert db.version() not in {None, before}


async def test_processes_that_serve_write_beside_each_other_and_none_starts_while_the_tables_are_changed(
    server: DatabaseServer,
) -> None:
    async with (
        await Database.open(server, system_clock, serves=True) as db,
        await Database.open(server, system_clock, serves=True) as other,
    ):
        assert await db.write(take_index) == 0
        assert await other.write(take_index) == 1
    with psycopg.connect(server.url, autocommit=True) as migrating:
        migrating.execute(f"SELECT pg_advisory_lock({locks.SPACE}, {locks.SERVE})".encode())
        with pytest.raises(FatalError, match="are being changed"):
            await Database.open(server, system_clock, serves=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE schema_version SET number = number + 1", "another version"),
        ("INSERT INTO database_moves VALUES (1, 'moved', 'elsewhere', '', '', '[]')", "moved to elsewhere"),
    ],
)
async def test_what_was_changed_or_moved_while_the_session_was_lost_is_served_no_more(
    server: DatabaseServer, change: str, message: str
) -> None:
    async with await Database.open(server, system_clock, serves=True) as db:
        assert await db.write(take_index) == 0
        with psycopg.connect(server.url, autocommit=True) as other:
            other.execute(change.encode())
            other.execute(
                "SELECT COUNT(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        with pytest.raises(DatabaseFailed, match=message):
            await db.write(take_index)


async def test_a_process_without_descriptors_fails_a_write_and_the_next_one_works(
    server: DatabaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(_: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def end_sessions() -> None:
        answer(
            server,
            "SELECT COUNT(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )

    async with await Database.open(server, system_clock, serves=True) as db:
        assert await db.write(take_index) == 0
        with monkeypatch.context() as patch:
            patch.setattr(os, "dup", none_left)
            end_sessions()
            with pytest.raises(DatabaseFailed, match="Too many open files"):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await db.write(take_index)
            with pytest.raises(DatabaseFailed, match="Too many open files"):
                await db.read(lambda unit: unit.one("SELECT 1"))
            names = {each.name for each in threading.enumerate()}
            assert "postgresql notices" in names, "it goes on trying"
        async with asyncio.timeout(PATIENCE_SECONDS):
            index = 0
            while not index:
                with suppress(DatabaseFailed):  # it is asked again half a second later
                    index = await db.write(take_index)
                await asyncio.sleep(0.05)
        assert index == 1


async def test_a_server_that_was_killed_loses_nothing_and_is_found_again(
    own_server: PostgresqlServer, tmp_path: Path
) -> None:
    server = own_server.new_database(tmp_path)
    async with await Database.open(server, system_clock, serves=True) as db:
        for round_ in range(3):
            assert await db.write(take_index) == round_
            own_server.stop(kill=round_ != 1)
            with pytest.raises(DatabaseFailed):
                await db.write(take_index)
            with pytest.raises(DatabaseFailed):
                await db.read(lambda unit: unit.one("SELECT 1"))
            assert db.faults.refused_lately
            own_server.start()
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    try:
                        await db.read(lambda unit: unit.one("SELECT 1"))
                        await db.write(lambda unit: unit.one("SELECT 1"))
                        break
                    except DatabaseFailed:
                        await asyncio.sleep(0.05)
        assert await db.write(take_index) == 3
    assert stored(server) == 4


async def test_a_session_that_was_ended_costs_nobody_an_answer(db: Database, server: DatabaseServer) -> None:
    await db.write(take_index)
    await db.read(lambda unit: unit.one("SELECT 1"))
    answer(
        server,
        "SELECT COUNT(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    assert await db.write(take_index) == 1
    assert await db.read(lambda unit: len(unit.all("SELECT number FROM blocks"))) == 2


async def test_a_lock_that_another_program_keeps_fails_a_write_and_the_next_one_works(
    db: Database, server: DatabaseServer
) -> None:
    await db.write(lambda unit: unit.one("SELECT set_config('lock_timeout', '50ms', false)"))
    with psycopg.connect(server.url) as other:
        other.execute("SELECT pg_advisory_xact_lock(1128483668, 1)")
        with pytest.raises(DatabaseFailed, match="lock timeout"):
            await db.write(take_index)
    assert await db.write(take_index) == 0


def lose_the_next_commit(monkeypatch: pytest.MonkeyPatch, *, arrives: bool) -> None:
    """Cut the connection at the next COMMIT, before or after it has been carried out."""
    send = PostgresqlConnection._send_control

    def send_and_lose(connection: PostgresqlConnection, sql: str) -> None:
        if sql != "COMMIT":
            send(connection, sql)
            return
        monkeypatch.setattr(PostgresqlConnection, "_send_control", send)
        if arrives:
            send(connection, sql)
            connection._synchronize()
            connection._wait(select.POLLIN)  # it is committed now
        with socket.socket(fileno=os.dup(connection._pgconn.socket)) as same:
            same.shutdown(socket.SHUT_RDWR)

    monkeypatch.setattr(PostgresqlConnection, "_send_control", send_and_lose)


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_commit_whose_answer_is_lost_is_neither_called_failed_nor_called_stored_wrongly(
    db: Database, server: DatabaseServer, monkeypatch: pytest.MonkeyPatch, *, arrives: bool
) -> None:
    assert await db.write(take_index) == 0
    lose_the_next_commit(monkeypatch, arrives=arrives)
    if arrives:
        assert await db.write(take_index) == 1
    else:
        with pytest.raises(DatabaseFailed):
            await db.write(take_index)
    assert await db.write(take_index) == 1 + arrives
    assert stored(server) == 2 + arrives


async def test_the_outcome_of_a_lost_commit_is_never_that_of_an_earlier_transaction(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(unit: WriteUnit) -> None:
        take_index(unit)  # its answer brings the transaction's number
        raise DatabaseFailed("the disk is full")

    def put(number: int) -> Callable[[WriteUnit], None]:
        sql = "INSERT INTO blocks (chain_id, number, hash, time) VALUES (9, :number, '', '')"
        return lambda unit: unit.put(sql, {"number": number})

    with pytest.raises(DatabaseFailed, match="disk is full"):
        await db.write(fail, quick=True)
    await db.write(put(1), quick=True)
    lose_the_next_commit(monkeypatch, arrives=False)
    with pytest.raises(DatabaseFailed):
        await db.write(put(2), quick=True)

    with pytest.raises(DatabaseFailed, match="disk is full"):
        await db.write(fail, quick=True)
    lose_the_next_commit(monkeypatch, arrives=True)
    await db.write(put(3), quick=True)

    rows = await db.read(lambda unit: unit.all("SELECT number FROM blocks WHERE chain_id = 9 ORDER BY number"))
    assert [row[0] for row in rows] == [1, 3]


@pytest.mark.parametrize("quick", [True, False])
async def test_a_commit_is_found_again_by_an_event_that_is_in_it(
    db: Database, monkeypatch: pytest.MonkeyPatch, *, quick: bool
) -> None:
    commit, told = PostgresqlConnection.commit, list[str | None]()

    def listen(connection: PostgresqlConnection, event_id: str | None = None) -> None:
        told.append(event_id)
        commit(connection, event_id)

    def record(event_id: str) -> Callable[[WriteUnit], None]:
        event = Event(event_id, False, EventType.CUSTOMER_CREATED, system_clock(), {})
        return lambda unit: events.insert(unit, event, "cus_1", "{}")

    def undone(unit: WriteUnit) -> None:
        record("evt_undone")(unit)
        refusing(unit)

    def silent(unit: WriteUnit) -> None:
        unit.put("INSERT INTO wallets (wallet_id, next_index) VALUES (:id, 1)", {"id": unit.new_id("w")})

    monkeypatch.setattr(PostgresqlConnection, "commit", listen)
    units = [undone, silent, record("evt_1"), record("evt_2")]
    outcomes = await asyncio.gather(*(db.write(each, quick=quick) for each in units), return_exceptions=True)
    assert [type(each) for each in outcomes] == [RuntimeError, NoneType, NoneType, NoneType]
    assert told == ["evt_1"]
    await db.write(silent, quick=quick)
    assert told == ["evt_1", None]


def test_kills_lose_no_answered_unit_and_leave_no_half_one(server: DatabaseServer) -> None:
    chance = random.Random(50)
    answered: list[int] = []
    for _ in range(KILLS):
        before = stored(server)
        answers = killed_after(chance.randint(0, MOST_ANSWERS_BEFORE_A_KILL), server.url, str(server.folder))
        after = settled(server)
        assert set(answers) <= set(range(before, after))
        answered += answers
    assert len(set(answered)) == len(answered)


def settled(server: DatabaseServer) -> int:
    """Return how many units are stored once the sessions of a killed process have ended."""
    answer(
        server,
        "SELECT COUNT(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    return stored(server)
