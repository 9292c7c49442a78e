"""A test helper that was killed in the middle goes on where it was, when its request comes again.

A trigger of SQLite stands in for the power cut: it undoes the unit that takes a step, or stores the answer.
"""

import random
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.services.sandbox.test_scenarios import HELPERS, OUTCOMES, SESSIONS, Outcome, ask, check, events_of, look
from tests.support.api import App, Clock, error, listed, made, open_app
from tests.support.server import Server

KILLS = 4
AT_THE_ANSWER = "BEFORE INSERT ON idempotency_keys"


def at_step(number: int) -> str:
    return f"BEFORE INSERT ON sandbox_requests WHEN NEW.steps = {number}"


@contextmanager
def power_cut(folder: Path, when: str) -> Iterator[None]:
    """Have the database take nothing at a moment."""
    with closing(sqlite3.connect(folder / "checkout.db", isolation_level=None)) as connection:
        connection.execute(f"CREATE TRIGGER power_cut {when} BEGIN SELECT RAISE(ABORT, 'power cut'); END")
        try:
            yield
        finally:
            connection.execute("DROP TRIGGER power_cut")


async def post(api: httpx.AsyncClient, path: str, name: str, body: dict[str, Any]) -> httpx.Response:
    return await api.post(f"{HELPERS}{path}", json=body, headers={"Idempotency-Key": name})


async def killed(api: httpx.AsyncClient, folder: Path, when: str, path: str, body: dict[str, Any], name: str) -> bool:
    """Send a request that is killed at a moment; tell whether the moment came."""
    with power_cut(folder, when):
        answer = await post(api, path, name, body)
    assert answer.status_code in {200, 500}, answer.text
    return answer.status_code == 500


async def left(app: App) -> int:
    """Return how many requests are still noted."""
    return int(await app.opened.db.read(lambda unit: unit.one("SELECT COUNT(*) AS n FROM sandbox_requests")["n"]))  # type: ignore[index]  # a count has one row


@pytest.mark.parametrize("outcome", [each for each in OUTCOMES if each.asset == "ETH"], ids=str)
async def test_a_scenario_that_was_killed_at_any_step_ends_as_the_others(tmp_path: Path, outcome: Outcome) -> None:
    async with open_app(tmp_path, clock=Clock()) as app:
        for moment in count():
            session = await ask(app.api, outcome.asset)
            path, body = f"{SESSIONS}/{session['id']}/pay", {"scenario": outcome.scenario}
            when = at_step(moment) if moment else AT_THE_ANSWER
            if not await killed(app.api, tmp_path, when, path, body, session["id"]):
                break
            answer = await post(app.api, path, session["id"], body)
            assert answer.status_code == 200, answer.text
            await check(app.api, answer.json(), outcome)
            again = await post(app.api, path, session["id"], body)
            assert (again.json(), again.headers["Idempotent-Replayed"]) == (answer.json(), "true")
        assert moment > 2
        assert await left(app) == 0


async def test_it_goes_on_after_a_restart(tmp_path: Path) -> None:
    clock = Clock()
    outcome = next(each for each in OUTCOMES if each.scenario == "reorged")
    body = {"scenario": "reorged"}
    for step in (1, 2, 3, 4):
        async with open_app(tmp_path, clock=clock) as app:
            key = app.api.headers["Authorization"]
            session = await ask(app.api)
            path = f"{SESSIONS}/{session['id']}/pay"
            assert await killed(app.api, tmp_path, at_step(step), path, body, "same")
        async with open_app(tmp_path, clock=clock) as app:
            answer = await post(await app.anybody(key), path, "same", body)
            await check(app.api, answer.json(), outcome)


async def test_it_reorganises_nobody_else_s_payment(tmp_path: Path) -> None:
    async with open_app(tmp_path, clock=Clock()) as app:
        session, other = await ask(app.api), await ask(app.api)
        path, body = f"{SESSIONS}/{session['id']}/pay", {"scenario": "reorged_after_paid"}
        assert await killed(app.api, tmp_path, at_step(3), path, body, "one")
        await app.api.post(f"{HELPERS}{SESSIONS}/{other['id']}/pay", json={"scenario": "exact"})
        refused = await post(app.api, path, "one", body)
        assert (refused.status_code, error(refused)["code"]) == (409, "session_not_open")
        assert await events_of(app.api, other) == "detected paid"
        assert (await look(app.api, session))["status"] == "paid"


async def test_it_reorganises_nothing_that_is_too_old(tmp_path: Path) -> None:
    async with open_app(tmp_path, clock=Clock()) as app:
        session = await ask(app.api)
        path, body = f"{SESSIONS}/{session['id']}/pay", {"scenario": "reorged_after_paid"}
        assert await killed(app.api, tmp_path, at_step(3), path, body, "one")
        for _ in range(2):
            await app.api.post(f"{HELPERS}/chain/mine", json={"blocks": 1000})
        assert (await post(app.api, path, "one", body)).status_code == 409
        assert (await look(app.api, session))["status"] == "paid"


@pytest.mark.parametrize(
    ("path", "body"),
    [("/chain/mine", {"blocks": 7}), ("/chain/reorg", {"depth": 1}), ("/clock/advance", {"seconds": 100})],
)
async def test_the_chain_moves_once(tmp_path: Path, path: str, body: dict[str, Any]) -> None:
    async with open_app(tmp_path, clock=Clock()) as app:
        before = (await app.api.post(f"{HELPERS}/chain/mine")).json()["blockNumber"]
        assert await killed(app.api, tmp_path, AT_THE_ANSWER, path, body, "one")
        answer = await post(app.api, path, "one", body)
        assert answer.json()["blockNumber"] == before + body.get("blocks", 1)
        state = await app.opened.db.read(lambda unit: unit.one("SELECT state FROM sandbox"))
        assert state is not None
        assert f'"seconds_ahead": {body.get("seconds", 0)},' in state["state"]
        assert (await post(app.api, path, "one", body)).headers["Idempotent-Replayed"] == "true"


async def test_another_request_with_the_same_key_is_another(tmp_path: Path) -> None:
    async with open_app(tmp_path, clock=Clock()) as app:
        session = await made(app.api, SESSIONS, {"amount": {"value": "30.00", "currency": "USD"}})
        path = f"{SESSIONS}/{session['id']}/pay"
        assert await killed(app.api, tmp_path, AT_THE_ANSWER, path, {"amount": "0.001"}, "one")
        assert (await post(app.api, path, "one", {"amount": "0.002"})).json()["amountReceived"]["value"] == "0.003"


def test_a_payment_is_made_once_however_often_the_server_is_killed(tmp_path: Path) -> None:
    dice = random.Random(20261123)
    server = Server(tmp_path)
    key = server.key
    session = server.api.post("/checkout_sessions", json={"amount": {"value": "30.00", "currency": "USD"}}).json()
    path, done = f"{HELPERS}{SESSIONS}/{session['id']}/pay", 0

    def pay(name: str) -> int:
        with server.client(key) as api:
            body = {"amount": "0.0001"}
            return api.post(path, json=body, headers={"Idempotency-Key": name}).status_code

    for number in range(KILLS):
        name = f"payment-{number}"
        threading.Timer(dice.uniform(0, 0.06), server.process.kill).start()
        with suppress(httpx.TransportError):
            for each in count():
                pay(f"{name}-{each}")
                done += 1
        server.kill()
        server = Server(tmp_path)
        with suppress(httpx.TransportError):
            assert pay(f"{name}-{each}") == 200
            done += 1
    with server:
        paid = server.client(key).get(f"/checkout_sessions/{session['id']}").json()
    assert len({payment["txHash"] for payment in paid["payments"]}) == len(paid["payments"]) == done


async def test_nothing_is_noted_without_an_idempotency_key(tmp_path: Path) -> None:
    async with open_app(tmp_path, clock=Clock()) as app:
        session = await ask(app.api)
        with power_cut(tmp_path, "BEFORE INSERT ON sandbox_requests"):
            answer = await app.api.post(f"{HELPERS}{SESSIONS}/{session['id']}/pay", json={})
        assert answer.status_code == 200
        assert (await listed(app.api, "/events", resourceId=session["id"]))["data"]
