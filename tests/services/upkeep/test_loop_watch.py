"""The longest stall of the event loop is known, and forgotten after a minute."""

import asyncio
import time

from crypto_checkout.services.upkeep.loop_watch import LoopWatch
from tests.support.nodes import PausedClock
from tests.support.waiting import until


async def test_a_step_that_computes_too_long_is_noticed() -> None:
    watch = LoopWatch()
    running = asyncio.create_task(watch.run())
    try:
        await asyncio.sleep(0)  # its first heartbeat begins
        time.sleep(0.15)  # noqa: ASYNC251 - a step that keeps the loop from all others
        await until(lambda: watch.longest_seconds() >= 0.13, "notice the stall")
    finally:
        running.cancel()


def test_the_longest_stall_of_the_last_minute_counts() -> None:
    clock = PausedClock()
    watch = LoopWatch(clock)
    assert watch.longest_seconds() == 0
    for late in (0.001, 0.3, 0.002):
        watch.note(late)
    assert watch.longest_seconds() == 0.3
    for _ in range(50):
        clock.now += 1
        watch.note(0.01)
    assert watch.longest_seconds() == 0.3
    for _ in range(30):
        clock.now += 1
        watch.note(0.01)
    assert watch.longest_seconds() == 0.01, "what is older than a minute is over"
    clock.now += 100
    assert watch.longest_seconds() == 0
