"""The simulated chain stays small: what is old and settled is forgotten, and nothing of a session is lost by it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from crypto_checkout.services.sandbox.pruning import needed
from tests.services.sandbox.test_scenarios import OUTCOMES, check, events_of, help_with, look, pay
from tests.services.sandbox.test_scenarios import ask as ask_for
from tests.support.api import App, Clock, open_app
from tests.support.waiting import until


async def stored(app: App) -> int:
    """Return how many transactions are kept."""
    return int(await app.opened.db.read(lambda unit: unit.one("SELECT COUNT(*) AS n FROM sandbox_transactions")["n"]))  # type: ignore[index]  # a count has one row


async def some_hours(app: App, clock: Clock) -> None:
    """Let time pass in which nobody pays, and have it processed."""
    for _ in range(8):
        clock.move(hours=1)
        await help_with(app.api, "/chain/mine", blocks=1)


def has(app: App, number: int) -> Callable[[], Any]:
    async def is_so() -> bool:
        return await stored(app) == number

    return is_so


async def test_old_transactions_are_forgotten_and_their_sessions_are_not(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        sessions = [(await ask_for(app.api, outcome.asset), outcome) for outcome in OUTCOMES]
        for session, outcome in sessions:
            await pay(app.api, session, scenario=outcome.scenario)
        before = [await look(app.api, session) for session, _ in sessions]
        assert await stored(app) > len(OUTCOMES) - 1
        await some_hours(app, clock)
    async with open_app(tmp_path, clock=clock) as app:
        assert await app.opened.db.read(needed) == []
        await until(has(app, 0), "the clean-up")
        for (session, outcome), was in zip(sessions, before, strict=True):
            now = await look(app.api, session)
            await check(app.api, now, outcome)
            assert [each["txHash"] for each in now["payments"]] == [each["txHash"] for each in was["payments"]]
        await a_late_payment_is_still_seen(app, next(s for s, o in sessions if o.scenario == "wrong_token"))
        await a_late_payment_is_still_seen(app, next(s for s, o in sessions if o.scenario == "after_grace"))


async def a_late_payment_is_still_seen(app: App, session: dict[str, Any]) -> None:
    before = await look(app.api, session)
    await pay(app.api, session, amount="0.001")
    await help_with(app.api, "/chain/mine", blocks=3)
    after = await look(app.api, session)
    assert len(after["payments"]) == len(before["payments"]) + 1
    assert after["payments"][-1]["counted"] is False
    assert (await events_of(app.api, session)).endswith("late_payment")


async def test_what_may_still_be_asked_for_is_kept(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        session = await ask_for(app.api)
        await pay(app.api, session, amount="0.004", kind="internal")
        await help_with(app.api, "/chain/mine", blocks=1000)
        await help_with(app.api, "/chain/mine", blocks=1000)
        assert (await look(app.api, session))["status"] == "underpaid"
    async with open_app(tmp_path, clock=clock) as app:
        assert len(await app.opened.db.read(needed)) == 1, "its balance is still compared"
        await pay(app.api, session, kind="internal")
        await help_with(app.api, "/chain/mine", blocks=3)
        after = await look(app.api, session)
        assert [each["kind"] for each in after["payments"]] == ["internal", "internal"]
        assert after["amountReceived"]["value"] == "0.01"


async def test_a_reorg_after_a_clean_up_brings_back_what_it_must(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        await pay(app.api, await ask_for(app.api), scenario="exact")
        await some_hours(app, clock)
        session = await pay(app.api, await ask_for(app.api), scenario="exact")
    async with open_app(tmp_path, clock=clock) as app:
        await until(has(app, 1), "the clean-up")
        await help_with(app.api, "/chain/reorg", depth=1000)
        assert (await events_of(app.api, session)).startswith("detected paid reorged failed")
        assert (await look(app.api, session))["status"] == "paid"


async def test_a_reorg_over_a_step_of_the_clock_finds_what_was_watched_before_it(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        session = await pay(app.api, await ask_for(app.api), kind="internal")
        for _ in range(2):
            await help_with(app.api, "/chain/mine", blocks=1000)
        await help_with(app.api, "/clock/advance", seconds=86_400)
        before = await look(app.api, session)
    async with open_app(tmp_path, clock=clock) as app:
        assert len(await app.opened.db.read(needed)) == 1
        await help_with(app.api, "/chain/reorg", depth=900)
        assert (await look(app.api, session))["payments"][0]["blockHash"] == before["payments"][0]["blockHash"]
        other = await pay(app.api, await ask_for(app.api), kind="internal")
        assert other["status"] == "detected"
