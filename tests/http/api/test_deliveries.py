"""Deliveries through the API: secrets rotate while both sign, deliveries are listed, what was missed is sent again."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from crypto_checkout.client import InvalidSignature, verify_webhook
from crypto_checkout.core.webhooks.endpoint import MOST_OLD_SECRETS
from crypto_checkout.services.webhooks.deliveries import MOST_TESTS
from crypto_checkout.store import secret_key
from tests.support.api import LINK, PRICE, App, Clock, error, listed, made, open_app
from tests.support.ports import free_port
from tests.support.receiver import Received, Receiver
from tests.support.waiting import until

ENDPOINTS, LINKS = "/webhook_endpoints", "/payment_links"


async def endpoint_to(app: App, receiver: Receiver, *types: str) -> dict[str, Any]:
    return await made(app.api, ENDPOINTS, {"url": receiver.url, "events": list(types or ("payment_link.created",))})


async def deliveries(app: App, endpoint_id: str, **query: Any) -> list[dict[str, Any]]:
    page = await listed(app.api, f"{ENDPOINTS}/{endpoint_id}/deliveries", **query)
    data: list[dict[str, Any]] = page["data"]
    return data


# --- rotation --------------------------------------------------------------------------------------------------------


def takes(received: Received, secret: str) -> bool:
    """Tell whether a delivery is verified by a secret, with our signature and with that of Standard Webhooks."""
    try:
        verify_webhook(received.body, received.headers, secret)
        Webhook(secret).verify(received.body, received.headers)
    except (InvalidSignature, WebhookVerificationError):
        return False
    return True


async def test_both_secrets_sign_while_a_rotation_overlaps_and_the_new_one_after_it(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        with Receiver() as receiver:
            endpoint = await endpoint_to(app, receiver)
            old = endpoint["secret"]
            answer = await app.api.post(f"{ENDPOINTS}/{endpoint['id']}/rotate_secret", json={"overlapSeconds": 60})
            assert answer.status_code == 200
            new = answer.json()["secret"]
            assert new != old
            assert new.startswith(answer.json()["secretPrefix"])
            await made(app.api, LINKS, LINK)
            await until(lambda: len(receiver.received) == 1, "the delivery during the overlap")
            assert [takes(receiver.received[0], secret) for secret in (old, new)] == [True, True]
            clock.move(seconds=61)
            await made(app.api, LINKS, LINK)
            await until(lambda: len(receiver.received) == 2, "the delivery after the overlap")
            assert "v1=" in receiver.received[1].headers["x-webhook-signature"]
            assert receiver.received[1].headers["x-webhook-signature"].count("v1=") == 1


async def test_without_an_overlap_the_old_secret_is_worth_nothing_at_once(app: App) -> None:
    with Receiver() as receiver:
        endpoint = await endpoint_to(app, receiver)
        path = f"{ENDPOINTS}/{endpoint['id']}/rotate_secret"
        new = (await app.api.post(path, json={"overlapSeconds": 0})).json()["secret"]
        await made(app.api, LINKS, LINK)
        await until(lambda: receiver.received, "the delivery")
    assert not takes(receiver.received[0], endpoint["secret"])
    assert takes(receiver.received[0], new)


async def signing(app: App, endpoint: dict[str, Any], receiver: Receiver, secrets: list[str]) -> list[bool]:
    """Have something sent, and tell which of the secrets it is signed with."""
    receiver.received.clear()
    await made(app.api, LINKS, LINK)
    await until(lambda: receiver.received, "the delivery")
    return [takes(receiver.received[0], secret) for secret in (endpoint["secret"], *secrets)]


async def test_secrets_rotated_within_their_overlap_all_sign_each_until_its_own_end(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        with Receiver() as receiver:
            endpoint = await endpoint_to(app, receiver)
            path = f"{ENDPOINTS}/{endpoint['id']}/rotate_secret"
            secrets = [
                (await app.api.post(path, json={"overlapSeconds": seconds})).json()["secret"] for seconds in (120, 60)
            ]
            assert await signing(app, endpoint, receiver, secrets) == [True, True, True]
            clock.move(seconds=61)
            assert await signing(app, endpoint, receiver, secrets) == [True, False, True]
            clock.move(seconds=60)
            assert await signing(app, endpoint, receiver, secrets) == [False, False, True]


async def test_of_many_rotations_the_newest_old_secrets_sign(app: App) -> None:
    with Receiver() as receiver:
        endpoint = await endpoint_to(app, receiver)
        path = f"{ENDPOINTS}/{endpoint['id']}/rotate_secret"
        secrets = [(await app.api.post(path)).json()["secret"] for _ in range(MOST_OLD_SECRETS + 1)]
        assert await signing(app, endpoint, receiver, secrets) == [False] + (MOST_OLD_SECRETS + 1) * [True]
        secrets.append((await app.api.post(path, json={"overlapSeconds": 0})).json()["secret"])
        assert await signing(app, endpoint, receiver, secrets) == (MOST_OLD_SECRETS + 2) * [False] + [True]


async def test_the_new_secret_is_shown_once(api: httpx.AsyncClient) -> None:
    endpoint = await made(api, ENDPOINTS, {"url": "https://shop.example/hook", "events": ["*"]})
    secret = (await api.post(f"{ENDPOINTS}/{endpoint['id']}/rotate_secret")).json()["secret"]
    for path in (ENDPOINTS, f"{ENDPOINTS}/{endpoint['id']}", "/events"):
        text = (await api.get(path)).text
        assert endpoint["id"] in text
        assert secret not in text


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("checkout.db*"))


@pytest.mark.sqlite
async def test_no_secret_is_in_the_files_of_the_database(tmp_path: Path) -> None:
    async with open_app(tmp_path) as app:
        once = {"Idempotency-Key": "once", "Authorization": app.api.headers["Authorization"]}
        body = {"url": "https://shop.example/hooks", "events": ["*"]}
        created = await app.api.post(ENDPOINTS, json=body, headers=once)
        path = f"{ENDPOINTS}/{created.json()['id']}/rotate_secret"
        rotated = await app.api.post(path, json={"overlapSeconds": 60}, headers={"Idempotency-Key": "again"})
        for answer in (created, rotated):
            assert answer.json()["secret"].encode() not in everything_in(tmp_path)
        repeated = await app.api.post(ENDPOINTS, json=body, headers=once)
        assert repeated.headers["Idempotent-Replayed"] == "true"
        assert repeated.json() == created.json()
    secret_key.path(tmp_path).unlink()
    async with open_app(tmp_path) as app:
        assert error(await app.api.post(ENDPOINTS, json=body, headers=once))["code"] == "idempotency_key_reused"


@pytest.mark.sqlite  # without its key no process starts on a server's database
async def test_without_its_key_an_endpoint_is_switched_off_until_its_secret_is_rotated(tmp_path: Path) -> None:
    with Receiver() as receiver:
        async with open_app(tmp_path) as app:
            endpoint = await endpoint_to(app, receiver)
            path = f"{ENDPOINTS}/{endpoint['id']}"
        secret_key.path(tmp_path).unlink()
        async with open_app(tmp_path) as app:
            off = (await app.api.get(path)).json()
            assert not off["active"]
            assert "secret.key was lost" in off["disabledReason"]
            assert off["secretPrefix"] == endpoint["secretPrefix"]
            missed = await made(app.api, LINKS, LINK)
            assert (await app.api.post(f"{path}/test")).status_code == 400
            refused = await app.api.patch(path, json={"active": True})
            assert error(refused)["param"] == "active"
            new = (await app.api.post(f"{path}/rotate_secret", json={"overlapSeconds": 3600})).json()["secret"]
            assert (await app.api.patch(path, json={"active": True})).json()["active"]
            assert (await app.api.post(f"{path}/replay", json={"since": off["missedSince"]})).is_success
            await until(lambda: receiver.received, "what was missed")
            assert takes(receiver.received[0], new)
            assert receiver.received[0].event["data"]["id"] == missed["id"]
        async with open_app(tmp_path) as app:
            assert (await app.api.get(path)).json()["active"]


@pytest.mark.parametrize("seconds", [-1, 604_801, "60", 1.5, None])
async def test_an_overlap_has_bounds(api: httpx.AsyncClient, seconds: object) -> None:
    endpoint = await made(api, ENDPOINTS, {"url": "https://shop.example/hook", "events": ["*"]})
    answer = await api.post(f"{ENDPOINTS}/{endpoint['id']}/rotate_secret", json={"overlapSeconds": seconds})
    assert (error(answer)["code"], error(answer)["param"]) == ("invalid_body", "overlapSeconds")


# --- what was sent ---------------------------------------------------------------------------------------------------


async def test_a_delivery_tells_its_event_and_its_attempts(app: App) -> None:
    with Receiver() as receiver:
        endpoint = await endpoint_to(app, receiver)
        link = await made(app.api, LINKS, LINK)
        await until(lambda: _status(app, endpoint["id"], "succeeded"), "the delivery")
        (delivery,) = await deliveries(app, endpoint["id"])
    (event,) = receiver.events("payment_link.created")
    assert event["data"] == link
    assert (delivery["eventId"], delivery["eventType"]) == (event["id"], "payment_link.created")
    assert (delivery["endpointId"], delivery["status"]) == (endpoint["id"], "succeeded")
    assert delivery["nextAttemptAt"] is None
    (attempt,) = delivery["attempts"]
    assert (attempt["number"], attempt["statusCode"], attempt["error"]) == (1, 200, None)


async def _attempted(app: App, endpoint_id: str) -> bool:
    (delivery,) = await deliveries(app, endpoint_id)
    return bool(delivery["attempts"])


async def _status(app: App, endpoint_id: str, status: str) -> bool:
    return bool(await deliveries(app, endpoint_id, status=status))


async def test_a_failed_attempt_says_why_and_when_the_next_one_is(app: App) -> None:
    url = f"http://127.0.0.1:{free_port()}/hook"
    endpoint = await made(app.api, ENDPOINTS, {"url": url, "events": ["payment_link.created"]})
    await made(app.api, LINKS, LINK)

    async def was_tried() -> bool:
        return bool((await deliveries(app, endpoint["id"]))[0]["attempts"])

    await until(was_tried, "the attempt")
    (delivery,) = await deliveries(app, endpoint["id"], status="pending")
    (attempt,) = delivery["attempts"]
    assert attempt["statusCode"] is None
    assert (attempt["error"], attempt["detail"]) == (
        "refused", "The connection was refused: nothing listens on that port."
    )  # fmt: skip
    assert delivery["nextAttemptAt"] > attempt["startedAt"]
    assert await deliveries(app, endpoint["id"], status="succeeded") == []


async def test_deliveries_are_paged_within_their_endpoint(app: App) -> None:
    with Receiver() as receiver, Receiver() as elsewhere:
        endpoint, other = await endpoint_to(app, receiver), await endpoint_to(app, elsewhere)
        for _ in range(3):
            await made(app.api, LINKS, LINK)
        await until(lambda: len(receiver.received) == len(elsewhere.received) == 3, "the deliveries")
    path = f"{ENDPOINTS}/{endpoint['id']}/deliveries"
    everything = await deliveries(app, endpoint["id"])
    first = await listed(app.api, path, limit=2)
    rest = await listed(app.api, path, limit=2, starting_after=first["nextCursor"])
    assert [each["eventId"] for each in first["data"] + rest["data"]] == [each["eventId"] for each in everything]
    assert (first["hasMore"], rest["hasMore"]) == (True, False)
    assert {each["endpointId"] for each in everything} == {endpoint["id"]}
    theirs = f"{ENDPOINTS}/{other['id']}/deliveries"
    wrong = await app.api.get(theirs, params={"starting_after": first["nextCursor"]})
    assert error(wrong)["code"] == "invalid_cursor"
    for place in (everything[0]["eventId"], endpoint["id"]):
        assert error(await app.api.get(path, params={"starting_after": place}))["code"] == "invalid_cursor"
    assert error(await app.api.get(path, params={"status": "lost"}))["param"] == "status"


# --- sending again ---------------------------------------------------------------------------------------------------


async def test_one_event_is_sent_again_whatever_came_of_it(app: App) -> None:
    with Receiver() as receiver:
        endpoint = await endpoint_to(app, receiver)
        await made(app.api, LINKS, LINK)
        await until(lambda: _status(app, endpoint["id"], "succeeded"), "the delivery")
        event_id = receiver.received[0].event["id"]
        answer = await app.api.post(f"{ENDPOINTS}/{endpoint['id']}/replay", json={"eventId": event_id})
        assert answer.json() == {
            "object": "webhook_replay",
            "endpointId": endpoint["id"],
            "queued": 1,
            "hasMore": False,
        }
        await until(lambda: len(receiver.received) == 2, "the second delivery")
        await until(lambda: _status(app, endpoint["id"], "succeeded"), "its record")
    first, second = receiver.received
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    (delivery,) = await deliveries(app, endpoint["id"])
    assert [attempt["number"] for attempt in delivery["attempts"]] == [1, 2]


async def test_an_event_from_before_the_endpoint_can_be_sent_to_it(app: App) -> None:
    await made(app.api, LINKS, LINK)
    (event,) = (await listed(app.api, "/events", type="payment_link.created"))["data"]
    with Receiver() as receiver:
        endpoint = await endpoint_to(app, receiver)
        await app.api.post(f"{ENDPOINTS}/{endpoint['id']}/replay", json={"eventId": event["id"]})
        await until(lambda: receiver.received, "the delivery")
    assert receiver.received[0].event == event


async def test_all_that_was_missed_since_a_moment_is_sent_and_nothing_else(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        with Receiver(status=500) as receiver:
            endpoint = await endpoint_to(app, receiver)
            early = await made(app.api, LINKS, {**LINK, "title": "before the moment"})
            await until(lambda: len(receiver.received) == 1, "the first attempt")
            clock.move(seconds=10)
            missed = await made(app.api, LINKS, {**LINK, "title": "missed"})
            await made(app.api, "/checkout_sessions", PRICE)  # not asked for
            await until(lambda: len(receiver.received) == 2, "the second attempt")
            await app.api.patch(f"{ENDPOINTS}/{endpoint['id']}", json={"active": False})
            unheard = await made(app.api, LINKS, {**LINK, "title": "while it was switched off"})
            await app.api.patch(f"{ENDPOINTS}/{endpoint['id']}", json={"active": True})
            receiver.status = 200
            taken = await made(app.api, LINKS, {**LINK, "title": "taken"})
            await until(lambda: _status(app, endpoint["id"], "succeeded"), "the taken one")
            receiver.received.clear()
            path, body = f"{ENDPOINTS}/{endpoint['id']}/replay", {"since": missed["createdAt"]}
            assert (await app.api.post(path, json=body)).json()["queued"] == 2
            await until(lambda: len(receiver.received) >= 2, "what was missed")
            titles = [event["data"]["title"] for event in receiver.events("payment_link.created")]
            assert sorted(titles) == sorted([missed["title"], unheard["title"]])
            assert not {early["title"], taken["title"]} & set(titles)


async def test_what_waits_for_its_next_attempt_goes_out_with_a_replay_and_once(tmp_path: Path) -> None:
    async with open_app(tmp_path, clock=Clock()) as app:
        with Receiver(status=500) as receiver:
            endpoint = await endpoint_to(app, receiver)
            link = await made(app.api, LINKS, LINK)
            await until(lambda: len(receiver.received) == 1, "the first attempt")
            path, body = f"{ENDPOINTS}/{endpoint['id']}/replay", {"since": link["createdAt"]}
            await until(lambda: _attempted(app, endpoint["id"]), "its record")
            receiver.status = 200
            assert (await app.api.post(path, json=body)).json()["queued"] == 1
            await until(lambda: _status(app, endpoint["id"], "succeeded"), "the second attempt")
            assert (await app.api.post(path, json=body)).json()["queued"] == 0
            assert len(receiver.received) == 2


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "invalid_body", "eventId"),
        ({"eventId": None, "since": None}, "invalid_body", "eventId"),
        ({"eventId": "evt_1", "since": "2026-01-01T00:00:00Z"}, "invalid_body", "eventId"),
        ({"eventId": "evt_1"}, "resource_not_found", "eventId"),
        ({"eventId": "evt 1"}, "invalid_body", "eventId"),
        ({"since": "2026-01-01"}, "invalid_body", "since"),
        ({"since": "2026-01-01T00:00:00"}, "invalid_body", "since"),
        ({"since": 1}, "invalid_body", "since"),
    ],
    ids=str,
)
async def test_a_wrong_replay_is_refused(api: httpx.AsyncClient, body: dict[str, Any], code: str, param: str) -> None:
    endpoint = await made(api, ENDPOINTS, {"url": "https://shop.example/hook", "events": ["*"]})
    answer = await api.post(f"{ENDPOINTS}/{endpoint['id']}/replay", json=body)
    assert (error(answer)["code"], error(answer)["param"]) == (code, param)


# --- trying an endpoint ----------------------------------------------------------------------------------------------


async def test_a_try_sends_a_made_up_payment_that_is_signed_and_stored_nowhere(app: App) -> None:
    with Receiver() as receiver:
        endpoint = await endpoint_to(app, receiver)
        answer = (await app.api.post(f"{ENDPOINTS}/{endpoint['id']}/test")).json()
    (received,) = receiver.received
    event = verify_webhook(received.body, received.headers, endpoint["secret"])
    assert (event["type"], event["livemode"], event["data"]["status"]) == ("session.paid", False, "paid")
    assert event["data"]["metadata"] == {"order": "test"}, "never the number of an order"
    assert (answer["succeeded"], answer["attempt"]["statusCode"], answer["attempt"]["number"]) == (True, 200, 1)
    assert (await app.api.get(f"/events/{event['id']}")).status_code == 404
    assert await deliveries(app, endpoint["id"]) == []


@pytest.mark.parametrize("status", [302, 404, 410, 500])
async def test_a_try_tells_what_the_endpoint_said_and_changes_nothing(app: App, status: int) -> None:
    with Receiver(status) as receiver:
        endpoint = await endpoint_to(app, receiver)
        answer = (await app.api.post(f"{ENDPOINTS}/{endpoint['id']}/test")).json()
    assert (answer["succeeded"], answer["attempt"]["statusCode"]) == (False, status)
    assert (await app.api.get(f"{ENDPOINTS}/{endpoint['id']}")).json()["active"] is True


async def test_few_tries_wait_for_their_answers_at_once(app: App) -> None:
    with Receiver() as receiver:
        endpoint, live = await endpoint_to(app, receiver), await app.client(livemode=True)
        live_endpoint = await made(live, ENDPOINTS, {"url": receiver.url, "events": ["session.paid"]})
        receiver.answers.clear()
        path = f"{ENDPOINTS}/{endpoint['id']}/test"
        waiting = [asyncio.create_task(app.api.post(path)) for _ in range(MOST_TESTS)]
        await until(lambda: len(receiver.received) == MOST_TESTS, "the tries")
        for _ in range(3):
            refused = await app.api.post(path)
            assert (error(refused)["code"], refused.headers["retry-after"]) == ("rate_limit_exceeded", "1")
        assert len(receiver.received) == MOST_TESTS
        waiting.append(asyncio.create_task(live.post(f"{ENDPOINTS}/{live_endpoint['id']}/test")))
        await until(lambda: len(receiver.received) == MOST_TESTS + 1, "the other mode's own")
        receiver.answers.set()
        assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200] * (MOST_TESTS + 1)
        assert (await app.api.post(path)).status_code == 200


async def test_a_try_of_an_endpoint_that_is_not_there_tells_so(app: App) -> None:
    url = f"http://127.0.0.1:{free_port()}/hook"
    endpoint = await made(app.api, ENDPOINTS, {"url": url, "events": ["*"]})
    answer = (await app.api.post(f"{ENDPOINTS}/{endpoint['id']}/test")).json()
    assert (answer["succeeded"], answer["attempt"]["statusCode"]) == (False, None)
    assert answer["attempt"]["error"]


async def test_a_live_endpoint_is_tried_with_test_content(app: App) -> None:
    live = await app.client(livemode=True)
    with Receiver() as receiver:
        endpoint = await made(live, ENDPOINTS, {"url": receiver.url, "events": ["*"]})
        assert (await live.post(f"{ENDPOINTS}/{endpoint['id']}/test")).json()["succeeded"]
    (tried,) = receiver.events("session.paid")
    assert tried["livemode"] is False
