"""Refunds over the API: made, listed and canceled, never for more than came, and never paid by a call."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto_checkout.core import ids
from crypto_checkout.core.owner.api_key import Scope
from tests.support.api import PRICE, App, Clock, error, listed, made, open_app

SESSIONS, REFUNDS, HELPERS = "/checkout_sessions", "/refunds", "/test_helpers"
# 30 USD are 0.01 ETH in test mode.
PAYER = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


@pytest.fixture
async def timed(tmp_path: Path) -> AsyncIterator[tuple[App, Clock]]:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        yield app, clock


async def paid_session(app: App, amount: str | None = None, *, blocks: int = 3, **fields: Any) -> str:
    session = await made(app.api, SESSIONS, {**PRICE, **fields})
    body = {} if amount is None else {"amount": amount}
    assert (await app.api.post(f"{HELPERS}{SESSIONS}/{session['id']}/pay", json=body)).status_code == 200
    await mine(app, blocks)
    return str(session["id"])


async def mine(app: App, blocks: int = 3) -> None:
    assert (await app.api.post(f"{HELPERS}/chain/mine", json={"blocks": blocks})).status_code == 200


async def show(app: App, path: str) -> dict[str, Any]:
    found: dict[str, Any] = (await app.api.get(path)).json()
    return found


async def types(app: App, resource_id: str) -> list[str]:
    return [event["type"] for event in (await listed(app.api, "/events", resourceId=resource_id))["data"]][::-1]


def refused(answer: httpx.Response) -> tuple[int, str, str | None]:
    found = error(answer)
    return answer.status_code, found["code"], found.get("param")


async def test_a_refund_is_made_without_an_address_and_waits_for_the_payers(app: App) -> None:
    session_id = await paid_session(app)
    refund = await made(app.api, REFUNDS, {"sessionId": session_id, "amount": "0.004", "reason": "Out of print"})
    assert ids.is_id(refund["id"], ids.REFUND)
    assert {**refund, "id": None, "createdAt": None, "updatedAt": None} == {
        "id": None,
        "object": "refund",
        "livemode": False,
        "sessionId": session_id,
        "chainId": 1337,
        "asset": "ETH",
        "amount": {"asset": "ETH", "units": "4000000000000000", "value": "0.004", "wei": "4000000000000000",
                   "eth": "0.004"},
        "reason": "Out of print",
        "destination": None,
        "proof": "none",
        "status": "awaiting_address",
        "txHash": None,
        "logIndex": None,
        "claimUrl": f"http://127.0.0.1:4020/checkout/{session_id}/refund",
        "paymentUri": None,
        "approvedAt": None,
        "paidAt": None,
        "createdAt": None,
        "updatedAt": None,
    }  # fmt: skip
    assert await show(app, f"{REFUNDS}/{refund['id']}") == refund
    assert await types(app, refund["id"]) == ["refund.created"]
    session = await show(app, f"{SESSIONS}/{session_id}")
    assert (session["refundable"]["value"], session["amountRefunded"]["value"]) == ("0.006", "0")
    assert session["status"] == "paid"


async def test_an_address_given_by_the_merchant_still_awaits_the_owners_approval(app: App) -> None:
    session_id = await paid_session(app)
    refund = await made(app.api, REFUNDS, {"sessionId": session_id, "destination": PAYER.lower()})
    assert (refund["destination"], refund["proof"], refund["status"]) == (PAYER, "merchant", "awaiting_approval")
    assert refund["amount"]["value"] == "0.01"
    assert refund["paymentUri"] is None
    assert await types(app, refund["id"]) == ["refund.created", "refund.address_given"]
    too_early = await app.api.post(f"{REFUNDS}/{refund['id']}/paid", json={"txHash": "0x" + "7e" * 32})
    assert refused(too_early) == (409, "refund_not_open", None)


async def test_refunds_never_exceed_what_came(app: App) -> None:
    session_id = await paid_session(app, "0.02")
    first = await made(app.api, REFUNDS, {"sessionId": session_id, "amount": "0.015"})
    too_much = await app.api.post(REFUNDS, json={"sessionId": session_id, "amount": "0.006"})
    assert refused(too_much) == (400, "invalid_body", "amount")
    assert "only 0.005 ETH" in error(too_much)["message"]
    await made(app.api, REFUNDS, {"sessionId": session_id})
    nothing = await app.api.post(REFUNDS, json={"sessionId": session_id})
    assert refused(nothing) == (400, "invalid_body", "amount")
    assert (await app.api.post(f"{REFUNDS}/{first['id']}/cancel")).json()["status"] == "canceled"
    assert (await show(app, f"{SESSIONS}/{session_id}"))["refundable"]["value"] == "0.015"
    assert await types(app, first["id"]) == ["refund.created", "refund.canceled"]
    again = await app.api.post(f"{REFUNDS}/{first['id']}/cancel")
    assert refused(again) == (409, "refund_not_open", None)


async def test_two_refunds_at_once_share_what_came(app: App) -> None:
    session_id = await paid_session(app)
    body = {"sessionId": session_id, "amount": "0.006"}
    answers = await asyncio.gather(*(app.api.post(REFUNDS, json=body) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 400, 400, 400, 400]


async def test_only_confirmed_money_is_refundable(timed: tuple[App, Clock]) -> None:
    app, _ = timed  # the simulated chain makes a block a second, by the clock
    session_id = await paid_session(app, blocks=1)
    assert (await show(app, f"{SESSIONS}/{session_id}"))["refundable"]["value"] == "0"
    early = await app.api.post(REFUNDS, json={"sessionId": session_id})
    assert refused(early) == (400, "invalid_body", "amount")
    await mine(app)
    assert (await show(app, f"{SESSIONS}/{session_id}"))["refundable"]["value"] == "0.01"


async def test_late_money_is_refundable_too(timed: tuple[App, Clock]) -> None:
    app, clock = timed
    session = await made(app.api, SESSIONS, PRICE)
    await app.api.post(f"{SESSIONS}/{session['id']}/expire")
    clock.move(seconds=5)
    await app.api.post(f"{HELPERS}{SESSIONS}/{session['id']}/pay")
    await mine(app)
    late = await show(app, f"{SESSIONS}/{session['id']}")
    assert (late["status"], late["amountReceived"]["value"], late["refundable"]["value"]) == ("expired", "0", "0.01")
    assert (await made(app.api, REFUNDS, {"sessionId": session["id"]}))["amount"]["value"] == "0.01"


async def test_money_in_another_coin_is_refunded_in_that_coin(app: App) -> None:
    session = await made(app.api, SESSIONS, PRICE)
    played = await app.api.post(f"{HELPERS}{SESSIONS}/{session['id']}/pay", json={"scenario": "wrong_token"})
    assert played.status_code == 200, played.text
    await mine(app)
    refund = await made(app.api, REFUNDS, {"sessionId": session["id"], "asset": "USDC"})
    assert refund["amount"]["asset"] == "USDC"
    assert int(refund["amount"]["units"]) > 0
    more = await app.api.post(REFUNDS, json={"sessionId": session["id"], "asset": "USDC", "amount": "0.000001"})
    assert refused(more) == (400, "invalid_body", "amount")
    unknown = await app.api.post(REFUNDS, json={"sessionId": session["id"], "asset": "DOGE"})
    assert refused(unknown) == (400, "unsupported_asset", "asset")


@pytest.mark.parametrize(
    ("destination", "reason"),
    [
        ("0x" + "00" * 20, "nobody has the key"),
        ("0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "checksum"),
        ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe", "40 hexadecimal digits"),
        ("0x00000000000000000000000000000000000005dc", "nobody has the key"),
    ],
)
async def test_an_address_that_loses_money_is_refused(app: App, destination: str, reason: str) -> None:
    session_id = await paid_session(app)
    answer = await app.api.post(REFUNDS, json={"sessionId": session_id, "destination": destination})
    assert refused(answer) == (400, "invalid_body", "destination")
    assert reason in error(answer)["message"]


async def test_our_own_addresses_get_no_refund(app: App) -> None:
    session_id = await paid_session(app)
    other = await made(app.api, SESSIONS, PRICE)
    answer = await app.api.post(REFUNDS, json={"sessionId": session_id, "destination": other["address"]})
    assert refused(answer) == (400, "invalid_body", "destination")
    assert "own addresses" in error(answer)["message"]


async def test_refunds_are_listed_by_status_and_session(app: App) -> None:
    first, second = await paid_session(app), await paid_session(app)
    one = await made(app.api, REFUNDS, {"sessionId": first})
    two = await made(app.api, REFUNDS, {"sessionId": second, "destination": PAYER})
    assert [each["id"] for each in (await listed(app.api, REFUNDS))["data"]] == [two["id"], one["id"]]
    assert [each["id"] for each in (await listed(app.api, REFUNDS, sessionId=first))["data"]] == [one["id"]]
    waiting = await listed(app.api, REFUNDS, status="awaiting_approval")
    assert [each["id"] for each in waiting["data"]] == [two["id"]]
    older = await listed(app.api, REFUNDS, starting_after=two["id"])
    assert [each["id"] for each in older["data"]] == [one["id"]]
    wrong = await app.api.get(REFUNDS, params={"status": "pending"})
    assert refused(wrong) == (400, "invalid_query", "status")


async def test_refunds_have_scopes_of_their_own(app: App) -> None:
    session_id = await paid_session(app)
    refund = await made(app.api, REFUNDS, {"sessionId": session_id})
    reader = await app.client(scopes=[Scope.REFUNDS_READ])
    assert (await reader.get(f"{REFUNDS}/{refund['id']}")).status_code == 200
    assert (await reader.post(REFUNDS, json={"sessionId": session_id})).status_code == 403
    assert (await reader.post(f"{REFUNDS}/{refund['id']}/cancel")).status_code == 403
    other = await app.client(scopes=[Scope.SESSIONS_READ, Scope.SESSIONS_WRITE])
    assert (await other.get(REFUNDS)).status_code == 403
    live = await app.client(livemode=True)
    assert refused(await live.get(f"{REFUNDS}/{refund['id']}")) == (404, "resource_not_found", None)
    assert refused(await live.post(REFUNDS, json={"sessionId": session_id})) == (404, "resource_not_found", None)


async def test_a_repeated_request_makes_one_refund(app: App) -> None:
    session_id = await paid_session(app)
    body, key = {"sessionId": session_id, "amount": "0.001"}, {"Idempotency-Key": "one"}
    first, second = [await app.api.post(REFUNDS, json=body, headers=key) for _ in range(2)]
    assert first.json() == second.json()
    assert second.headers["idempotent-replayed"] == "true"
    assert len((await listed(app.api, REFUNDS))["data"]) == 1


async def test_the_sandbox_pays_a_refund_and_a_reorg_takes_it_back_until_it_is_mined_again(app: App) -> None:
    session_id = await paid_session(app)
    made_one = await made(app.api, REFUNDS, {"sessionId": session_id, "amount": "0.004"})
    paid = await app.api.post(f"{HELPERS}{REFUNDS}/{made_one['id']}/pay", headers={"Idempotency-Key": "pay"})
    assert paid.status_code == 200, paid.text
    refund = paid.json()
    assert (refund["status"], refund["proof"]) == ("paid", "merchant")
    assert refund["txHash"] is not None
    assert refund["paymentUri"] is None
    again = await app.api.post(f"{HELPERS}{REFUNDS}/{made_one['id']}/pay")
    assert refused(again) == (409, "refund_not_open", None)
    session = await show(app, f"{SESSIONS}/{session_id}")
    assert (session["amountRefunded"]["value"], session["refundable"]["value"]) == ("0.004", "0.006")
    assert (await types(app, session_id))[-1] == "session.refunded"
    (event,) = (await listed(app.api, "/events", type="session.refunded"))["data"]
    assert event["data"]["amountRefunded"]["value"] == "0.004"
    assert await types(app, refund["id"]) == ["refund.created", "refund.approved", "refund.paid"]
    assert (await app.api.post(f"{HELPERS}/chain/reorg", json={"depth": 60})).status_code == 200
    assert "refund.reorged" in await types(app, refund["id"])


async def test_a_live_key_pays_no_refund(app: App) -> None:
    live = await app.client(livemode=True)
    assert (await live.post(f"{HELPERS}{REFUNDS}/ref_1/pay")).status_code == 403
