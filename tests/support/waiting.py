"""Waiting for a condition, in a thread and in an event loop.

The pauses grow, so that a fast machine doesn't exhaust a rate limit by asking. The deadline is far beyond anything a
slow machine needs: it only ends what would never end.
"""

import inspect
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio

WAIT_SECONDS = 60


def pauses() -> Iterator[float]:
    """Yield the seconds to wait between two questions: 10 ms at first, at most 100 ms."""
    seconds = 0.01
    while True:
        yield seconds
        seconds = min(seconds * 1.3, 0.1)


def wait_until(
    is_so: Callable[[], object],
    what: str,
    *,
    is_running: Callable[[], bool] = lambda: True,
    output: Callable[[], str] = str,
) -> None:
    """Return once a condition holds.

    Fail with the output of the process that was to bring it about when that ends before, or when it takes too long.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    for pause in pauses():
        has_ended = not is_running()
        if is_so():
            return
        if has_ended or time.monotonic() > deadline:
            raise AssertionError(f"it did not {what}; its output:\n{output()}")
        time.sleep(pause)


def wait_until_none_is_left(left: Callable[[], int], what: str, *, output: Callable[[], str] = str) -> None:
    """Return once nothing is left: however long many take, while there is still one less after another."""
    most = left()
    while most:
        wait_until(lambda most=most: left() < most, f"{what}: {most} are left", output=output)  # type: ignore[misc]
        most = left()


@contextmanager
def killed_on_failure(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Kill a process whose start is waited for if it fails: whoever started it never gets to end it."""
    try:
        yield
    except BaseException:
        process.kill()
        process.wait()
        raise


async def until(is_so: Callable[[], Any], what: str) -> None:
    """Return once a condition, which may be a coroutine function, holds; fail when it takes too long."""
    deadline = time.monotonic() + WAIT_SECONDS
    for pause in pauses():
        answer = is_so()
        if await answer if inspect.isawaitable(answer) else answer:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"it took too long: {what}")
        await anyio.sleep(pause)
