"""Loops: a turn at once, a pause, and no failure that ends them."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest
import structlog

from crypto_checkout.log import get_logger
from crypto_checkout.services.loops import Turn, every, not_cut_off, pause
from tests.support.waiting import WAIT_SECONDS

LONG = 3600.0


class Turns:
    """Counts turns; the first of them do as told, and the last one cancels the loop."""

    def __init__(self, *acts: Callable[[], float | None]) -> None:
        self._acts = acts
        self.taken = 0

    async def __call__(self) -> float | None:
        self.taken += 1
        if self.taken > len(self._acts):
            raise asyncio.CancelledError
        return self._acts[self.taken - 1]()


def fail() -> None:
    raise RuntimeError("the disk is full")


async def loop(seconds: float, turn: Turn, woken: asyncio.Event | None = None) -> None:
    with suppress(asyncio.CancelledError):
        async with asyncio.timeout(WAIT_SECONDS):
            await every(seconds, turn, log=get_logger("loops"), failure="a turn failed", woken=woken)


async def test_the_first_turn_is_taken_at_once() -> None:
    turns = Turns()
    await loop(LONG, turns)
    assert turns.taken == 1


async def test_turns_follow_each_other() -> None:
    turns = Turns(lambda: None, lambda: None)
    await loop(0, turns)
    assert turns.taken == 3


async def test_a_failed_turn_is_logged_with_its_traceback_and_ends_nothing() -> None:
    turns = Turns(fail)
    with structlog.testing.capture_logs() as lines:
        await loop(0, turns)
    assert turns.taken == 2
    assert lines == [{"event": "a turn failed", "error": "the disk is full", "log_level": "error", "exc_info": True}]


async def test_a_turn_may_shorten_the_pause_after_it() -> None:
    turns = Turns(lambda: 0.0)
    await loop(LONG, turns)
    assert turns.taken == 2


async def test_waking_the_loop_during_a_turn_starts_the_next_one_at_once() -> None:
    woken = asyncio.Event()
    turns = Turns(woken.set)
    await loop(LONG, turns, woken)
    assert turns.taken == 2


async def test_a_pause_ends_when_it_is_over_or_woken() -> None:
    woken = asyncio.Event()
    await pause(0, woken)
    asyncio.get_running_loop().call_soon(woken.set)
    async with asyncio.timeout(WAIT_SECONDS):
        await pause(LONG, woken)


async def test_a_loop_ends_even_where_its_turn_swallows_the_cancellation() -> None:
    began = asyncio.Event()

    async def turn() -> None:
        began.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    task = asyncio.create_task(loop(LONG, turn))
    await began.wait()
    task.cancel()
    ended, _ = await asyncio.wait([task], timeout=WAIT_SECONDS)
    task.cancel()
    assert ended == {task}


@pytest.mark.parametrize("takes_too_long", [False, True])
async def test_what_must_not_be_cut_off_ends_first_unless_it_takes_too_long(
    monkeypatch: pytest.MonkeyPatch, *, takes_too_long: bool
) -> None:
    monkeypatch.setattr("crypto_checkout.services.loops._LAST_SECONDS", 0.05 if takes_too_long else WAIT_SECONDS)
    began, go_on, ends = asyncio.Event(), asyncio.Event(), list[str]()

    async def work() -> None:
        try:
            began.set()
            await go_on.wait()
            ends.append("done")
        except asyncio.CancelledError:
            ends.append("cut off")
            raise

    task = asyncio.create_task(not_cut_off(work()))
    await began.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert not ends
    if not takes_too_long:
        go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ends == ["cut off" if takes_too_long else "done"]
