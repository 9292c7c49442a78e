"""An endpoint that only ever fails, or is gone, is switched off; what it missed can be sent to it afterwards."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.services.upkeep.retention import Retention
from crypto_checkout.store.webhooks.deliveries import MOST_SHOWN
from tests.support.api import LINK, App, Clock, listed, made, open_app
from tests.support.receiver import Receiver
from tests.support.waiting import until

ENDPOINTS, LINKS = "/webhook_endpoints", "/payment_links"
MONTH_SECONDS = 30 * 86_400


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def app(tmp_path: Path, clock: Clock) -> AsyncIterator[App]:
    # No retry within the days of a test: one that a moved clock makes due would come before the next step, or after it.
    webhooks = {"allow_private_networks": True, "retry_seconds": [MONTH_SECONDS] * 5}
    async with open_app(tmp_path, clock=clock, webhooks=webhooks) as running:
        yield running


async def endpoint_to(app: App, receiver: Receiver) -> str:
    made_one = await made(app.api, ENDPOINTS, {"url": receiver.url, "events": ["payment_link.created"]})
    endpoint_id: str = made_one["id"]
    return endpoint_id


async def found(app: App, endpoint_id: str) -> dict[str, Any]:
    answer: dict[str, Any] = (await app.api.get(f"{ENDPOINTS}/{endpoint_id}")).json()
    return answer


async def is_disabled(app: App, endpoint_id: str) -> bool:
    return not (await found(app, endpoint_id))["active"]


async def attempts(app: App, endpoint_id: str) -> int:
    page = await listed(app.api, f"{ENDPOINTS}/{endpoint_id}/deliveries", limit=100)
    return sum(len(delivery["attempts"]) for delivery in page["data"])


async def event_and_attempt(app: App, endpoint_id: str) -> dict[str, Any]:
    """Make something happen, and wait until an attempt to tell the endpoint of it is recorded."""
    before = await attempts(app, endpoint_id)
    link = await made(app.api, LINKS, LINK)

    async def is_recorded() -> bool:
        return await attempts(app, endpoint_id) > before or await is_disabled(app, endpoint_id)

    await until(is_recorded, "the attempt")
    return link


async def fail_for_days(app: App, clock: Clock, endpoint_id: str, days: int) -> None:
    for _ in range(days):
        await event_and_attempt(app, endpoint_id)
        clock.move(days=1)


async def test_five_days_of_nothing_but_failures_switch_an_endpoint_off(
    app: App, clock: Clock, capfd: pytest.CaptureFixture[str]
) -> None:
    with Receiver(status=500) as receiver:
        endpoint_id = await endpoint_to(app, receiver)
        begun = clock.now
        await fail_for_days(app, clock, endpoint_id, 5)
        assert (await found(app, endpoint_id))["active"]
        await event_and_attempt(app, endpoint_id)
    endpoint = await found(app, endpoint_id)
    assert not endpoint["active"]
    assert endpoint["disabledReason"] == (
        "Nothing but failures for 5 days. The last one: The endpoint answered 500; only a 2xx counts as received."
    )
    assert endpoint["missedSince"] == begun.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    (event,) = (await listed(app.api, "/events", type="webhook_endpoint.disabled"))["data"]
    assert event["data"] == endpoint
    waiting = await listed(app.api, f"{ENDPOINTS}/{endpoint_id}/deliveries", status="pending")
    assert waiting["data"] == []
    logged = [""]

    def is_logged() -> bool:
        logged.extend(capfd.readouterr())
        return "webhook endpoint disabled" in "".join(logged)

    await until(is_logged, "the line of the log")


async def test_a_clock_that_jumps_over_days_switches_nothing_off(app: App, clock: Clock) -> None:
    with Receiver(status=500) as receiver:
        endpoint_id = await endpoint_to(app, receiver)
        for _ in range(3):
            await event_and_attempt(app, endpoint_id)
        clock.move(days=400)
        for _ in range(3):
            await event_and_attempt(app, endpoint_id)
    assert (await found(app, endpoint_id))["active"]


async def test_one_success_begins_the_count_anew(app: App, clock: Clock) -> None:
    with Receiver(status=500) as receiver:
        endpoint_id = await endpoint_to(app, receiver)
        await fail_for_days(app, clock, endpoint_id, 5)
        receiver.status = 200
        await event_and_attempt(app, endpoint_id)
        receiver.status = 500
        await fail_for_days(app, clock, endpoint_id, 5)
        assert (await found(app, endpoint_id))["active"]
        await event_and_attempt(app, endpoint_id)
    await until(lambda: is_disabled(app, endpoint_id), "the end of the endpoint")


async def test_a_new_url_begins_the_count_anew(app: App, clock: Clock) -> None:
    with Receiver(status=500) as receiver:
        endpoint_id = await endpoint_to(app, receiver)
        await fail_for_days(app, clock, endpoint_id, 5)
        await app.api.patch(f"{ENDPOINTS}/{endpoint_id}", json={"url": f"{receiver.url}2"})
        await event_and_attempt(app, endpoint_id)
    assert (await found(app, endpoint_id))["active"]


async def test_a_410_of_the_url_of_before_ends_nothing(app: App) -> None:
    with Receiver(status=410) as receiver:
        receiver.answers.clear()
        endpoint_id = await endpoint_to(app, receiver)
        await made(app.api, LINKS, LINK)
        await until(lambda: receiver.received, "the request")
        await app.api.patch(f"{ENDPOINTS}/{endpoint_id}", json={"url": f"{receiver.url}2"})
        receiver.answers.set()
        await until(lambda: attempts(app, endpoint_id), "its record")
    assert (await found(app, endpoint_id))["active"]
    (delivery,) = (await listed(app.api, f"{ENDPOINTS}/{endpoint_id}/deliveries"))["data"]
    assert delivery["status"] == "pending"


async def test_an_endpoint_that_is_told_nothing_is_not_switched_off(app: App, clock: Clock) -> None:
    with Receiver(status=500) as receiver:
        endpoint_id = await endpoint_to(app, receiver)
        clock.move(days=30)
        await event_and_attempt(app, endpoint_id)
    assert (await found(app, endpoint_id))["active"]


@pytest.mark.parametrize("how", ["gone", "failures", "by hand"])
async def test_what_was_missed_is_sent_when_it_is_switched_on_again(app: App, clock: Clock, how: str) -> None:
    with Receiver(status=410 if how == "gone" else 500) as receiver:
        endpoint_id = await endpoint_to(app, receiver)
        links = [await event_and_attempt(app, endpoint_id)]
        if how == "failures":
            for _ in range(5):
                clock.move(days=1)
                links.append(await event_and_attempt(app, endpoint_id))
        if how == "by hand":
            await app.api.patch(f"{ENDPOINTS}/{endpoint_id}", json={"active": False})
        await until(lambda: is_disabled(app, endpoint_id), "the end of the endpoint")
        clock.move(hours=3)
        links += [await made(app.api, LINKS, LINK) for _ in range(3)]  # while it is switched off
        receiver.status = 200
        receiver.received.clear()
        back = (await app.api.patch(f"{ENDPOINTS}/{endpoint_id}", json={"active": True})).json()
        assert (back["active"], back["disabledReason"]) == (True, None)
        since = back["missedSince"]
        answer = await app.api.post(f"{ENDPOINTS}/{endpoint_id}/replay", json={"since": since})
        assert answer.json()["queued"] == len(links)
        await until(lambda: len(receiver.received) >= len(links), "what was missed")
        told = {event["data"]["id"] for event in receiver.events("payment_link.created")}
    assert told == {link["id"] for link in links}
    assert (await found(app, endpoint_id))["missedSince"] is None


async def test_a_replay_of_a_part_leaves_the_offer_standing(app: App, clock: Clock) -> None:
    with Receiver(status=410) as receiver:
        endpoint_id = await endpoint_to(app, receiver)
        await event_and_attempt(app, endpoint_id)
        off = await found(app, endpoint_id)
        clock.move(hours=1)
        now = clock.now.isoformat().replace("+00:00", "Z")
        await app.api.post(f"{ENDPOINTS}/{endpoint_id}/replay", json={"since": now})
    assert (await found(app, endpoint_id))["missedSince"] == off["missedSince"]


async def test_old_attempts_are_forgotten_and_their_deliveries_stay(app: App, clock: Clock) -> None:
    with Receiver() as receiver:
        endpoint_id = await endpoint_to(app, receiver)
        await event_and_attempt(app, endpoint_id)
        clock.move(days=20)
        await event_and_attempt(app, endpoint_id)
    clock.move(days=11)
    await Retention(app.opened.db, event_days=0, attempt_days=30, clock=clock).turn()
    newer, older = (await listed(app.api, f"{ENDPOINTS}/{endpoint_id}/deliveries"))["data"]
    assert [delivery["status"] for delivery in (newer, older)] == ["succeeded", "succeeded"]
    assert [len(delivery["attempts"]) for delivery in (newer, older)] == [1, 0]
    since = {"since": "2020-01-01T00:00:00Z"}
    assert (await app.api.post(f"{ENDPOINTS}/{endpoint_id}/replay", json=since)).json()["queued"] == 0


async def test_a_delivery_that_was_sent_again_and_again_shows_its_newest_attempts(app: App) -> None:
    with Receiver() as receiver:
        endpoint_id = await endpoint_to(app, receiver)
        await event_and_attempt(app, endpoint_id)
        event_id = receiver.received[0].event["id"]
        for number in range(2, MOST_SHOWN + 3):
            await app.api.post(f"{ENDPOINTS}/{endpoint_id}/replay", json={"eventId": event_id})
            await until(lambda: newest(app, endpoint_id, number), "the attempt")  # noqa: B023 - called at once
    (delivery,) = (await listed(app.api, f"{ENDPOINTS}/{endpoint_id}/deliveries"))["data"]
    assert [attempt["number"] for attempt in delivery["attempts"]] == list(range(3, MOST_SHOWN + 3))


async def newest(app: App, endpoint_id: str, number: int) -> bool:
    (delivery,) = (await listed(app.api, f"{ENDPOINTS}/{endpoint_id}/deliveries"))["data"]
    return bool(delivery["attempts"][-1]["number"] == number)
