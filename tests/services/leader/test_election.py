"""The leader's loops run exactly while this process leads, and all that they write carries the term."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from crypto_checkout.core.errors import DatabaseFailed, FatalError
from crypto_checkout.core.upkeep.leader import NO_LEADER, ElectionState, Leader
from crypto_checkout.services.leader.election import AlwaysLeader, LeaderElector, who_leads
from crypto_checkout.services.leader.loops import RunningLoops
from crypto_checkout.store.group_commit import TERM


def leader(term: int) -> Leader:
    return Leader("4242@shop-1#3fa9c1", datetime(2026, 12, 1, term, tzinfo=UTC), term)


def term() -> int | None:
    """Return the number of the term that the task carries."""
    carried = TERM.get()
    return None if carried is None else carried.term


THIRD = leader(3)


class Loops:
    """Two loops, and what they do, in order."""

    def __init__(self) -> None:
        self.done: list[tuple[str, int | None]] = []
        self.running = RunningLoops([self.first, self.second], self.last)

    async def first(self) -> None:
        await self._run("first")

    async def second(self) -> None:
        await asyncio.create_task(self._run("second"))

    async def last(self) -> None:
        self.done.append(("last", term()))

    async def _run(self, name: str) -> None:
        self.done.append((name, term()))
        try:
            await asyncio.Event().wait()
        finally:
            self.done.append((f"{name} ends", term()))


class Election:
    """Answers as it is told; `steps_down` counts."""

    def __init__(self, answers: Sequence[ElectionState | Exception]) -> None:
        self.steps_down = 0
        self._answers = iter(answers)

    def turn(self) -> ElectionState:
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def step_down(self) -> None:
        self.steps_down += 1


async def after(answers: Sequence[ElectionState | Exception]) -> tuple[Loops, LeaderElector, Election, list[float]]:
    """Take a turn with each answer; return what came of it, with the pauses."""
    loops, election = Loops(), Election(answers)
    elector = LeaderElector(election, loops.running)
    pauses = []
    for _ in answers:
        pauses.append(await elector.turn())
        for _ in range(5):
            await asyncio.sleep(0)
    return loops, elector, election, pauses


def begun(term: int | None) -> list[tuple[str, int | None]]:
    return [("first", term), ("second", term)]


def lost(term: int | None) -> list[tuple[str, int | None]]:
    return [("first ends", term), ("second ends", term)]


def ended(term: int | None) -> list[tuple[str, int | None]]:
    return [*lost(term), ("last", term)]


async def test_they_begin_with_each_term_and_end_with_it() -> None:
    answers = [
        NO_LEADER,
        ElectionState(True, THIRD),
        ElectionState(True, THIRD),
        NO_LEADER,
        ElectionState(True, leader(5)),
    ]
    loops, elector, election, _ = await after(answers)
    assert loops.done == [*begun(3), *lost(3), *begun(5)]
    assert who_leads(elector.state) == "this process"
    await elector.end()
    assert loops.done == [*begun(3), *lost(3), *begun(5), *ended(5)]
    assert election.steps_down == 1
    assert who_leads(elector.state) == "none"
    assert TERM.get() is None


async def test_a_new_term_is_one_of_its_own_although_the_leader_is_the_same() -> None:
    loops, elector, *_ = await after([ElectionState(True, THIRD), ElectionState(True, leader(4))])
    assert loops.done == [*begun(3), *lost(3), *begun(4)]
    await elector.end()


async def test_a_term_of_a_restored_database_is_another_one_although_its_number_is_the_same() -> None:
    again = replace(THIRD, since=THIRD.since + timedelta(minutes=1))
    loops, elector, *_ = await after([ElectionState(True, THIRD), ElectionState(True, again)])
    assert loops.done == [*begun(3), *lost(3), *begun(3)]
    await elector.end()


@pytest.mark.parametrize(
    "error",
    [DatabaseFailed("gone"), FatalError("an older server is there now"), RuntimeError("can't start new thread")],
)
async def test_they_end_when_the_database_cannot_be_used_and_write_nothing_any_more(error: Exception) -> None:
    loops, elector, _, pauses = await after([ElectionState(True, THIRD), error, error])
    assert loops.done == [*begun(3), *lost(3)]
    assert elector.state == NO_LEADER
    assert pauses == [1, 1, 1]
    await elector.end()


async def test_a_leader_that_is_asked_to_step_down_leaves_the_others_some_time() -> None:
    loops, elector, election, pauses = await after(
        [ElectionState(True, THIRD), ElectionState(True, THIRD, is_asked_to_step_down=True)]
    )
    assert loops.done == [*begun(3), *ended(3)]
    assert election.steps_down == 1
    assert pauses[1] > 3 * pauses[0]
    await elector.end()


async def test_one_that_ends_while_another_leads_does_not_say_that_none_leads() -> None:
    _, elector, election, _ = await after([ElectionState(False, THIRD)])
    await elector.end()
    assert election.steps_down == 1
    assert who_leads(elector.state) == "another process"


async def test_on_a_file_they_run_from_the_start_to_the_end_without_a_term() -> None:
    loops = Loops()
    elector = AlwaysLeader(loops.running)
    await elector.begin()
    for _ in range(5):
        await asyncio.sleep(0)
    assert who_leads(elector.state) == "this process"
    await elector.end()
    assert loops.done == [*begun(None), *ended(None)]
