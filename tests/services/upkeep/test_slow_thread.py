"""Long work on a thread of its own: its result, its failure, and its end."""

import asyncio
import threading

import pytest

from crypto_checkout.services.upkeep import slow_thread
from crypto_checkout.services.upkeep.slow_thread import run_slowly
from tests.support.waiting import WAIT_SECONDS, until


async def test_a_result_and_a_failure_are_those_of_the_work() -> None:
    assert await run_slowly(lambda _: "done", "work") == "done"
    with pytest.raises(RuntimeError, match="broken"):
        await run_slowly(fail, "work")


def fail(_: threading.Event) -> None:
    raise RuntimeError("broken")


@pytest.mark.parametrize("fails", [False, True], ids=["ends well", "fails"])
async def test_cancelling_ends_the_work_and_waits_until_it_has_ended(*, fails: bool) -> None:
    loop, began, ended = asyncio.get_running_loop(), asyncio.Event(), list[bool]()

    def work(stop: threading.Event) -> None:
        loop.call_soon_threadsafe(began.set)
        assert stop.wait(WAIT_SECONDS)
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(WAIT_SECONDS)  # the loop goes on meanwhile
        ended.append(True)
        if fails:
            fail(stop)

    running = asyncio.create_task(run_slowly(work, "work"))
    await began.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended == [True]


async def test_work_that_does_not_end_is_left_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_thread, "_ENDS_WITHIN_SECONDS", 0.05)
    began, may_end = threading.Event(), threading.Event()

    def hang(_: threading.Event) -> None:
        began.set()
        may_end.wait(WAIT_SECONDS)

    running = asyncio.create_task(run_slowly(hang, "work"))
    await until(began.is_set, "begin")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    may_end.set()
