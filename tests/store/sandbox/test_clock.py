"""The clock of test mode: what waits there comes nearer when it is put forward, and nothing of live mode does."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto_checkout.store.database import WriteUnit
from crypto_checkout.store.sandbox.clock import MOST_ANSWERS
from tests.support.api import ENDPOINT, LINK, PRICE, App, Clock, error, listed, made, open_app
from tests.support.receiver import Receiver
from tests.support.waiting import until

RETRY_SECONDS = (60, 600, 3600, 21600, 86400)


async def advance(api: httpx.AsyncClient, seconds: float) -> None:
    answer = await api.post("/test_helpers/clock/advance", json={"seconds": int(seconds)})
    assert answer.status_code == 200, answer.text


async def deliveries(api: httpx.AsyncClient, endpoint: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await listed(api, f"/webhook_endpoints/{endpoint['id']}/deliveries"))["data"]
    return found


async def attempts(api: httpx.AsyncClient, endpoint: dict[str, Any]) -> int:
    """Return how many attempts are recorded of the one delivery there is."""
    (delivery,) = await deliveries(api, endpoint)
    return len(delivery["attempts"])


async def failing_endpoint(app: App, receiver: Receiver) -> dict[str, Any]:
    """Make an endpoint, and an event that it refuses once."""
    endpoint = await made(app.api, "/webhook_endpoints", {"url": receiver.url, "events": ["session.created"]})
    await made(app.api, "/checkout_sessions", PRICE)

    async def has_failed() -> bool:
        return bool(await deliveries(app.api, endpoint)) and await attempts(app.api, endpoint) == 1

    await until(has_failed, "the first attempt")
    return endpoint


async def test_every_retry_comes_as_the_clock_is_put_forward_and_is_signed_by_the_real_time(tmp_path: Path) -> None:
    clock = Clock()
    with Receiver(500) as receiver:
        async with open_app(tmp_path, clock=clock) as app:
            endpoint = await failing_endpoint(app, receiver)
            for number, seconds in enumerate(RETRY_SECONDS, start=2):
                await advance(app.api, seconds * 0.8)
                assert len(receiver.received) == number - 1, "not yet"
                await advance(app.api, seconds * 0.31)

                async def is_made(number: int = number) -> bool:
                    return await attempts(app.api, endpoint) == number

                await until(is_made, f"attempt {number}")
            assert [each["status"] for each in await deliveries(app.api, endpoint)] == ["abandoned"]
    for each in receiver.received:
        assert int(each.headers["x-webhook-timestamp"]) == int(clock.now.timestamp())
        assert f"t={each.headers['x-webhook-timestamp']}," in each.headers["x-webhook-signature"]
    assert len({each.headers["webhook-id"] for each in receiver.received}) == 1


async def test_a_restart_keeps_what_was_put_forward(tmp_path: Path) -> None:
    clock = Clock()
    with Receiver(500) as receiver:
        async with open_app(tmp_path, clock=clock) as app:
            endpoint = await failing_endpoint(app, receiver)
            (before,) = await deliveries(app.api, endpoint)
            await advance(app.api, 30)
            (moved,) = await deliveries(app.api, endpoint)
            assert moved["nextAttemptAt"] < before["nextAttemptAt"]
        receiver.status = 200
        async with open_app(tmp_path, clock=clock) as app:
            assert await deliveries(app.api, endpoint) == [moved]
            await advance(app.api, 37)
            await until(lambda: len(receiver.received) == 2, "the retry")


async def test_answers_to_idempotency_keys_of_test_mode_age(tmp_path: Path) -> None:
    headers = {"Idempotency-Key": "order-1"}
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        first = await made(app.api, "/checkout_sessions", PRICE, headers=headers)
        await advance(app.api, 86_399)
    key = app.api.headers["Authorization"]
    async with open_app(tmp_path, clock=clock) as app:
        api = await app.anybody(key)
        again = await api.post("/checkout_sessions", json=PRICE, headers=headers)
        assert (again.json(), again.headers["Idempotent-Replayed"]) == (first, "true")
        await advance(api, 1)
        other = await api.post("/checkout_sessions", json=PRICE, headers=headers)
        assert other.json()["id"] != first["id"]
        assert "Idempotent-Replayed" not in other.headers


@pytest.mark.parametrize("seconds", [60, 86_400, 30 * 86_400])
async def test_nothing_of_live_mode_moves(tmp_path: Path, seconds: int) -> None:
    headers = {"Idempotency-Key": "order-1"}
    customer = {"email": "ada@example.com"}
    async with open_app(tmp_path, clock=Clock()) as app:
        live = await app.client(livemode=True)
        await made(live, "/webhook_endpoints", ENDPOINT)
        first = await made(live, "/customers", customer, headers=headers)

        def rows(unit: Any) -> list[list[Any]]:
            tables = ("deliveries", "idempotency_keys", "events", "customers", "webhook_endpoints")
            return [[tuple(row) for row in unit.all(f"SELECT * FROM {table}")] for table in tables]  # noqa: S608

        async def has_failed() -> bool:
            return all(row["attempts"] for row in await app.opened.db.read(_deliveries))

        await until(has_failed, "the attempts, which lead nowhere")
        before = await app.opened.db.read(rows)
        await advance(app.api, seconds)
        assert await app.opened.db.read(rows) == before
        again = await live.post("/customers", json=customer, headers=headers)
        assert (again.json(), again.headers["Idempotent-Replayed"]) == (first, "true")
        refused = await live.post("/test_helpers/clock/advance", json={"seconds": seconds})
        assert (refused.status_code, error(refused)["code"]) == (403, "insufficient_scope")


def _deliveries(unit: Any) -> list[Any]:
    found: list[Any] = unit.all("SELECT * FROM deliveries")
    assert found
    return found


async def test_a_flood_of_answers_holds_nobody_up_as_the_clock_is_put_forward(app: App) -> None:
    await made(app.api, "/payment_links", LINK, headers={"Idempotency-Key": "first"})
    (key,) = await app.opened.db.read(lambda unit: unit.all("SELECT DISTINCT api_key_id FROM idempotency_keys"))

    def flood(unit: WriteUnit) -> None:
        for number in range(2 * MOST_ANSWERS):
            unit.run(
                "INSERT INTO idempotency_keys VALUES (:key, :name, '', 200, '{}', :now)",
                {"key": key["api_key_id"], "name": f"flood {number}", "now": unit.now_text},
            )

    await app.opened.db.write(flood)
    before = await app.opened.db.read(lambda unit: unit.all("SELECT MIN(created_at) AS oldest FROM idempotency_keys"))
    await advance(app.api, 3600)
    aged = await app.opened.db.read(
        lambda unit: unit.all("SELECT 1 FROM idempotency_keys WHERE created_at < :oldest", dict(before[0]))
    )
    assert len(aged) == MOST_ANSWERS
