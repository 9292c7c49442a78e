"""Run the leader's loops while this process leads.

On a file one process serves, and leads from its start to its end. On a server's database the processes take turns: the
loops begin with each term and end with it, any number of times. All that they write carries the term
(`store.group_commit.TERM`), so the database refuses it once another process leads.
"""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Never, Protocol

from crypto_checkout import metrics
from crypto_checkout.core.errors import DatabaseFailed, FatalError
from crypto_checkout.core.upkeep.leader import ALONE, NOBODY, Standing
from crypto_checkout.log import get_logger
from crypto_checkout.store.group_commit import TERM

log = get_logger("leader")

Loop = Callable[[], Coroutine[Any, Any, None]]

_EVERY_SECONDS = 1.0
_REST_SECONDS = 5.0
"""The time for which a leader that was asked to step back leaves it to others."""


class Election(Protocol):
    """A process's part in leading; see `store.postgresql.leadership`. It is used on one thread."""

    def turn(self) -> Standing:
        """Lead if nobody does, or confirm it. Raises DatabaseFailed, and FatalError where it is another server now."""

    def step_back(self) -> None:
        """Lead no more."""


def who_leads(standing: Standing) -> str:
    """Tell who leads, in words that reveal nothing internal."""
    if standing.term is not None:
        return "this process"
    return "none" if standing.leader is None else "another process"


class RunningLoops:
    """Loops that run together, and what is written once they have ended."""

    def __init__(self, loops: Sequence[Loop], last: Loop | None = None) -> None:
        self._loops = [*loops]
        self._last = last
        self._tasks: list[asyncio.Task[None]] = []
        self._context: contextvars.Context | None = None

    def add(self, loop: Loop) -> None:
        """Have another loop run with them."""
        self._loops.append(loop)

    def start(self, term: int | None = None) -> None:
        """Start them; all that they write carries the term."""
        self._context = contextvars.copy_context()
        self._context.run(TERM.set, term)
        self._tasks = [self._started(loop(), loop.__qualname__) for loop in self._loops]
        for task in self._tasks:
            task.add_done_callback(_log_death)

    async def stop(self) -> None:
        """End them, and write what they still hold in memory. Repeating is safe."""
        await self.abandon()
        if self._context is not None and self._last is not None:
            await self._started(self._last(), "last writes")
        self._context = None

    async def abandon(self) -> None:
        """End them without any write: it would be refused, or wait for a database that can't be reached."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _started(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        assert self._context is not None, "they were started"
        return asyncio.create_task(work, name=name, context=self._context.copy())


class AlwaysLeading:
    """Leads from the start to the end: nobody else can."""

    standing = ALONE

    def __init__(self, loops: RunningLoops) -> None:
        self._loops = loops

    async def begin(self) -> None:
        """Run the leader's loops."""
        metrics.LEADER.set(1)
        self._loops.start()

    async def end(self) -> None:
        """End them."""
        await self._loops.stop()


class Leading:
    """Leads whenever no other process does. `standing` is how this process stands."""

    def __init__(self, election: Election, loops: RunningLoops) -> None:
        self.standing = NOBODY
        self._election = election
        self._loops = loops
        self._term: int | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="leader")
        self._listeners: list[Callable[[Standing], None]] = []
        self._told: str | None = None
        self._loop: asyncio.Task[Never] | None = None

    def on_turn(self, listener: Callable[[Standing], None]) -> None:
        """Register a function to call with the standing after each turn."""
        self._listeners.append(listener)

    async def begin(self) -> None:
        """Lead if nobody does, and from then on whenever no other process does."""
        wait_seconds = await self.turn()
        self._loop = asyncio.create_task(self._run(wait_seconds), name="leading")
        self._loop.add_done_callback(_log_death)

    async def end(self) -> None:
        """Lead no more, and never again."""
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
            standing = await self._on_thread(self._election.turn)
        except (DatabaseFailed, FatalError) as error:
            if self._term is not None:
                log.warning("the database can't be used: this process leads no more", error=str(error))
            standing = NOBODY
        await self._take(standing)
        if standing.term is None or not standing.is_asked_to_end:
            return _EVERY_SECONDS
        log.info("stepping back, as asked", term=standing.term)
        await self._end_term()
        return _REST_SECONDS

    async def _end_term(self) -> None:
        """End the loops, then let others lead. Repeating is safe."""
        if self._term is not None:
            await self._loops.stop()
        self._term = None
        with suppress(DatabaseFailed):
            await self._on_thread(self._election.step_back)
        self._show(NOBODY)

    async def _take(self, standing: Standing) -> None:
        if self._term is not None and standing.term != self._term:
            await self._loops.abandon()
        if standing.term is not None and standing.term != self._term:
            self._loops.start(standing.term)
        self._term = standing.term
        self._show(standing)

    def _show(self, standing: Standing) -> None:
        self.standing = standing
        metrics.LEADER.set(standing.term is not None)
        metrics.LEADER_TERM.set(standing.leader.term if standing.leader else 0)
        for listener in self._listeners:
            listener(standing)
        told = f"{who_leads(standing)} leads"
        if told != self._told:
            self._told, leader = told, standing.leader
            log.info(told, process=leader and leader.process, term=leader and leader.term)

    async def _on_thread(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _log_death(task: asyncio.Task[Any]) -> None:
    """Log an error that ended a loop: this is always a bug."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("a loop has ended", error=f"{task.get_name()}: {error}", exc_info=error)
