"""Webhook endpoints through the API: the secret is shown once, and no URL leads inside."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto_checkout.core import ids
from crypto_checkout.core.owner.api_key import Scope
from crypto_checkout.core.webhooks.events import EventType
from tests.support.api import ENDPOINT, LINK, PRICE, App, error, listed, made, open_app

FIELDS = """
    id object livemode url events description active disabledReason missedSince secretPrefix createdAt updatedAt
"""
ENDPOINTS = "/webhook_endpoints"


async def test_a_new_endpoint_has_every_field(api: httpx.AsyncClient) -> None:
    endpoint = await made(api, ENDPOINTS, {"url": "https://shop.example/hook?a=1", "events": ["*"]})
    assert list(endpoint) == [*FIELDS.split(), "secret"]
    assert ids.is_id(endpoint["id"], ids.ENDPOINT)
    expected = {
        "object": "webhook_endpoint", "livemode": False, "url": "https://shop.example/hook?a=1", "events": ["*"],
        "description": None, "active": True, "disabledReason": None,
    }  # fmt: skip
    assert {name: endpoint[name] for name in expected} == expected
    assert endpoint["secret"].startswith("whsec_")
    assert endpoint["secret"].startswith(endpoint["secretPrefix"])
    assert len(endpoint["secretPrefix"]) < len(endpoint["secret"]) / 2


async def test_the_secret_is_in_the_answer_that_made_it_and_nowhere_else(api: httpx.AsyncClient) -> None:
    endpoint = await made(api, ENDPOINTS, ENDPOINT)
    secret = endpoint.pop("secret")
    for path in (ENDPOINTS, f"{ENDPOINTS}/{endpoint['id']}", "/events"):
        answer = await api.get(path)
        assert answer.status_code == 200
        assert endpoint["id"] in answer.text
        assert secret not in answer.text
    assert (await api.get(f"{ENDPOINTS}/{endpoint['id']}")).json() == endpoint


async def test_secrets_differ(api: httpx.AsyncClient) -> None:
    endpoints = [await made(api, ENDPOINTS, ENDPOINT) for _ in range(20)]
    assert len({endpoint["secret"] for endpoint in endpoints}) == 20


async def test_every_type_of_event_can_be_asked_for(api: httpx.AsyncClient) -> None:
    types = [event_type.value for event_type in EventType]
    endpoint = await made(api, ENDPOINTS, {**ENDPOINT, "events": types, "description": "All", "active": False})
    assert (endpoint["events"], endpoint["description"], endpoint["active"]) == (types, "All", False)


@pytest.mark.parametrize("asked", [["session.pending"], ["session.created", "session.pending"]])
async def test_the_creation_event_may_be_asked_for_as_session_pending(api: httpx.AsyncClient, asked: list[str]) -> None:
    endpoint = await made(api, ENDPOINTS, {**ENDPOINT, "events": asked})
    assert endpoint["events"] == ["session.created"]
    changed = await api.patch(f"{ENDPOINTS}/{endpoint['id']}", json={"events": [*asked, "session.paid"]})
    assert changed.json()["events"] == ["session.created", "session.paid"]
    session = await made(api, "/checkout_sessions", PRICE)
    (told,) = (await listed(api, f"{ENDPOINTS}/{endpoint['id']}/deliveries"))["data"]
    assert told["eventType"] == "session.created"
    (found,) = (await listed(api, "/events", type="session.pending"))["data"]
    assert (found["type"], found["data"]["id"]) == ("session.created", session["id"])


async def test_a_deleted_endpoint_is_gone(api: httpx.AsyncClient) -> None:
    endpoint = await made(api, ENDPOINTS, ENDPOINT)
    answer = await api.delete(f"{ENDPOINTS}/{endpoint['id']}")
    assert answer.json() == {"id": endpoint["id"], "object": "webhook_endpoint", "deleted": True}
    assert (await listed(api, ENDPOINTS))["data"] == []
    for method in ("GET", "DELETE"):
        again = await api.request(method, f"{ENDPOINTS}/{endpoint['id']}")
        assert error(again)["code"] == "resource_not_found"


async def test_making_and_deleting_an_endpoint_are_events(api: httpx.AsyncClient) -> None:
    endpoint = await made(api, ENDPOINTS, ENDPOINT)
    del endpoint["secret"]
    await api.delete(f"{ENDPOINTS}/{endpoint['id']}")
    events = (await listed(api, "/events", resourceId=endpoint["id"]))["data"]
    assert [event["type"] for event in events] == ["webhook_endpoint.deleted", "webhook_endpoint.created"]
    assert [event["data"] for event in events] == [endpoint, endpoint]


READERS = {
    "session.paid": Scope.SESSIONS_READ,
    "payment_link.created": Scope.LINKS_READ,
    "customer.created": Scope.CUSTOMERS_READ,
    "refund.created": Scope.REFUNDS_READ,
    "collection.created": Scope.COLLECTIONS_READ,
    "webhook_endpoint.created": Scope.WEBHOOKS_READ,
    "api_key.created": Scope.EVENTS_READ,
    "*": Scope.EVENTS_READ,
}


@pytest.mark.parametrize("event", READERS)
async def test_a_key_subscribes_only_to_what_it_may_read(app: App, event: str) -> None:
    body = {**ENDPOINT, "events": [event]}
    for scopes in ([], [scope for scope in Scope if scope not in {READERS[event], Scope.EVENTS_READ}]):
        poor = await app.client(scopes=[Scope.WEBHOOKS_WRITE, *scopes])
        refused = await poor.post(ENDPOINTS, json=body)
        assert (refused.status_code, error(refused)["code"]) == (403, "insufficient_scope")
        assert READERS[event] in error(refused)["message"]
    for scope in {READERS[event], Scope.EVENTS_READ}:
        await made(await app.client(scopes=[Scope.WEBHOOKS_WRITE, scope]), ENDPOINTS, body)
    assert len((await listed(app.api, ENDPOINTS))["data"]) == len({READERS[event], Scope.EVENTS_READ})


async def test_a_key_can_not_lead_what_it_may_not_read_elsewhere(app: App) -> None:
    endpoint = await made(app.api, ENDPOINTS, {**ENDPOINT, "events": ["session.paid"]})
    path = f"{ENDPOINTS}/{endpoint['id']}"
    writer = await app.client(scopes=[Scope.WEBHOOKS_WRITE])
    changes: list[dict[str, Any]] = [
        {"url": "https://thief.example/"},
        {"events": ["*"]},
        {"events": ["session.paid", "session.failed"]},
    ]
    for number, change in enumerate(changes):
        refused = await writer.patch(path, json=change, headers={"Idempotency-Key": str(number)})
        assert error(refused)["code"] == "insufficient_scope"
    assert (await app.api.get(path)).json() == {k: v for k, v in endpoint.items() if k != "secret"}
    changes = [{"active": False}, {"description": "x"}, {"url": endpoint["url"]}, {"events": ["session.paid"]}]
    for change in changes:
        assert (await writer.patch(path, json=change)).is_success, "nothing goes anywhere that it did not before"
    reader = await app.client(scopes=[Scope.WEBHOOKS_WRITE, Scope.SESSIONS_READ])
    assert (await reader.patch(path, json={"url": "https://new.example/"})).is_success


async def test_a_key_can_not_lead_what_waits_elsewhere(app: App) -> None:
    endpoint = await made(app.api, ENDPOINTS, {**ENDPOINT, "events": ["customer.created", "payment_link.created"]})
    path = f"{ENDPOINTS}/{endpoint['id']}"
    await made(app.api, "/customers", {"email": "ada@example.com"})
    thief = await app.client(scopes=[Scope.WEBHOOKS_WRITE, Scope.LINKS_READ])
    narrowed = {"events": ["payment_link.created"]}
    assert (await thief.patch(path, json=narrowed)).is_success
    for change in ({"url": "https://thief.example/"}, {"url": "https://thief.example/", **narrowed}):
        refused = await thief.patch(path, json=change)
        assert error(refused)["code"] == "insufficient_scope"
        assert "customers:read" in error(refused)["message"]
    assert (await app.api.get(path)).json()["url"] == endpoint["url"]
    assert (await app.api.patch(path, json={"url": "https://new.example/"})).is_success


async def test_a_key_can_not_have_sent_again_what_it_may_not_read(app: App) -> None:
    shop = await made(app.api, ENDPOINTS, {**ENDPOINT, "events": ["customer.created"]})
    await made(app.api, "/customers", {"email": "ada@example.com"})
    thief = await app.client(scopes=[Scope.WEBHOOKS_READ, Scope.WEBHOOKS_WRITE])
    own = await made(thief, ENDPOINTS, {"url": "https://thief.example/", "events": ["webhook_endpoint.created"]})
    (delivery,) = (await listed(thief, f"{ENDPOINTS}/{shop['id']}/deliveries"))["data"]
    again = {"eventId": delivery["eventId"]}
    refused = await thief.post(f"{ENDPOINTS}/{own['id']}/replay", json=again, headers={"Idempotency-Key": "1"})
    assert (refused.status_code, error(refused)["code"]) == (403, "insufficient_scope")
    assert "customers:read" in error(refused)["message"]
    sent = (await listed(app.api, f"{ENDPOINTS}/{own['id']}/deliveries"))["data"]
    assert delivery["eventId"] not in [each["eventId"] for each in sent]
    assert (await thief.post(f"{ENDPOINTS}/{shop['id']}/replay", json=again)).is_success, (
        "it goes to the shop as before"
    )
    assert (await app.api.post(f"{ENDPOINTS}/{own['id']}/replay", json=again)).is_success, "that key may read it"


INSIDE = {
    "loopback": "https://127.0.0.1/",
    "loopback of IPv6": "https://[::1]/",
    "loopback by name": "https://localhost/",
    "a private network": "https://10.1.2.3/",
    "the metadata of a cloud": "http://169.254.169.254/latest/meta-data/",
    "IPv4 inside IPv6": "https://[::ffff:10.1.2.3]/",
    "a number for an address": "https://2130706433/",
    "a database's port": "https://shop.example:5432/",
}


@pytest.mark.parametrize("url", INSIDE.values(), ids=INSIDE)
async def test_no_endpoint_leads_inside_unless_that_is_allowed(tmp_path: Path, url: str) -> None:
    async with open_app(tmp_path, webhooks={"allow_private_networks": False}, test_mode={"enabled": False}) as app:
        answer = await app.api.post(ENDPOINTS, json={"url": url, "events": ["*"]})
        assert answer.status_code == 400
        assert (error(answer)["code"], error(answer)["param"]) == ("invalid_body", "url")


async def test_live_events_go_to_https_and_test_events_to_http_too(app: App) -> None:
    live = await app.client(livemode=True)
    body = {"url": "http://shop.example/hook", "events": ["*"]}
    assert (await app.api.post(ENDPOINTS, json=body)).status_code == 201
    answer = await live.post(ENDPOINTS, json=body)
    assert (error(answer)["code"], error(answer)["param"]) == ("invalid_body", "url")
    assert (await live.post(ENDPOINTS, json={**body, "url": "http://127.0.0.1/hook"})).status_code == 201


async def test_an_endpoint_is_only_told_of_what_it_asked_for(app: App) -> None:
    wanting = await made(app.api, ENDPOINTS, {**ENDPOINT, "events": ["payment_link.created"]})
    await made(app.api, ENDPOINTS, {**ENDPOINT, "events": ["session.paid"]})
    await made(app.api, ENDPOINTS, {**ENDPOINT, "active": False})
    await made(app.api, "/payment_links", LINK)
    rows = await app.opened.db.read(lambda unit: unit.all("SELECT endpoint_id FROM deliveries"))
    assert [row["endpoint_id"] for row in rows] == [wanting["id"]]
