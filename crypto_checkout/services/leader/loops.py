"""Loops that run together from a beginning to an end, such as the leader's during a term."""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from crypto_checkout.core.upkeep.leader import Leader
from crypto_checkout.log import get_logger
from crypto_checkout.store.group_commit import TERM

log = get_logger("leader")

Loop = Callable[[], Coroutine[Any, Any, None]]


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

    def start(self, term: Leader | None = None) -> None:
        """Start them; all that they write carries the term."""
        self._context = contextvars.copy_context()
        self._context.run(TERM.set, term)
        self._tasks = [self._started(loop(), loop.__qualname__) for loop in self._loops]
        for task in self._tasks:
            task.add_done_callback(log_death)

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


def log_death(task: asyncio.Task[Any]) -> None:
    """Log an error that ended a loop: this is always a bug."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("a loop has ended", error=f"{task.get_name()}: {error}", exc_info=error)
