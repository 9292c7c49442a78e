"""Who leads on a real PostgreSQL server, and that what an earlier leader writes has no effect."""

import asyncio
import time
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any

import psycopg
import pytest

from crypto_checkout.app.clock import system_clock
from crypto_checkout.core.errors import DatabaseFailed, LeaderChanged
from crypto_checkout.core.upkeep.leader import NO_LEADER, Leader
from crypto_checkout.store.database import Database
from crypto_checkout.store.group_commit import TERM
from crypto_checkout.store.place import DatabaseServer
from crypto_checkout.store.postgresql import election, locks
from crypto_checkout.store.postgresql.election import PostgresqlElection, processes
from crypto_checkout.store.postgresql.session import PROCESS
from crypto_checkout.store.upkeep import leader
from tests.support.kill_writer import take_index

Pair = tuple[PostgresqlElection, PostgresqlElection]


@pytest.fixture
def pair(server: DatabaseServer) -> Iterator[Pair]:
    """Make two candidates; the first one leads."""
    first, second = PostgresqlElection(server, system_clock), PostgresqlElection(server, system_clock)
    assert until_leading(first) == 1
    yield first, second
    first.step_down()
    second.step_down()


def until_leading(candidate: PostgresqlElection) -> int:
    """Return the term once a candidate leads: a session's lock ends a moment after the session."""
    until = time.monotonic() + 60
    while not (state := candidate.turn()).is_leader:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert state.leader is not None
    return state.leader.term


def in_term(term: Leader | None, db: Database, work: Any) -> "asyncio.Task[Any]":
    context = copy_context()
    context.run(TERM.set, term)
    return asyncio.create_task(db.write(work), context=context)


def test_one_leads_until_it_steps_down_and_each_change_raises_the_term(pair: Pair) -> None:
    first, second = pair
    follows = second.turn()
    assert not follows.is_leader
    assert follows.leader is not None
    assert follows.leader.term == 1
    assert first.turn().is_leader
    first.step_down()
    assert until_leading(second) == 2
    assert not first.turn().is_leader
    second.step_down()
    assert until_leading(first) == 3


async def test_what_an_earlier_leader_writes_has_no_effect_and_what_others_write_has(server: DatabaseServer) -> None:
    candidate = PostgresqlElection(server, system_clock)
    async with await Database.open(server, system_clock) as db:
        leaders = []
        for term in (1, 2):
            assert await asyncio.to_thread(until_leading, candidate) == term
            leaders.append(candidate.turn().leader)
            assert await in_term(leaders[-1], db, take_index) == 2 * (term - 1)
            assert await in_term(None, db, take_index) == 2 * term - 1
            await asyncio.to_thread(candidate.step_down)
        first, second = leaders
        writes = [in_term(each, db, take_index) for each in (first, second, None, first, second)]
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        assert [isinstance(each, LeaderChanged) for each in outcomes] == [True, False, False, True, False]
        assert sorted(each for each in outcomes if isinstance(each, int)) == [4, 5, 6]
        assert await db.write(take_index) == 7
        assert not db.faults.refused_lately


async def test_a_term_that_ends_in_a_transaction_is_over_for_what_comes_after_in_it(server: DatabaseServer) -> None:
    candidate = PostgresqlElection(server, system_clock)
    async with await Database.open(server, system_clock) as db:
        assert await asyncio.to_thread(until_leading, candidate) == 1
        state = await asyncio.to_thread(candidate.turn)
        writes = [in_term(state.leader, db, take_index), in_term(None, db, leader.end_term)]
        writes.append(in_term(state.leader, db, take_index))
        first, _, last = await asyncio.gather(*writes, return_exceptions=True)
        assert first == 0
        assert isinstance(last, LeaderChanged)
        await asyncio.to_thread(candidate.step_down)


async def test_a_leader_of_before_a_restore_is_refused_although_its_term_has_come_again(server: DatabaseServer) -> None:
    candidate = PostgresqlElection(server, system_clock)
    async with await Database.open(server, system_clock) as db:
        assert await asyncio.to_thread(until_leading, candidate) == 1
        before = candidate.turn().leader
        await db.write(lambda unit: unit.run("UPDATE leader SET term = 0, process = NULL, since = NULL"))
        assert not candidate.turn().is_leader
        assert await asyncio.to_thread(until_leading, candidate) == 1
        with pytest.raises(LeaderChanged):
            await in_term(before, db, take_index)
        assert await in_term(candidate.turn().leader, db, take_index) == 0
        await asyncio.to_thread(candidate.step_down)


def test_a_leader_whose_session_was_ended_notices_at_its_next_turn(pair: Pair, server: DatabaseServer) -> None:
    first, second = pair
    with psycopg.connect(server.url, autocommit=True) as session:
        session.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s",
            (locks.LEADER,),
        )
    assert until_leading(second) == 2
    try:
        assert not first.turn().is_leader
    except DatabaseFailed:
        assert not first.turn().is_leader


def test_a_leader_whose_session_is_lost_leads_no_more_before_it_waits_for_another(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = pair
    assert first._connection is not None
    first._connection.close()
    with monkeypatch.context() as patch:
        patch.setattr(election, "connect", lambda *_: pytest.fail("it waits for a session, and leads meanwhile"))
        assert first.turn() == NO_LEADER
    assert until_leading(first) == 2


def test_a_leader_that_is_silent_is_replaced(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = pair
    assert not second.turn().is_leader
    monkeypatch.setattr(election, "SILENT_SECONDS", 0.0)
    assert until_leading(second) == 2
    assert first._connection is not None
    assert not first._connection.is_alive()


async def test_a_leader_that_was_asked_to_step_down_is_told_so_and_the_next_one_is_not(server: DatabaseServer) -> None:
    candidate = PostgresqlElection(server, system_clock)
    async with await Database.open(server, system_clock) as db:
        assert await asyncio.to_thread(until_leading, candidate) == 1
        await db.write(lambda unit: leader.ask_to_step_down(unit, 2))
        assert not (await asyncio.to_thread(candidate.turn)).is_asked_to_step_down
        await db.write(lambda unit: leader.ask_to_step_down(unit, 1))
        assert (await asyncio.to_thread(candidate.turn)).is_asked_to_step_down
        await asyncio.to_thread(candidate.step_down)
        assert await asyncio.to_thread(until_leading, candidate) == 2
        assert not (await asyncio.to_thread(candidate.turn)).is_asked_to_step_down
        await asyncio.to_thread(candidate.step_down)


async def test_all_processes_that_serve_are_named(server: DatabaseServer) -> None:
    assert processes(server) == (None, [])
    async with await Database.open(server, system_clock, serves=True):
        candidate = PostgresqlElection(server, system_clock)
        await asyncio.to_thread(until_leading, candidate)
        leads, serving = await asyncio.to_thread(processes, server)
        assert leads is not None
        assert (leads.process, leads.term) == (PROCESS, 1)
        assert serving == [PROCESS]
        await asyncio.to_thread(candidate.step_down)
