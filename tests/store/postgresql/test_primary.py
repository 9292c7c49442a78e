"""Servers that hang, are replaced by a standby or come back after that: what was confirmed is there, or is not said."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from crypto_checkout.core.errors import DatabaseFailed, OutcomeUnknown
from crypto_checkout.core.webhooks.events import Event, EventType
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.place import DatabaseServer
from crypto_checkout.store.postgresql import connection, faults, primary, session
from crypto_checkout.store.postgresql.connection import PostgresqlConnection
from crypto_checkout.store.postgresql.session import open_connection
from crypto_checkout.store.webhooks import events
from tests.support.kill_writer import take_index
from tests.support.postgresql import DURABLE, PostgresqlServer
from tests.support.standby import Standby, is_synchronous, two_servers, url
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import until, wait_until

PATIENCE_SECONDS = 60
LITTLE = 0.3


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Doubt a server, and a commit, after less than a second."""
    monkeypatch.setattr(connection, "_DOUBT_SECONDS", LITTLE)
    monkeypatch.setattr(connection, "_COMMIT_SECONDS", 3 * LITTLE)
    monkeypatch.setattr(session, "_OUTCOME_SECONDS", LITTLE)
    monkeypatch.setattr(session, "_CONFIRM_SECONDS", 3 * LITTLE)
    monkeypatch.setattr(session, "_CONNECT_SECONDS", 2)
    monkeypatch.setattr(primary, "_QUESTION_SECONDS", 3.0)


@pytest.fixture
def pair(postgresql_server: PostgresqlServer) -> Iterator[tuple[PostgresqlServer, Standby]]:
    with two_servers(postgresql_server.programs) as servers:
        yield servers


def through(networks: list[TcpProxy], made: DatabaseServer) -> DatabaseServer:
    """Return a database as it is reached through networks."""
    name = made.url.partition("?")[0].rpartition("/")[2]
    return DatabaseServer(url([each.port for each in networks], name), made.folder)


def stored(server: DatabaseServer) -> int:
    with psycopg.connect(server.url) as asking:
        row = asking.execute("SELECT COALESCE(SUM(next_index), 0) FROM wallets").fetchone()
        assert row is not None
        return int(row[0])


async def written(db: Database) -> int:
    """Write as soon as it is possible."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await db.write(take_index)
            except DatabaseFailed:
                await asyncio.sleep(0.05)


async def is_advised(db: Database, advice: str) -> bool:
    """Tell whether a read fails with this advice."""
    with pytest.raises(DatabaseFailed) as failed:
        await db.read(lambda unit: unit.one("SELECT 1"))
    return advice in faults.advice(failed.value)


@pytest.mark.usefixtures("little_patience")
async def test_a_server_that_is_not_there_is_given_up_and_a_slow_statement_is_not(
    postgresql_server: PostgresqlServer, tmp_path: Path
) -> None:
    made = postgresql_server.new_database(tmp_path)
    with TcpProxy(postgresql_server.socket) as network:
        async with await Database.open(through([network], made), now) as db:
            await db.read(lambda unit: unit.one(f"SELECT pg_sleep({3 * LITTLE})"))
            await db.write(lambda unit: unit.one(f"SELECT pg_sleep({3 * LITTLE})"))
            network.hang()
            with pytest.raises(DatabaseFailed, match="gave no answer for 0 seconds"):
                await db.write(take_index)
            with pytest.raises(DatabaseFailed):
                await db.read(lambda unit: unit.one("SELECT 1"))
            network.mend()
            assert await written(db) == 0
    postgresql_server.drop(made)


async def test_the_number_of_a_transaction_says_nothing_once_the_server_has_recovered(
    postgresql_server: PostgresqlServer, tmp_path: Path
) -> None:
    with PostgresqlServer(postgresql_server.programs, **DURABLE) as own_server:
        made = own_server.new_database(tmp_path)
        with closing(open_connection(made, "writer", writes=True)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("INSERT INTO wallets (wallet_id, next_index) VALUES ('lost', 1)")
            writer.wait()
            number = int(writer._transaction or 0)
            own_server.stop(kill=True)
            own_server.start()
            with psycopg.connect(made.url, autocommit=True) as other:
                while int(reached(other, "SELECT CAST(pg_current_xact_id() AS TEXT)")) < number:
                    pass
                assert reached(other, f"SELECT pg_xact_status('{number}'::xid8)") == "committed", "given out again"
            with pytest.raises(OutcomeUnknown):
                writer.execute("COMMIT")
        assert stored(made) == 0


def test_a_commit_whose_outcome_nobody_could_be_asked_for_is_not_called_failed(
    postgresql_server: PostgresqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the process may start no more threads."""

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    made = postgresql_server.new_database(tmp_path)
    with closing(open_connection(made, "writer", writes=True)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO wallets (wallet_id, next_index) VALUES ('lost', 1)")
        writer.wait()
        with psycopg.connect(made.url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (writer._pgconn.backend_pid,))
        monkeypatch.setattr(session, "connect", refuse)
        with pytest.raises(OutcomeUnknown):
            writer.execute("COMMIT")
    postgresql_server.drop(made)


def record(writer: PostgresqlConnection, event_id: str) -> None:
    unit = WriteUnit(writer, now())
    events.insert(unit, Event(event_id, False, EventType.CUSTOMER_CREATED, now(), {}), "cus_1", "{}")
    assert unit.event_id == event_id


def test_after_a_failover_an_event_tells_whether_its_transaction_was_committed(
    pair: tuple[PostgresqlServer, Standby], tmp_path: Path
) -> None:
    """Numbers of transactions alone tell only that one is not there."""
    first, standby = pair
    made = first.new_database(tmp_path)
    there = DatabaseServer(made.url.replace(str(first.folder), str(standby.folder)), tmp_path)
    numbers = {}
    with psycopg.connect(made.url) as asking:
        incarnation = primary.incarnation(asking)
    with closing(open_connection(made, "writer", writes=True)) as writer:
        for event in ("evt_committed", "evt_lost"):
            writer.execute("BEGIN IMMEDIATE")
            record(writer, event)
            writer.wait()
            numbers[event] = str(writer._transaction)
            if event == "evt_committed":
                writer.execute("COMMIT")
        first.stop(kill=True)
        standby.promote()

    def told(number: str, event: str | None) -> bool | None:
        return session.was_committed(there, incarnation, number, event)

    with psycopg.connect(there.url, autocommit=True) as other:
        while int(reached(other, "SELECT CAST(pg_current_xact_id() AS TEXT)")) < int(numbers["evt_lost"]) + 1:
            pass
    assert told(numbers["evt_committed"], "evt_committed") is True
    assert told(numbers["evt_committed"], None) is None
    assert told(numbers["evt_lost"], "evt_lost") is False
    assert told(str(10**9), "evt_lost") is False, "a number that nobody had"


@pytest.mark.usefixtures("little_patience")
async def test_a_commit_for_which_a_standby_is_waited_for_too_long_is_not_called_failed(
    pair: tuple[PostgresqlServer, Standby], tmp_path: Path
) -> None:
    first, standby = pair
    made = first.new_database(tmp_path)
    async with await Database.open(made, now, serves=True) as db:
        assert await db.write(take_index) == 0
        standby.freeze()
        with pytest.raises(OutcomeUnknown):
            await db.write(take_index)
        standby.thaw()
        assert await written(db) == 2, "it was stored after all"


def reached(asking: "psycopg.Connection[Any]", sql: str) -> str:
    row = asking.execute(sql.encode()).fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.usefixtures("little_patience")
async def test_what_the_standby_lacks_is_not_confirmed_nor_shown_after_a_restart(
    pair: tuple[PostgresqlServer, Standby], tmp_path: Path
) -> None:
    first, standby = pair
    made = first.new_database(tmp_path)
    async with await Database.open(made, now, serves=True) as db:
        assert await db.write(take_index) == 0
        standby.freeze()
        for _ in range(2):
            with pytest.raises(DatabaseFailed):
                await db.write(take_index)
        first.stop(kill=True)
        first.start()
        assert stored(made) == 2, "the server itself shows what it never confirmed"
        with pytest.raises(DatabaseFailed):
            await db.read(lambda unit: unit.one("SELECT next_index FROM wallets"))
        standby.thaw()
        wait_until(lambda: is_synchronous(first), "follow again")
        assert await written(db) == 2
        first.stop(kill=True)
        standby.promote()
        assert stored(DatabaseServer(made.url.replace(str(first.folder), str(standby.folder)), tmp_path)) == 3


@pytest.mark.usefixtures("little_patience")
async def test_after_a_failover_the_standby_is_written_to_and_the_earlier_primary_refused(
    pair: tuple[PostgresqlServer, Standby], tmp_path: Path
) -> None:
    first, standby = pair
    made = first.new_database(tmp_path)
    with TcpProxy(first.socket) as network, TcpProxy(standby.socket) as other:
        server = through([other, network], made)
        async with await Database.open(server, now, serves=True) as db:
            assert await db.write(take_index) == 0, "the standby is named first"
            failovers: list[tuple[bool, int]] = []
            data_id = db.data_id()
            db.before_writing(lambda unit, is_other_data: failovers.append((is_other_data, take_index(unit))))
            first.stop(kill=True)
            await until(partial(is_advised, db, "is a standby"), "say that only the standby is there")
            standby.promote()
            assert await written(db) == 2
            assert failovers == [(True, 1)], "first of all"
            assert db.data_id() not in (data_id, "")
            network.cut()
            first.start()
            first.execute("ALTER SYSTEM RESET synchronous_standby_names")
            first.execute("SELECT pg_reload_conf()")
            network.mend()
            other.cut()
            with pytest.raises(DatabaseFailed, match="was the primary before a failover"):
                await db.write(take_index)
            with pytest.raises(DatabaseFailed):
                await db.read(lambda unit: unit.one("SELECT 1"))
            other.mend()
            assert await written(db) == 3
            assert len(failovers) == 1, "it has lived on"
    assert stored(made) == 1


async def test_a_database_that_another_takes_the_place_of_is_told_from_it_before_the_first_write(
    postgresql_server: PostgresqlServer, tmp_path: Path
) -> None:
    """As one that is restored from a dump beside it, and renamed; the server runs on."""
    made, restored = (postgresql_server.new_database(tmp_path) for _ in range(2))
    name, other = (each.url.partition("?")[0].rpartition("/")[2] for each in (made, restored))
    async with await Database.open(made, now, serves=True) as db:
        seen: list[tuple[bool, int]] = []
        db.before_writing(lambda unit, is_other_data: seen.append((is_other_data, take_index(unit))))
        assert await db.write(take_index) == 0
        assert await db.write(take_index) == 1
        postgresql_server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        with psycopg.connect(postgresql_server.url("postgres")) as other_session:
            other_session.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (name,)
            )
        postgresql_server.execute(f"ALTER DATABASE {name} RENAME TO {name}_before")
        postgresql_server.execute(f"ALTER DATABASE {other} RENAME TO {name}")
        assert await written(db) == 1
        assert seen == [(True, 0)], "first of all"
    for each in (name, f"{name}_before"):
        postgresql_server.execute(f"DROP DATABASE {each} WITH (FORCE)")
