"""Events through the API: what happened, as it was then, for good."""

import json
from pathlib import Path

import httpx

from crypto_checkout.core import ids
from tests.support.api import ENDPOINT, LINK, PRICE, App, Clock, listed, made, open_app
from tests.support.receiver import Receiver
from tests.support.waiting import until

EVENTS = "/events"


async def test_an_event_holds_the_resource_as_it_was(api: httpx.AsyncClient) -> None:
    session = await made(api, "/checkout_sessions", PRICE)
    await api.post(f"/test_helpers/checkout_sessions/{session['id']}/pay")
    events = (await listed(api, EVENTS, resourceId=session["id"]))["data"]
    assert [event["type"] for event in events] == ["session.detected", "session.created"]
    for event in events:
        assert list(event) == ["id", "object", "type", "livemode", "data", "createdAt"]
        assert ids.is_id(event["id"], ids.EVENT)
        assert (event["object"], event["livemode"]) == ("event", False)
    assert events[1]["data"] == session
    assert events[0]["data"]["status"] == "detected"
    assert events[0]["data"]["amountReceived"] == session["amount"]


async def test_an_event_is_answered_byte_for_byte_as_webhooks_carry_it(app: App) -> None:
    with Receiver() as receiver:
        await made(app.api, "/webhook_endpoints", {"url": receiver.url, "events": ["payment_link.created"]})
        await made(app.api, "/payment_links", {**LINK, "title": "Ein Buch 📖"})
        await until(lambda: receiver.received, "the delivery")
    (delivery,) = receiver.received
    answer = await app.api.get(f"{EVENTS}/{delivery.headers['webhook-id']}")
    assert answer.content == delivery.body
    assert (await listed(app.api, EVENTS, limit=1))["data"] == [json.loads(delivery.body)]


async def test_events_are_found_by_type_resource_and_time(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        clock.move(seconds=1)
        link = await made(app.api, "/payment_links", LINK)
        clock.move(seconds=1)
        await made(app.api, "/webhook_endpoints", ENDPOINT)
        await app.api.delete(f"/payment_links/{link['id']}")

        async def found(**query: str) -> list[str]:
            return [event["type"] for event in (await listed(app.api, EVENTS, **query))["data"]]

        assert await found(resourceId=link["id"]) == ["payment_link.deleted", "payment_link.created"]
        assert await found(type="payment_link.created") == ["payment_link.created"]
        assert await found(type="session.paid") == []
        assert await found(createdAfter=link["createdAt"]) == ["payment_link.deleted", "webhook_endpoint.created"]
        assert await found(createdAfter=link["createdAt"], resourceId=link["id"]) == ["payment_link.deleted"]
        assert (await found())[-1] == "api_key.created"


async def test_events_of_keys_never_hold_the_key(app: App) -> None:
    _, text = await app.key()
    answer = await app.api.get(EVENTS, params={"type": "api_key.created"})
    assert text not in answer.text
    assert text[:14] in answer.text
