"""Refunds in the dashboard: an address is approved after the password, and paying is followed to its end."""

import re
from pathlib import Path
from typing import Any

from tests.support.api import PRICE, App, Clock, listed, made, open_app
from tests.support.dashboard import PASSWORD, signed_in

SESSIONS, HELPERS = "/checkout_sessions", "/test_helpers"
MINE = "0x00000000000000000000000000000000000deCAf"
THEIRS = "0x000000000000000000000000000000000BaD0BAD"


async def overpaid(app: App) -> str:
    session = await made(app.api, SESSIONS, PRICE)
    await app.api.post(f"{HELPERS}{SESSIONS}/{session['id']}/pay", json={"amount": "0.02"})
    await app.api.post(f"{HELPERS}/chain/mine", json={"blocks": 3})
    return str(session["id"])


async def claimed(app: App, *addresses: str) -> dict[str, Any]:
    """Return a refund for which a payer gave addresses."""
    session_id = await overpaid(app)
    client = await signed_in(app)
    key = "1337:"
    for address in addresses:
        await client.post(f"http://shop.example/checkout/{session_id}/refund", data={"item": key, "address": address})
        (refund,) = (await listed(app.api, "/refunds", sessionId=session_id))["data"]
        key = refund["id"]
    return dict(refund)


async def test_an_address_is_approved_only_with_the_password(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        await approve_with_the_password(app, clock)


async def approve_with_the_password(app: App, clock: Clock) -> None:
    refund, client = await claimed(app, THEIRS, MINE), await signed_in(app)
    clock.move(minutes=11)  # the password was entered a while ago
    path = f"/test/refunds/{refund['id']}"
    page = (await client.get(path)).text
    assert "Several addresses were given" in page
    assert page.count("unproven") >= 2
    form = {"choice": f"none {MINE.lower()}"}
    asked = await client.post(f"{path}/approve", data=form)
    assert asked.status_code == 403
    assert "Confirm your password" in asked.text
    assert (await app.api.get(f"/refunds/{refund['id']}")).json()["status"] == "awaiting_approval"
    done = await client.post(f"{path}/approve", data={**form, "current_password": PASSWORD})
    assert done.status_code == 303, done.text
    shown = (await app.api.get(f"/refunds/{refund['id']}")).json()
    assert (shown["status"], shown["destination"], shown["proof"]) == ("to_pay", MINE, "none")
    page = (await client.get(path)).text
    assert "Never send real money for a test" in page
    assert shown["paymentUri"] not in page
    assert (await client.post(f"{path}/test-pay")).status_code == 303
    assert (await app.api.get(f"/refunds/{refund['id']}")).json()["status"] == "paid"
    trail = (await client.get("/test/settings/trail")).text
    assert "refund.approved" in trail


async def test_only_an_address_that_was_given_or_typed_is_approved(app: App) -> None:
    refund, client = await claimed(app, MINE), await signed_in(app)
    path = f"/test/refunds/{refund['id']}/approve"
    confirmed = {"current_password": PASSWORD}
    assert (await client.post(path, data={"choice": f"none {THEIRS.lower()}", **confirmed})).status_code == 400
    assert (await client.post(path, data={"choice": f"signature {MINE.lower()}"})).status_code == 400
    wrong = await client.post(path, data={"choice": "own", "destination": "0x" + "00" * 20})
    assert "nobody has the key" in wrong.text.lower()
    assert (await client.post(path, data={"choice": "own", "destination": THEIRS})).status_code == 303
    shown = (await app.api.get(f"/refunds/{refund['id']}")).json()
    assert (shown["destination"], shown["proof"]) == (THEIRS, "merchant")


async def test_what_is_to_pay_is_listed_and_comes_as_a_file_for_safe(app: App) -> None:
    client, refunds = await signed_in(app), [await claimed(app, MINE), await claimed(app, THEIRS)]
    assert (await client.get("/test/refunds/safe/1337")).status_code == 404
    for refund in refunds:
        form = {"choice": f"none {refund['destination'].lower()}", "current_password": PASSWORD}
        await client.post(f"/test/refunds/{refund['id']}/approve", data=form)
    page = (await client.get("/test/refunds")).text
    assert "2 to pay" in page
    csv = await client.get("/test/refunds/safe/1337")
    assert csv.headers["content-type"].startswith("text/csv")
    assert csv.text == (
        "token_type,token_address,receiver,amount,id\n"
        f"native,,{MINE},0.01,\n"
        f"native,,{THEIRS},0.01,\n"
    )  # fmt: skip
    waiting = (await client.get("/test/refunds", params={"status": "awaiting_approval"})).text
    assert refunds[0]["id"] not in waiting


async def test_a_refund_is_made_paid_and_canceled_by_forms(app: App) -> None:
    session_id, client = await overpaid(app), await signed_in(app)
    assert f"/refunds/new?session={session_id}" in (await client.get(f"/test/payments/{session_id}")).text
    form = {"session": session_id, "asset": "ETH@1337", "amount": "0.5", "destination": "", "reason": "Broken"}
    refused = await client.post("/test/refunds/new", data=form)
    assert (refused.status_code, "can still be refunded" in refused.text) == (400, True)
    made_one = await client.post("/test/refunds/new", data={**form, "amount": "0.004"})
    assert made_one.status_code == 303
    (refund,) = (await listed(app.api, "/refunds"))["data"]
    assert (refund["amount"]["value"], refund["reason"], refund["status"]) == ("0.004", "Broken", "awaiting_address")
    path = f"/test/refunds/{refund['id']}"
    assert refund["claimUrl"] in (await client.get(path)).text
    assert f'href="/dashboard{path}"' in (await client.get(f"/test/payments/{session_id}")).text
    assert (await client.post(f"{path}/cancel")).status_code == 303
    assert (await app.api.get(f"/refunds/{refund['id']}")).json()["status"] == "canceled"
    other = await made(app.api, "/refunds", {"sessionId": session_id, "destination": MINE})
    path = f"/test/refunds/{other['id']}"
    await client.post(f"{path}/approve", data={"choice": "own", "destination": MINE, "current_password": PASSWORD})
    assert (await client.post(f"{path}/paid", data={"tx_hash": "0x12"})).status_code == 400
    assert (await client.post(f"{path}/paid", data={"tx_hash": "0x" + "7e" * 32})).status_code == 303
    assert "Waiting for the transaction" in (await client.get(path)).text
    canceled = await client.post(f"{path}/cancel")
    assert canceled.status_code == 303
    assert (await app.api.get(f"/refunds/{other['id']}")).json()["status"] == "to_pay", "it may still be paid"


async def test_nobody_else_sees_refunds(app: App) -> None:
    refund, client = await claimed(app, MINE), await signed_in(app)
    client.cookies.clear()
    for path in ("/test/refunds", f"/test/refunds/{refund['id']}", "/test/refunds/safe/1337"):
        answer = await client.get(path)
        assert answer.status_code == 303
        assert re.search("sign-in", answer.headers["location"])


async def test_what_was_paid_back_is_taken_off_the_revenue_and_has_a_file(app: App) -> None:
    client = await signed_in(app)
    session = await made(app.api, SESSIONS, {**PRICE, "customerEmail": "ada@example.com"})
    await app.api.post(f"{HELPERS}{SESSIONS}/{session['id']}/pay")
    await app.api.post(f"{HELPERS}/chain/mine", json={"blocks": 3})
    refund = await made(app.api, "/refunds", {"sessionId": session["id"], "amount": "0.004", "reason": "=1+1"})
    await made(app.api, "/refunds", {"sessionId": session["id"], "amount": "0.001"})
    assert "refunded," not in (await client.get("/test")).text
    assert (await client.get("/test/exports/refunds")).text.count("\n") == 1, "only paid ones are money"
    paid = (await app.api.post(f"{HELPERS}/refunds/{refund['id']}/pay")).json()
    assert "12.00 USD refunded, 18.00 USD net." in (await client.get("/test")).text
    (row,) = (await client.get("/test/exports/refunds", params={"format": "json"})).json()
    assert {name: row[name] for name in ("refundId", "sessionId", "amount", "fiatAmount", "netFiatAmount")} == {
        "refundId": refund["id"],
        "sessionId": session["id"],
        "amount": "0.004",
        "fiatAmount": "12.00",
        "netFiatAmount": "-12.00",
    }
    assert (row["transaction"], row["time"]) == (paid["txHash"], paid["paidAt"])
    assert '"\'=1+1"' in (await client.get("/test/exports/refunds")).text
    assert (await client.get("/test/exports/refunds", params={"format": "json", "to": "2020-01-01"})).json() == []


async def test_what_never_counted_is_not_taken_off_the_revenue(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        client = await signed_in(app)
        session = await made(app.api, SESSIONS, PRICE)
        await app.api.post(f"{SESSIONS}/{session['id']}/expire")
        clock.move(seconds=5)
        await app.api.post(f"{HELPERS}{SESSIONS}/{session['id']}/pay")
        await app.api.post(f"{HELPERS}/chain/mine", json={"blocks": 3})
        refund = await made(app.api, "/refunds", {"sessionId": session["id"]})
        await app.api.post(f"{HELPERS}/refunds/{refund['id']}/pay")
        (row,) = (await client.get("/test/exports/refunds", params={"format": "json"})).json()
        assert (row["fiatAmount"], row["netFiatAmount"]) == ("30.00", "0.00")
