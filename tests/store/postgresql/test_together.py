"""Units on a PostgreSQL server that share a transaction and a way to it, and still fail each by itself."""

import asyncio
from pathlib import Path
from typing import Any

import psycopg
import pytest

from crypto_checkout.app.clock import system_clock
from crypto_checkout.core.errors import DatabaseFailed, ResourceNotFound
from crypto_checkout.store.checkout import wallets
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.place import DatabaseServer
from crypto_checkout.store.postgresql import locks
from crypto_checkout.store.postgresql.connection import PostgresqlConnection
from tests.support.kill_writer import take_index
from tests.support.postgresql import PostgresqlServer
from tests.support.waiting import WAIT_SECONDS

WAITS = "wait_event = 'advisory'"
INSERTS = "query LIKE 'INSERT INTO blocks%'"
PUT = "INSERT INTO blocks (chain_id, number, hash, time) VALUES (9, :number, '', '')"


def blocks(unit: ReadUnit) -> list[int]:
    return [row[0] for row in unit.all("SELECT number FROM blocks WHERE chain_id = 9 ORDER BY number")]


def transaction(unit: WriteUnit) -> int:
    take_index(unit)
    row = unit.one("SELECT CAST(pg_current_xact_id() AS TEXT)")
    assert row is not None
    return int(row[0])


async def wait_until_seen(session: "psycopg.Connection[Any]", condition: str) -> None:
    """Wait until the session that writes does something."""
    sql = f"SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND {condition}"  # noqa: S608
    async with asyncio.timeout(WAIT_SECONDS):
        while session.execute(sql.encode()).fetchone() == (0,):
            await asyncio.sleep(0.01)


def put_twice(unit: WriteUnit) -> str:
    unit.put(PUT, {"number": 1})
    unit.put(PUT, {"number": 1})
    return "the second is refused, and nobody has waited for it"


def refuse(unit: WriteUnit) -> None:
    unit.put(PUT, {"number": 2})
    raise ResourceNotFound("it changed something before")


def refuse_at_once(unit: WriteUnit) -> None:
    del unit
    raise ResourceNotFound("it changed nothing")


@pytest.mark.parametrize("quick", [True, False])
async def test_an_error_that_nobody_waits_for_is_its_own_units(db: Database, quick: bool) -> None:
    works: list[Any] = [take_index, put_twice, take_index, refuse, refuse_at_once, put_twice, take_index]
    outcomes = await asyncio.gather(*(db.write(each, quick=quick) for each in works), return_exceptions=True)
    assert [outcomes[place] for place in (0, 2, 6)] == [0, 1, 2]
    assert [type(outcomes[place]) for place in (1, 3, 4, 5)] == [
        psycopg.errors.UniqueViolation,
        ResourceNotFound,
        ResourceNotFound,
        psycopg.errors.UniqueViolation,
    ]
    assert await db.read(blocks) == []


@pytest.mark.parametrize("quick", [True, False])
async def test_a_refused_statement_is_heard_of_at_the_commit_at_the_latest(db: Database, quick: bool) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation):
        await db.write(put_twice, quick=quick)
    await db.write(lambda unit: unit.put(PUT, {"number": 3}), quick=quick)
    assert await db.read(blocks) == [3]


async def test_more_is_put_than_travels_at_once(db: Database) -> None:
    def many(unit: WriteUnit) -> None:
        for number in range(1_000):
            unit.put(PUT, {"number": number})

    await db.write(many, quick=True)
    assert await db.read(blocks) == list(range(1_000))


async def test_callbacks_of_units_that_run_again_are_called_once(db: Database) -> None:
    called: list[int] = []

    def noting(unit: WriteUnit) -> None:
        index = take_index(unit)
        unit.after_commit(lambda: called.append(index))

    works: list[Any] = [noting, put_twice, noting]
    await asyncio.gather(*(db.write(each, quick=True) for each in works), return_exceptions=True)
    assert called == [0, 1]


async def test_quick_reads_that_come_together_fail_each_by_itself(db: Database) -> None:
    def missing(_: ReadUnit) -> None:
        raise ResourceNotFound("no")

    def wrong(unit: ReadUnit) -> Any:
        return unit.one("SELECT * FROM nothing_of_this_name")

    def trying_to_write(unit: ReadUnit) -> Any:
        return unit.all("INSERT INTO wallets (wallet_id, next_index) VALUES ('w', 1)")

    await db.write(take_index)
    works: list[Any] = [blocks, missing, blocks, wrong, blocks, trying_to_write, *[blocks] * 50]
    outcomes = await asyncio.gather(*(db.read(each, quick=True) for each in works), return_exceptions=True)
    assert isinstance(outcomes[1], ResourceNotFound)
    assert isinstance(outcomes[3], psycopg.errors.UndefinedTable)
    assert isinstance(outcomes[5], psycopg.errors.ReadOnlySqlTransaction)
    assert [each for place, each in enumerate(outcomes) if place not in {1, 3, 5}] == [[]] * 53


async def test_quick_reads_go_on_when_their_session_was_ended(db: Database, server: DatabaseServer) -> None:
    assert await db.read(blocks, quick=True) == []
    with psycopg.connect(server.url, autocommit=True) as session:
        session.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE '%reader%'"
        )
    assert await asyncio.gather(*(db.read(blocks, quick=True) for _ in range(40))) == [[]] * 40


async def test_quick_reads_that_were_begun_are_answered_when_the_database_closes(db: Database) -> None:
    reading = asyncio.gather(*(db.read(blocks, quick=True) for _ in range(40)))
    await asyncio.sleep(0)
    await db.close()
    assert await reading == [[]] * 40


async def test_a_server_that_is_gone_fails_each_unit(postgresql_server: PostgresqlServer, tmp_path: Path) -> None:
    made = postgresql_server.new_database(tmp_path)
    async with await Database.open(made, system_clock) as db:
        postgresql_server.drop(made)
        reads = [db.read(blocks, quick=True) for _ in range(20)]
        writes = [db.write(take_index, quick=True) for _ in range(20)]
        outcomes = await asyncio.gather(*reads, *writes, return_exceptions=True)
    assert {type(each) for each in outcomes} == {DatabaseFailed}


async def test_units_that_come_while_another_process_writes_share_one_commit(
    db: Database, server: DatabaseServer
) -> None:
    with psycopg.connect(server.url) as other, psycopg.connect(server.url, autocommit=True) as watching:
        other.execute("SELECT pg_advisory_xact_lock(%s, %s)", (locks.SPACE, locks.WRITE))
        first = asyncio.create_task(db.write(transaction, quick=True))
        await wait_until_seen(watching, WAITS)
        others = [asyncio.create_task(db.write(transaction, quick=True)) for _ in range(30)]
        await asyncio.sleep(0)
        other.commit()
        assert set(await asyncio.gather(*others)) == {await first}


async def test_a_unit_that_is_not_quick_joins_no_quick_ones(db: Database, server: DatabaseServer) -> None:
    with psycopg.connect(server.url) as other, psycopg.connect(server.url, autocommit=True) as watching:
        other.execute("SELECT pg_advisory_xact_lock(%s, %s)", (locks.SPACE, locks.WRITE))
        first = asyncio.create_task(db.write(transaction, quick=True))
        await wait_until_seen(watching, WAITS)
        slow, last = asyncio.create_task(db.write(transaction)), asyncio.create_task(db.write(transaction, quick=True))
        await asyncio.sleep(0)
        other.commit()
        assert await first < await slow <= await last


async def test_the_server_works_before_an_answer_is_waited_for(db: Database, server: DatabaseServer) -> None:
    loop = asyncio.get_running_loop()
    with psycopg.connect(server.url, autocommit=True) as watching:

        def many(unit: WriteUnit) -> None:
            assert blocks(unit) == []
            for number in range(50):
                unit.put(PUT, {"number": number})
            asyncio.run_coroutine_threadsafe(wait_until_seen(watching, INSERTS), loop).result()

        await db.write(many, quick=True)
    assert len(await db.read(blocks)) == 50


async def test_a_sum_of_units_that_run_together_is_sent_once(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    execute = PostgresqlConnection.execute

    def note(connection: PostgresqlConnection, sql: str, parameters: Any = ()) -> Any:
        sent.append(sql)
        return execute(connection, sql, parameters)

    monkeypatch.setattr(PostgresqlConnection, "execute", note)
    indexes = await asyncio.gather(
        *(db.write(lambda unit: wallets.take_index(unit, "w"), quick=True) for _ in range(9))
    )
    assert indexes == list(range(9))
    assert len([sql for sql in sent if "INSERT INTO wallets" in sql]) == 1
    assert await db.read(lambda unit: wallets.next_index(unit, "w")) == 9
