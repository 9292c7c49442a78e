"""The shape of a background loop: take a turn, log its failure, wait for the next one.

One failed turn never ends a loop. Loops whose pauses grow with failures (`services.ledger.watcher`) use only `pause`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Never, TypeVar

from crypto_checkout.core.errors import DatabaseFailed
from crypto_checkout.log import Logger

Turn = Callable[[], Awaitable[float | None]]
"""One turn of a loop; it may return how many seconds to wait for the next one, instead of the usual time."""

_LAST_SECONDS = 2.0

_T = TypeVar("_T")


async def every(seconds: float, turn: Turn, *, log: Logger, failure: str, woken: asyncio.Event | None = None) -> Never:
    """Take a turn now and again after each pause, until cancelled.

    A turn that raises is logged as `failure` with its traceback, and the next one follows after `seconds`. Setting
    `woken` ends the pause; what sets it during a turn isn't missed, because it is cleared before the turn begins.
    """
    woken = woken or asyncio.Event()
    while True:
        woken.clear()
        wait_seconds = None
        try:
            wait_seconds = await turn()
        except DatabaseFailed:
            pass  # the database has logged it, once for all that it failed
        except Exception as error:  # a loop's boundary: the next turn is another chance
            log.exception(failure, error=str(error))
        _end_if_cancelled()
        await pause(seconds if wait_seconds is None else wait_seconds, woken)


def _end_if_cancelled() -> None:
    """Raise CancelledError if the turn has swallowed one, which would be the last: whoever ends the loop waits for it.

    In Python 3.11 `asyncio.wait_for` does so where its answer comes in the same moment, as in a library for mail.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def pause(seconds: float, woken: asyncio.Event) -> None:
    """Wait until the event is set, for at most this many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await woken.wait()
    except TimeoutError:
        pass


async def not_cut_off(work: Coroutine[Any, Any, _T]) -> _T:
    """Await work that sends something and records that it did. A loop that is cancelled meanwhile ends after it.

    Cut off between the two, it would send the same again. After two seconds it is cut off nevertheless.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=_LAST_SECONDS)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
