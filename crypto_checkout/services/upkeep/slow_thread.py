"""Run long work on a thread of its own, with the lowest priority, so that it takes nothing from payers."""

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

_LOWEST_PRIORITY = 19
_ENDS_WITHIN_SECONDS = 10.0


async def run_slowly(work: Callable[[threading.Event], T], name: str) -> T:
    """Return the result of work on a thread called `name`.

    Cancelling sets the event, at which the work should end, and waits until it has. A connection to the database that
    the work has open would keep the last one, which closes next, from writing the log into the file.
    """
    loop, stop = asyncio.get_running_loop(), threading.Event()
    result: asyncio.Future[T] = loop.create_future()

    def settle(set_result: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(lambda: None if result.done() else set_result())

    def run() -> None:
        with suppress(OSError):  # Linux has a priority for each thread; elsewhere the pauses must do
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)
        try:
            done = work(stop)
        except Exception as error:  # noqa: BLE001  # a loop's boundary: it is raised where the work was asked for
            failure = error
            settle(lambda: result.set_exception(failure))
        else:
            settle(lambda: result.set_result(done))

    threading.Thread(target=run, name=name, daemon=True).start()
    try:
        await asyncio.wait([result])
    finally:
        stop.set()
        await asyncio.wait([result], timeout=_ENDS_WITHIN_SECONDS)  # longer only on a disk that hangs
        if result.done():
            result.exception()  # seen: where this was cancelled nobody asks for it
    return result.result()
