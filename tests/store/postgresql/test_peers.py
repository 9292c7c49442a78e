"""Processes of one database: how many they are, and the signals that pass between them with commits."""

import asyncio
import errno
import json
import os
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import psycopg
import pytest

from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store import paging
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.place import DatabaseServer
from crypto_checkout.store.postgresql import engine, locks
from crypto_checkout.store.postgresql.engine import PostgresqlEngine
from crypto_checkout.store.signals import Signal
from crypto_checkout.store.webhooks import events
from crypto_checkout.store.webhooks.events import EventFilter
from tests.support.waiting import WAIT_SECONDS, until

SESSION = {"id": "cs_1", "livemode": False, "object": "checkout_session"}


def clock(seconds_ahead: float) -> Any:
    return lambda: datetime.now(UTC) + timedelta(seconds=seconds_ahead)


@pytest.fixture
async def pair(server: DatabaseServer) -> AsyncIterator[tuple[Database, Database]]:
    """Open two, whose clocks are eight seconds apart."""
    async with (
        await Database.open(server, clock(5), serves=True) as one,
        await Database.open(server, clock(-3), serves=True) as two,
    ):
        await until(lambda: one.processes() == two.processes() == 2, "both know of each other")
        yield one, two


def newest(unit: ReadUnit, window: paging.Window) -> list[str]:
    """Return the ids of events, the newest first."""
    return [json.loads(each)["id"] for each in events.bodies(unit, False, EventFilter(), window).items]


async def test_processes_are_counted_as_they_come_and_go(server: DatabaseServer) -> None:
    async with await Database.open(server, clock(0), serves=True) as one:
        assert one.processes() == 1
        assert one.version() is not None
        async with await Database.open(server, clock(0), serves=True) as two:
            assert two.processes() == 2
            await until(lambda: one.processes() == 2, "it is noticed")
            assert one.version() is None, "what the other writes isn't known at once"
            async with await Database.open(server, clock(0)):
                assert one.processes() == 2, "a command doesn't count"
        await until(lambda: one.processes() == 1, "its end is noticed")
        await until(lambda: one.version() is not None, "the version is told again")


async def test_the_version_is_told_again_only_once_what_a_process_wrote_at_last_is_seen(
    server: DatabaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await Database.open(server, clock(0), serves=True) as one:
        await until(lambda: one.version() is not None, "look at the server")
        before, looking = one.version(), one._engine
        assert isinstance(looking, PostgresqlEngine)
        assert looking._looking is not None
        looking._looking.cancel()  # so the next look is the test's
        monkeypatch.setattr(engine, "_MOST_SECONDS_BETWEEN_LOOKS", WAIT_SECONDS)
        async with await Database.open(server, clock(0), serves=True) as two:
            await until(lambda: one.processes() == 2, "know the other one")
            await two.write(lambda unit: Outbox().record(unit, EventType.SESSION_CREATED, SESSION))
        await until(lambda: one.processes() == 1, "know that it has ended")
        assert one.version() is None
        await looking._look()
        await asyncio.sleep(0)  # within a turn of the loop it is asked once
        assert one.version() not in {None, before}


async def test_a_signal_is_called_in_each_process_once_the_unit_is_stored(pair: tuple[Database, Database]) -> None:
    one, two = pair
    called: list[tuple[str, object]] = []
    signal = one.signals.make("bell", lambda each: called.append(("one", each)))
    two.signals.make("bell", lambda each: called.append(("two", each)))

    def fail(unit: WriteUnit) -> None:
        unit.after_commit(signal, "failed")
        raise LookupError

    with pytest.raises(LookupError):
        await one.write(fail)
    await one.write(lambda unit: unit.after_commit(signal, True))
    await until(lambda: len(called) == 2, "both are called")
    assert sorted(called) == [("one", True), ("two", True)]

    def ring(text: str) -> Callable[[WriteUnit], None]:
        return lambda unit: unit.after_commit(signal, text)

    # More than one notice can hold.
    await asyncio.gather(*(one.write(ring(f"{number} {'x' * 100}")) for number in range(400)))
    await until(lambda: len(called) == 802, "all are called")


def bell(one: Database, two: Database) -> tuple[Signal, asyncio.Event]:
    """Return a signal of one process, and the event that is set when the other one hears it."""
    called = asyncio.Event()
    two.signals.make("bell", called.set)
    return one.signals.make("bell", lambda: None), called


async def test_a_process_whose_session_is_ended_hears_again(
    pair: tuple[Database, Database], server: DatabaseServer
) -> None:
    one, two = pair
    signal, called = bell(one, two)
    with psycopg.connect(server.url, autocommit=True) as session:
        session.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '% notices %'"
        )
    async with asyncio.timeout(WAIT_SECONDS):
        while not called.is_set():
            await one.write(lambda unit: unit.after_commit(signal))
            await asyncio.sleep(0.1)
    assert one.processes() == two.processes() == 2


async def test_a_process_that_had_no_file_descriptor_left_hears_again(
    pair: tuple[Database, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = pair
    signal, called = bell(one, two)
    failed: set[int] = set()
    notifies = psycopg.Connection.notifies

    def fail_once(session: "psycopg.Connection[Any]", **options: Any) -> Any:
        if threading.get_ident() in failed:
            return notifies(session, **options)
        failed.add(threading.get_ident())
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(psycopg.Connection, "notifies", fail_once)
    await until(lambda: len(failed) == 2, "both fail")
    async with asyncio.timeout(WAIT_SECONDS):
        while not called.is_set():
            await one.write(lambda unit: unit.after_commit(signal))
            await asyncio.sleep(0.1)


async def test_a_notice_of_another_program_keeps_nobody_from_hearing_the_next(
    pair: tuple[Database, Database], server: DatabaseServer
) -> None:
    one, two = pair
    signal, called = bell(one, two)
    with psycopg.connect(server.url, autocommit=True) as session:
        for text in ("no JSON", "17"):
            session.execute("SELECT pg_notify('crypto_checkout', %s)", (text,))
    await one.write(lambda unit: unit.after_commit(signal))
    async with asyncio.timeout(WAIT_SECONDS):
        await called.wait()


async def test_a_process_that_writes_nothing_still_counts_after_its_sessions_were_ended(
    pair: tuple[Database, Database], server: DatabaseServer
) -> None:
    with psycopg.connect(server.url, autocommit=True) as session:

        def serving() -> int:
            found = session.execute(
                "SELECT COUNT(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
                " WHERE datname = current_database() AND locktype = 'advisory' AND objid = %s",
                (locks.SERVE,),
            ).fetchone()
            return 0 if found is None else int(found[0])

        session.execute(
            "SELECT COUNT(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
            " WHERE application_name LIKE '% writer %'"
        )
        await until(lambda: serving() == 2, "both keep others from changing the tables again")
    await until(lambda: [each.processes() for each in pair] == [2, 2], "both know of each other again")


async def test_events_of_processes_with_different_clocks_are_polled_in_the_order_of_commits(
    pair: tuple[Database, Database],
) -> None:
    outbox, stored = Outbox(), list[str]()

    def record(unit: WriteUnit) -> str:
        outbox.record(unit, EventType.SESSION_CREATED, SESSION)
        return newest(unit, paging.Window(1))[0]

    async def write(db: Database) -> None:
        for _ in range(30):
            stored.append(await db.write(record))

    first = await pair[0].write(record)
    writers = asyncio.gather(*(write(db) for db in (*pair, *pair)))
    polled, last, was_done = list[str](), first, False
    while True:
        page = await pair[1].read(partial(newest, window=paging.Window(7, before=last)))
        polled += reversed(page)
        if page:
            last = page[0]
        elif was_done:
            break
        was_done = writers.done()
        await asyncio.sleep(0)
    await writers
    assert len(polled) == len(set(polled)) == 120
    assert set(polled) == set(stored)
