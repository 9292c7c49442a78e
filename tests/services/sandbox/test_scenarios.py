"""The scenarios of test mode, one call each, on the real application."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto_checkout.core.sandbox import Scenario
from crypto_checkout.http.api.table import table
from tests.support.api import App, Clock, error, listed, made, open_app

OPERATIONS = table()
SESSIONS, HELPERS = "/checkout_sessions", "/test_helpers"


@dataclass(frozen=True)
class Outcome:
    """The end of a session for 30 USD (0.01 ETH): its status, its events after its creation, and its payments.

    `received` is what counts in whole coins, `payments` how many transfers the session shows.
    """

    scenario: str
    status: str
    events: str
    received: str
    payments: int = 1
    reason: str | None = None
    asset: str = "ETH"

    def __str__(self) -> str:
        return f"{self.scenario} {self.asset}"


OUTCOMES = (
    Outcome("exact", "paid", "detected paid", "0.01"),
    Outcome("exact", "paid", "detected paid", "30", asset="USDC"),
    Outcome("underpaid", "underpaid", "underpaid", "0.005"),
    Outcome("overpaid", "overpaid", "detected overpaid", "0.02"),
    Outcome("late", "paid_late", "expired detected paid_late", "0.01"),
    Outcome("after_grace", "expired", "expired late_payment", "0"),
    Outcome("top_up", "paid", "underpaid detected paid", "0.01", payments=2),
    Outcome("reorged", "paid", "detected reorged detected paid", "0.01"),
    Outcome("reorged_after_paid", "failed", "detected paid reorged failed", "0", payments=0, reason="payment_reorged"),
    Outcome("internal", "paid", "detected paid", "0.01"),
    Outcome("wrong_token", "expired", "expired", "0", payments=0),
    Outcome("wrong_token", "expired", "expired", "0", payments=0, asset="USDC"),
    Outcome("two_in_one_tx", "paid", "detected paid", "0.01"),
    Outcome("two_in_one_tx", "paid", "detected paid", "30", payments=2, asset="USDC"),
)


@pytest.fixture(scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[App]:
    async with open_app(tmp_path_factory.mktemp("scenarios"), clock=Clock()) as opened:
        yield opened


async def ask(api: httpx.AsyncClient, asset: str = "ETH") -> dict[str, Any]:
    """Make a session."""
    return await made(api, SESSIONS, {"amount": {"value": "30.00", "currency": "USD"}, "asset": asset})


async def look(api: httpx.AsyncClient, session: dict[str, Any]) -> dict[str, Any]:
    """Return a session as it is now."""
    found: dict[str, Any] = (await api.get(f"{SESSIONS}/{session['id']}")).json()
    return found


async def help_with(api: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    """Call a test helper."""
    answer = await api.post(f"{HELPERS}{path}", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def pay(api: httpx.AsyncClient, session: dict[str, Any], **body: Any) -> dict[str, Any]:
    return await help_with(api, f"{SESSIONS}/{session['id']}/pay", **body)


async def refused(api: httpx.AsyncClient, session: dict[str, Any], **body: Any) -> tuple[int, str, str | None]:
    answer = await api.post(f"{HELPERS}{SESSIONS}/{session['id']}/pay", json=body)
    return answer.status_code, error(answer)["code"], error(answer).get("param")


async def events_of(api: httpx.AsyncClient, session: dict[str, Any]) -> str:
    """Return the types of a session's events after its creation, as in `Outcome`."""
    events = (await listed(api, "/events", resourceId=session["id"]))["data"][::-1]
    assert events[0]["type"] == "session.created"
    return " ".join(event["type"].removeprefix("session.") for event in events[1:])


async def check(api: httpx.AsyncClient, session: dict[str, Any], outcome: Outcome) -> None:
    """Check that a session has come to the end of its scenario."""
    assert await events_of(api, session) == outcome.events
    assert (session["status"], session["statusReason"]) == (outcome.status, outcome.reason)
    assert session["amountReceived"]["value"] == outcome.received
    assert len(session["payments"]) == outcome.payments
    assert len({payment["txHash"] for payment in session["payments"]}) == (
        1 if outcome.scenario == "two_in_one_tx" else outcome.payments
    )


def test_each_scenario_has_an_outcome() -> None:
    assert {outcome.scenario for outcome in OUTCOMES} == set(Scenario)


@pytest.mark.parametrize("outcome", OUTCOMES, ids=str)
async def test_a_scenario_is_driven_to_its_end_at_once(app: App, outcome: Outcome) -> None:
    session = await ask(app.api, outcome.asset)
    ended = await pay(app.api, session, scenario=outcome.scenario)
    assert ended == await look(app.api, session)
    await check(app.api, ended, outcome)


async def test_fifty_scenarios_at_once_end_as_one_does_alone_and_nobody_else_notices(app: App) -> None:
    api = app.api
    waiting, detected = await ask(api), await ask(api)
    detected = await pay(api, detected)
    tip = await help_with(api, "/chain/mine", blocks=2)
    paid = await look(api, detected)
    assert paid["status"] == "paid"
    outcomes = (OUTCOMES * 4)[:50]
    sessions = [await ask(api, outcome.asset) for outcome in outcomes]
    latest = sessions[-1]
    ended = await asyncio.gather(
        *(pay(api, session, scenario=outcome.scenario) for session, outcome in zip(sessions, outcomes, strict=True))
    )
    for session, outcome in zip(ended, outcomes, strict=True):
        await check(api, session, outcome)
        await check(api, await look(api, session), outcome)
    assert await look(api, waiting) == waiting
    assert await events_of(api, paid) == "detected paid"
    assert (await ask(api))["expiresAt"] == latest["expiresAt"], "nobody's time has passed"
    assert (await help_with(api, "/chain/mine", blocks=1))["blockNumber"] > tip["blockNumber"] + 100


async def test_an_outage_among_scenarios_stops_them_whole_or_not_at_all(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        outcomes = (OUTCOMES * 2)[:20]
        sessions = [await ask(app.api, outcome.asset) for outcome in outcomes]
        paths = [f"{HELPERS}{SESSIONS}/{session['id']}/pay" for session in sessions]
        calls = [
            app.api.post(path, json={"scenario": outcome.scenario})
            for path, outcome in zip(paths, outcomes, strict=True)
        ]
        calls.insert(7, app.api.post(f"{HELPERS}/chain/outage", json={"seconds": 60}))
        answers = await asyncio.gather(*calls)
        assert answers.pop(7).status_code == 200
        assert {answer.status_code for answer in answers} == {200, 409}
        refused = [each for each, answer in zip(sessions, answers, strict=True) if answer.status_code == 409]
        assert [await look(app.api, session) for session in refused] == refused
        clock.move(seconds=60)
        for session, outcome in zip(sessions, outcomes, strict=True):
            if session in refused:
                await pay(app.api, session, scenario=outcome.scenario)
            await check(app.api, await look(app.api, session), outcome)


async def test_a_restart_in_the_middle_changes_nothing(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        before = [(await ask(app.api, outcome.asset), outcome) for outcome in OUTCOMES]
        after = [(await ask(app.api, outcome.asset), outcome) for outcome in OUTCOMES]
        half = await pay(app.api, await ask(app.api), amount="0.004")
        for session, outcome in before:
            await pay(app.api, session, scenario=outcome.scenario)
    clock.move(seconds=30)
    async with open_app(tmp_path, clock=clock) as app:
        for session, outcome in after:
            await pay(app.api, session, scenario=outcome.scenario)
        for session, outcome in (*before, *after):
            await check(app.api, await look(app.api, session), outcome)
        half = await pay(app.api, half)
        assert (half["amountReceived"]["value"], len(half["payments"])) == ("0.01", 2)


async def test_a_scenario_begins_with_nothing_paid(app: App) -> None:
    session = await pay(app.api, await ask(app.api), amount="0.001")
    assert await refused(app.api, session, scenario="exact") == (409, "session_not_open", None)
    ended = await pay(app.api, await ask(app.api), scenario="underpaid")
    assert await refused(app.api, ended, scenario="exact") == (409, "session_not_open", None)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"scenario": "bankrupt"}, "scenario"),
        ({"scenario": "exact", "amount": "1"}, "scenario"),
        ({"scenario": "exact", "transfers": 2}, "scenario"),
        ({"kind": "cash"}, "kind"),
        ({"transfers": 0}, "transfers"),
        ({"transfers": 21}, "transfers"),
        ({"transfers": "2"}, "transfers"),
    ],
)
async def test_what_makes_no_sense_is_refused_by_name(app: App, body: dict[str, Any], param: str) -> None:
    assert await refused(app.api, await ask(app.api), **body) == (400, "invalid_body", param)


async def test_a_coin_does_not_move_as_a_token_and_a_token_not_as_a_coin(app: App) -> None:
    coin, token = await ask(app.api), await ask(app.api, "USDC")
    assert await refused(app.api, coin, kind="token") == (400, "unsupported_asset", "kind")
    for kind in ("native", "internal"):
        assert await refused(app.api, token, kind=kind) == (400, "unsupported_asset", "kind")
    assert await refused(app.api, token, scenario="internal") == (400, "unsupported_asset", "kind")


@pytest.mark.parametrize(("asset", "kind"), [("ETH", "native"), ("ETH", "internal"), ("USDC", "token")])
async def test_an_amount_can_come_in_parts_of_each_kind(app: App, asset: str, kind: str) -> None:
    session = await pay(app.api, await ask(app.api, asset), kind=kind, transfers=3)
    assert session["status"] == "detected"
    assert session["amountRemaining"]["units"] == "0"
    assert [payment["kind"] for payment in session["payments"]] == [kind] * 3
    assert len({payment["blockNumber"] for payment in session["payments"]}) == 3


# --- what happens to the chain ---------------------------------------------------------------------------------------


async def test_a_reorg_takes_payments_back_and_brings_them_again(tmp_path: Path) -> None:
    async with open_app(
        tmp_path, clock=Clock()
    ) as app:  # by the real time a slow machine has more blocks than asked for
        session = await pay(app.api, await ask(app.api))
        await help_with(app.api, "/chain/reorg", depth=3)
        again = await look(app.api, session)
        (before,), (after,) = session["payments"], again["payments"]
        assert before["txHash"] == after["txHash"]
        assert before["blockHash"] != after["blockHash"]
        assert again["status"] == "detected"
        assert await events_of(app.api, session) == "detected reorged detected"
        await help_with(app.api, "/chain/mine", blocks=3)
        assert (await look(app.api, session))["status"] == "paid"


async def test_a_reorg_reaches_no_further_than_the_chain_is_remembered(tmp_path: Path) -> None:
    async with open_app(tmp_path, clock=Clock()) as app:
        await help_with(app.api, "/chain/reorg", depth=1000)
        session = await pay(app.api, await ask(app.api))
        await help_with(app.api, "/chain/mine", blocks=5)
        await help_with(app.api, "/chain/reorg", depth=1000)
        assert await events_of(app.api, session) == "detected paid reorged failed paid"


async def test_nothing_expires_in_an_outage_and_what_was_paid_is_found_afterwards(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        paid, unpaid = await ask(app.api), await ask(app.api)
        await help_with(app.api, "/chain/outage", seconds=1200)
        assert (await pay(app.api, paid))["payments"] == []
        assert await refused(app.api, unpaid, scenario="exact") == (409, "session_not_open", None)
        clock.move(seconds=1199)
        await help_with(app.api, "/chain/mine", blocks=1)
        assert {(await look(app.api, each))["status"] for each in (paid, unpaid)} == {"pending"}
        clock.move(seconds=1)
        await help_with(app.api, "/chain/mine", blocks=1)
        assert [(await look(app.api, each))["status"] for each in (paid, unpaid)] == ["paid", "expired"]


async def test_sessions_expire_by_a_clock_that_is_put_forward(tmp_path: Path) -> None:
    async with open_app(tmp_path, clock=Clock()) as app:
        session = await ask(app.api)
        before = await help_with(app.api, "/chain/mine")
        await help_with(app.api, "/clock/advance", seconds=899)
        assert (await look(app.api, session))["status"] == "pending"
        after = await help_with(app.api, "/clock/advance", seconds=1)
        assert (await look(app.api, session))["status"] == "expired"
        assert after["blockNumber"] == before["blockNumber"] + 2
        assert (await ask(app.api))["expiresAt"] > session["expiresAt"]


async def test_without_prices_nothing_is_sold_and_what_was_sold_is_paid(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        session = await ask(app.api)
        await help_with(app.api, "/prices/outage", seconds=60)
    clock.move(seconds=59)
    async with open_app(tmp_path, clock=clock) as app:
        refused = await app.api.post(SESSIONS, json={"amount": {"value": "30.00", "currency": "USD"}})
        assert (refused.status_code, error(refused)["code"]) == (503, "price_unavailable")
        assert (await pay(app.api, session, scenario="exact"))["status"] == "paid"
        clock.move(seconds=1)
        await ask(app.api)


HELPER_CALLS = ("/chain/mine", "/chain/reorg", "/chain/outage", "/prices/outage", "/clock/advance")


@pytest.mark.parametrize("path", HELPER_CALLS)
@pytest.mark.parametrize("value", [0, -1, 10**9, "5", 1.5, True])
async def test_a_step_is_a_whole_number_within_bounds(app: App, path: str, value: object) -> None:
    name = {"/chain/mine": "blocks", "/chain/reorg": "depth"}.get(path, "seconds")
    answer = await app.api.post(HELPERS + path, json={name: value})
    assert (answer.status_code, error(answer)["param"]) == (400, name)


def test_every_helper_is_for_test_mode_only() -> None:
    assert {each.path for each in OPERATIONS if each.test_mode_only} == {f"{HELPERS}{path}" for path in (
        *HELPER_CALLS, *(f"{SESSIONS}/{{id}}/{what}" for what in ("answer", "collect", "pay")), "/refunds/{id}/pay"
    )}  # fmt: skip
    assert all(each.test_mode_only for each in OPERATIONS if each.path.startswith(HELPERS))


async def test_a_live_key_drives_nothing(app: App) -> None:
    live = await app.client(livemode=True)
    session = await ask(app.api)
    before = await help_with(app.api, "/chain/mine", blocks=1)
    for operation in (each for each in OPERATIONS if each.test_mode_only):
        for body in (operation.sent, {}, None):
            answer = await live.post(operation.path.format(id=session["id"]), json=body)
            assert (answer.status_code, error(answer)["code"]) == (403, "insufficient_scope")
    assert await look(app.api, session) == session
    assert (await help_with(app.api, "/chain/mine", blocks=1))["blockNumber"] == before["blockNumber"] + 1


# --- what it costs ---------------------------------------------------------------------------------------------------


async def test_a_payment_writes_one_transaction_however_many_are_stored(app: App) -> None:
    sizes = []
    for _ in range(2):
        for _ in range(3):
            await pay(app.api, await ask(app.api), scenario="exact")
        sizes.append(await app.opened.db.read(_stored))
    (state, before), (same_state, after) = sizes
    assert after == before + 3
    assert same_state < state + 300


def _stored(unit: Any) -> tuple[int, int]:
    state = unit.one("SELECT LENGTH(state) AS size FROM sandbox")["size"]
    return state, unit.one("SELECT COUNT(*) AS number FROM sandbox_transactions")["number"]


async def test_an_idle_sandbox_writes_nothing(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        (watcher,) = app.opened.watchers
        await pay(app.api, await ask(app.api), scenario="exact")

        def version(unit: Any) -> int:
            return int(unit.one("SELECT SUM(seq) + (SELECT number FROM chain_cursors) AS at FROM events")["at"])

        before = await app.opened.db.read(version)
        for _ in range(20):
            clock.move(seconds=60)
            while await watcher.turn():
                pass
        assert await app.opened.db.read(version) == before


# --- the payer's page ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scenario", "status"),
    [("underpaid", "underpaid"), ("overpaid", "overpaid"), ("late", "paid_late"), ("reorged", "paid")],
)
async def test_the_page_of_a_test_session_offers_scenarios(app: App, scenario: str, status: str) -> None:
    session = await ask(app.api)
    page = f"http://shop.example/checkout/{session['id']}"
    shown = (await app.api.get(page)).text
    assert f'name="scenario" value="{scenario}"' in shown
    answer = await app.api.post(f"{page}/test/pay", data={"scenario": scenario})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/checkout/{session['id']}")
    assert (await look(app.api, session))["status"] == status


async def test_the_page_pays_the_exact_amount_and_passes_over_what_it_does_not_know(app: App) -> None:
    for form in ({}, {"scenario": ""}, {"scenario": "bankrupt"}):
        session = await ask(app.api)
        answer = await app.api.post(f"http://shop.example/checkout/{session['id']}/test/pay", data=form)
        assert answer.status_code == 303
        assert (await look(app.api, session))["status"] == "detected"
