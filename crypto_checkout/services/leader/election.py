"""Take part in the election of a leader, and run the leader's loops for as long as this process is elected.

A file has one process, which leads from its start to its end. A server's database may have several: the loops begin
with each term of this process and end with it, any number of times. All that they write carries the term
(`store.group_commit.TERM`), so the database refuses it once another process leads.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Never, Protocol

from crypto_checkout import metrics
from crypto_checkout.core.errors import DatabaseFailed, FatalError
from crypto_checkout.core.upkeep.leader import ALONE, NO_LEADER, ElectionState, Leader
from crypto_checkout.log import get_logger
from crypto_checkout.services.leader.loops import RunningLoops, log_death

log = get_logger("leader")

_EVERY_SECONDS = 1.0
_REST_SECONDS = 5.0
"""The time for which a leader that was asked to step down leaves it to others."""


class Election(Protocol):
    """A process's part in an election; see `store.postgresql.election`. It is used on one thread."""

    def turn(self) -> ElectionState:
        """Lead if nobody does, or confirm it. Raises DatabaseFailed, and FatalError where it is another server now."""

    def step_down(self) -> None:
        """End the term, if this process leads."""


def who_leads(state: ElectionState) -> str:
    """Tell who leads, in words that reveal nothing internal."""
    if state.is_leader:
        return "this process"
    return "none" if state.leader is None else "another process"


class AlwaysLeader:
    """Leads from the start to the end: no other process can."""

    state = ALONE

    def __init__(self, loops: RunningLoops) -> None:
        self._loops = loops

    async def begin(self) -> None:
        """Run the leader's loops."""
        metrics.LEADER.set(1)
        self._loops.start()

    async def end(self) -> None:
        """End them."""
        await self._loops.stop()


class LeaderElector:
    """Leads whenever no other process does; `state` is the outcome of the last turn."""

    def __init__(self, election: Election, loops: RunningLoops) -> None:
        self.state = NO_LEADER
        self._election = election
        self._loops = loops
        self._term: Leader | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="leader")
        self._listeners: list[Callable[[ElectionState], None]] = []
        self._told: str | None = None
        self._loop: asyncio.Task[Never] | None = None

    def on_turn(self, listener: Callable[[ElectionState], None]) -> None:
        """Register a function to call with the state after each turn."""
        self._listeners.append(listener)

    async def begin(self) -> None:
        """Take part from now on."""
        wait_seconds = await self.turn()
        self._loop = asyncio.create_task(self._run(wait_seconds), name="leader election")
        self._loop.add_done_callback(log_death)

    async def end(self) -> None:
        """Take part no more, and end the term if this process leads."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        await self._end_term()
        self._thread.shutdown()

    async def _run(self, wait_seconds: float) -> Never:
        while True:
            await asyncio.sleep(wait_seconds)
            wait_seconds = await self.turn()

    async def turn(self) -> float:
        """Lead or confirm it, and start or end the loops accordingly; return the seconds until the next turn."""
        try:
            state = await self._on_thread(self._election.turn)
        except Exception as error:  # a loop's boundary: without a session nobody may go on leading
            if not isinstance(error, DatabaseFailed | FatalError):
                log.exception("who leads could not be found out", error=str(error))
            elif self._term is not None:
                log.warning("the database can't be used: this process no longer leads", error=str(error))
            state = NO_LEADER
        await self._take(state)
        if not (state.is_leader and state.is_asked_to_step_down):
            return _EVERY_SECONDS
        log.info("stepping down, as asked", term=state.leader and state.leader.term)
        await self._end_term()
        return _REST_SECONDS

    async def _end_term(self) -> None:
        """End the loops, then let others lead. Repeating is safe."""
        led = self._term is not None
        if led:
            await self._loops.stop()
        self._term = None
        with suppress(DatabaseFailed):
            await self._on_thread(self._election.step_down)
        if led:  # otherwise another process may lead
            self._show(NO_LEADER)

    async def _take(self, state: ElectionState) -> None:
        term = state.leader if state.is_leader else None
        if self._term is not None and term != self._term:
            await self._loops.abandon()
        if term is not None and term != self._term:
            self._loops.start(term)
        self._term = term
        self._show(state)

    def _show(self, state: ElectionState) -> None:
        self.state = state
        metrics.LEADER.set(state.is_leader)
        metrics.LEADER_TERM.set(state.leader.term if state.leader else 0)
        for listener in self._listeners:
            listener(state)
        told = f"{who_leads(state)} leads"
        if told != self._told:
            self._told, leader = told, state.leader
            log.info(told, process=leader and leader.process, term=leader and leader.term)

    async def _on_thread(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
