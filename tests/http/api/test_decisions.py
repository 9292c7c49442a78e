"""The merchant's decisions about a session: close one that waits, accept one that isn't exactly paid."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import PRICE, App, Clock, error, listed, made, open_app

SESSIONS = "/checkout_sessions"
HELPERS = "/test_helpers"
# 30 USD are 0.01 ETH in test mode.
LESS, MORE = "0.004", "0.02"


@pytest.fixture
async def timed(tmp_path: Path) -> AsyncIterator[tuple[App, Clock]]:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        yield app, clock


async def new(app: App, **fields: Any) -> str:
    return str((await made(app.api, SESSIONS, {**PRICE, **fields}))["id"])


async def pay(app: App, session_id: str, amount: str | None = None) -> None:
    answer = await app.api.post(
        f"{HELPERS}{SESSIONS}/{session_id}/pay", json={} if amount is None else {"amount": amount}
    )
    assert answer.status_code == 200, answer.text


async def mine(app: App, blocks: int = 3) -> None:
    assert (await app.api.post(f"{HELPERS}/chain/mine", json={"blocks": blocks})).status_code == 200


async def show(app: App, session_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await app.api.get(f"{SESSIONS}/{session_id}")).json()
    return found


async def types(app: App, session_id: str) -> list[str]:
    events = (await listed(app.api, "/events", resourceId=session_id))["data"]
    return [event["type"].removeprefix("session.") for event in events][::-1]


async def test_a_pending_session_is_closed_and_says_who_did_it(timed: tuple[App, Clock]) -> None:
    app, clock = timed
    session_id = await new(app)
    clock.move(seconds=10)
    answer = await app.api.post(f"{SESSIONS}/{session_id}/expire")
    assert answer.status_code == 200
    closed = answer.json()
    assert (closed["status"], closed["statusReason"]) == ("expired", "closed")
    assert await show(app, session_id) == closed
    assert closed["expiresAt"] <= closed["updatedAt"]
    assert await types(app, session_id) == ["created", "expired"]
    (_, event) = (await listed(app.api, "/events", resourceId=session_id))["data"][::-1]
    assert event["data"] == closed


async def test_money_for_a_closed_session_is_late_and_can_be_accepted(timed: tuple[App, Clock]) -> None:
    app, clock = timed
    session_id = await new(app, customerEmail="ada@example.com")
    await app.api.post(f"{SESSIONS}/{session_id}/expire")
    clock.move(seconds=5)
    await pay(app, session_id)
    await mine(app)
    late = await show(app, session_id)
    assert late["status"] == "expired"
    assert [payment["counted"] for payment in late["payments"]] == [False]
    accepted = (await app.api.post(f"{SESSIONS}/{session_id}/accept")).json()
    assert (accepted["status"], accepted["statusReason"]) == ("paid", "accepted")
    assert accepted["paidAt"] is not None
    assert (await types(app, session_id))[-1] == "paid"


async def test_an_underpaid_session_can_be_closed(timed: tuple[App, Clock]) -> None:
    app, _ = timed
    session_id = await new(app)
    await pay(app, session_id, LESS)
    await mine(app)
    assert (await show(app, session_id))["status"] == "underpaid"
    closed = (await app.api.post(f"{SESSIONS}/{session_id}/expire")).json()
    assert (closed["status"], closed["statusReason"]) == ("expired", "closed")


@pytest.mark.parametrize(("amount", "before"), [(LESS, "underpaid"), (MORE, "overpaid")])
async def test_what_is_not_exact_is_accepted_as_it_is(timed: tuple[App, Clock], amount: str, before: str) -> None:
    app, _ = timed
    session_id = await new(app, customerEmail="Ada@Example.com")
    await pay(app, session_id, amount)
    await mine(app)
    assert (await show(app, session_id))["status"] == before
    answer = await app.api.post(f"{SESSIONS}/{session_id}/accept")
    accepted = answer.json()
    assert (accepted["status"], accepted["statusReason"]) == ("paid", "accepted")
    assert accepted["amountReceived"]["value"] == amount
    await mine(app, 20)
    assert {**await show(app, session_id), "confirmations": 0, "payments": []} == {
        **accepted, "confirmations": 0, "payments": []
    }  # fmt: skip
    assert (await types(app, session_id))[-1] == "paid"
    page = (await app.api.get("/customers")).json()
    assert [customer["email"] for customer in page["data"]] == ["Ada@Example.com"]


async def test_a_late_payment_in_grace_is_accepted(timed: tuple[App, Clock]) -> None:
    app, _ = timed
    session_id = await new(app, expiresInSeconds=60)
    await mine(app, 70)
    await pay(app, session_id)
    await mine(app)
    assert (await show(app, session_id))["status"] == "paid_late"
    accepted = (await app.api.post(f"{SESSIONS}/{session_id}/accept")).json()
    assert accepted["status"] == "paid"


async def test_nothing_is_accepted_that_has_not_arrived(timed: tuple[App, Clock]) -> None:
    app, _ = timed
    waiting, shallow, expired = await new(app), await new(app), await new(app)
    await app.api.post(f"{SESSIONS}/{expired}/expire")
    await pay(app, shallow, LESS)
    for session_id in (waiting, shallow, expired):
        before = await show(app, session_id)
        answer = await app.api.post(f"{SESSIONS}/{session_id}/accept")
        assert (answer.status_code, error(answer)["code"]) == (409, "session_not_open")
        assert await show(app, session_id) == before


@pytest.mark.parametrize("action", ["expire", "accept"])
async def test_a_paid_session_is_neither_closed_nor_accepted_again(timed: tuple[App, Clock], action: str) -> None:
    app, _ = timed
    session_id = await new(app)
    await pay(app, session_id)
    assert error(await app.api.post(f"{SESSIONS}/{session_id}/{action}"))["code"] == "session_not_open"
    await mine(app)
    paid = await show(app, session_id)
    assert paid["status"] == "paid"
    answer = await app.api.post(f"{SESSIONS}/{session_id}/{action}")
    assert (answer.status_code, error(answer)["code"]) == (409, "session_not_open")
    assert await show(app, session_id) == paid


async def test_closing_twice_with_one_idempotency_key_is_closing_once(timed: tuple[App, Clock]) -> None:
    app, _ = timed
    session_id = await new(app)
    path, headers = f"{SESSIONS}/{session_id}/expire", {"Idempotency-Key": "close"}
    first, second = [await app.api.post(path, headers=headers) for _ in range(2)]
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert second.headers["idempotent-replayed"] == "true"
    assert await types(app, session_id) == ["created", "expired"]
    refused, again = [await app.api.post(path, headers={"Idempotency-Key": "again"}) for _ in range(2)]
    assert refused.status_code == again.status_code == 409
    assert again.headers["idempotent-replayed"] == "true"
    assert error(again) == error(refused)
