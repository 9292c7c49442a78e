"""Collections over the API, in test mode: recorded, listed, announced, and none of them made there."""

from pathlib import Path

from tests.support.api import PRICE, App, Clock, listed, made, open_app
from tests.support.waiting import until


async def paid_session(app: App) -> str:
    session = await made(app.api, "/checkout_sessions", PRICE)
    await app.api.post(f"/test_helpers/checkout_sessions/{session['id']}/pay")
    await app.api.post("/test_helpers/chain/mine", json={"blocks": 3})
    return str(session["id"])


async def test_a_collection_is_seen_then_confirmed_and_the_session_stays_paid(app: App) -> None:
    session_id = await paid_session(app)
    answer = await app.api.post(f"/test_helpers/checkout_sessions/{session_id}/collect")
    collection = answer.json()
    assert (answer.status_code, collection["status"], collection["way"]) == (200, "seen", "contract")
    assert [item["sessionId"] for item in collection["items"]] == [session_id]
    await app.api.post("/test_helpers/chain/mine", json={"blocks": 3})
    assert (await app.api.get(f"/checkout_sessions/{session_id}")).json()["status"] == "paid"
    refused = await app.api.post(f"/test_helpers/checkout_sessions/{session_id}/collect")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "session_not_open")


async def test_a_collection_is_confirmed_as_time_goes_by_though_no_session_waits(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        collection = (await app.api.post(f"/test_helpers/checkout_sessions/{await paid_session(app)}/collect")).json()
        clock.move(seconds=5)

        async def is_confirmed() -> bool:
            found = (await app.api.get(f"/collections/{collection['id']}")).json()
            return bool(found["status"] == "confirmed" and found["confirmedAt"])

        await until(is_confirmed, "be confirmed")
        events = (await listed(app.api, "/events"))["data"]
        assert [each["type"] for each in events if each["data"]["id"] == collection["id"]] == [
            "collection.confirmed",
            "collection.created",
        ]


async def test_collections_are_filtered_by_status_and_unknown_ones_are_not_found(app: App) -> None:
    session_id = await paid_session(app)
    collection = (await app.api.post(f"/test_helpers/checkout_sessions/{session_id}/collect")).json()
    shown = (await app.api.get("/collections", params={"status": "seen"})).json()["data"]
    assert [each["id"] for each in shown] == [collection["id"]]
    assert (await app.api.get("/collections", params={"status": "reorged"})).json()["data"] == []
    wrong = await app.api.get("/collections", params={"status": "moved"})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "status")
    missing = await app.api.get("/collections/col_1")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "resource_not_found")


async def test_a_repeated_request_collects_once(app: App) -> None:
    session_id = await paid_session(app)
    path, key = f"/test_helpers/checkout_sessions/{session_id}/collect", {"Idempotency-Key": "once"}
    first, again = [await app.api.post(path, headers=key) for _ in range(2)]
    assert first.json() == again.json()
