"""The main path in test mode, told as stories: a link, a session, payments, events, and webhooks that arrive signed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from crypto_checkout.webhooks import signing
from tests.support.api import App, Clock, error, listed, made, open_app
from tests.support.hostile_endpoints import answer, serving
from tests.support.receiver import Received, Receiver
from tests.support.waiting import until

SESSIONS, LINKS, ENDPOINTS = "/checkout_sessions", "/payment_links", "/webhook_endpoints"
TTL, GRACE = 900, 3600


@dataclass(frozen=True)
class Pay:
    """Pay an amount of the session's coin, None for what is missing, in a block of its own."""

    amount: str | None = None


@dataclass(frozen=True)
class Mine:
    """Let so many blocks come, one a second."""

    blocks: int


@dataclass(frozen=True)
class Story:
    """The steps of a payer with a session for 30 USD (0.01 ETH), and the status after each.

    `events` are the session's, after its creation; `received` is the coin amount in the end.
    """

    name: str
    steps: tuple[tuple[Pay | Mine, str], ...]
    events: str
    received: str
    asset: str = "ETH"

    def __str__(self) -> str:
        return self.name


STORIES = (
    Story(
        "the exact amount is paid once it is three blocks deep",
        ((Pay(), "detected"), (Mine(1), "detected"), (Mine(1), "paid"), (Mine(TTL + GRACE), "paid")),
        "detected paid",
        "0.01",
    ),
    Story(
        "too little is underpaid once it is deep, and stays so",
        ((Pay("0.004"), "pending"), (Mine(1), "pending"), (Mine(1), "underpaid"), (Mine(TTL + GRACE), "underpaid")),
        "underpaid",
        "0.004",
    ),
    Story(
        "what was too little is paid with the rest",
        ((Pay("0.004"), "pending"), (Mine(2), "underpaid"), (Pay(), "detected"), (Mine(2), "paid")),
        "underpaid detected paid",
        "0.01",
    ),
    Story(
        "three parts are one payment in the end",
        ((Pay("0.004"), "pending"), (Pay("0.004"), "pending"), (Pay("0.002"), "detected"), (Mine(2), "paid")),
        "detected paid",
        "0.01",
    ),
    Story(
        "too much is overpaid",
        ((Pay("0.02"), "detected"), (Mine(2), "overpaid"), (Mine(TTL + GRACE), "overpaid")),
        "detected overpaid",
        "0.02",
    ),
    Story(
        "a second payment after the first makes it overpaid",
        ((Pay(), "detected"), (Mine(2), "paid"), (Pay("0.01"), "paid"), (Mine(2), "overpaid")),
        "detected paid overpaid",
        "0.02",
    ),
    Story(
        "a thousandth too little is as good as enough",
        ((Pay("0.00999"), "detected"), (Mine(2), "paid")),
        "detected paid",
        "0.00999",
    ),
    Story(
        "a wei less than that is not",
        ((Pay("0.009989999999999999"), "pending"), (Mine(2), "underpaid")),
        "underpaid",
        "0.009989999999999999",
    ),
    Story(
        "a twentieth too much is no overpayment",
        ((Pay("0.0105"), "detected"), (Mine(2), "paid")),
        "detected paid",
        "0.0105",
    ),
    Story(
        "a wei more than that is one",
        ((Pay("0.010500000000000001"), "detected"), (Mine(2), "overpaid")),
        "detected overpaid",
        "0.010500000000000001",
    ),
    Story(
        "nothing expires with the first block after the time to pay",
        ((Mine(TTL), "pending"), (Mine(1), "expired"), (Mine(GRACE), "expired")),
        "expired",
        "0",
    ),
    Story(
        "a payment in the last block that is on time is paid",
        ((Mine(TTL - 1), "pending"), (Pay(), "detected"), (Mine(2), "paid")),
        "detected paid",
        "0.01",
    ),
    Story(
        "a payment in grace is paid late",
        ((Mine(TTL + 1), "expired"), (Pay(), "detected"), (Mine(2), "paid_late")),
        "expired detected paid_late",
        "0.01",
    ),
    Story(
        "the rest in grace makes it paid late",
        ((Pay("0.004"), "pending"), (Mine(TTL + 1), "underpaid"), (Pay(), "detected"), (Mine(2), "paid_late")),
        "underpaid detected paid_late",
        "0.01",
    ),
    Story(
        "a payment after the grace is noted and does not count",
        ((Mine(TTL + GRACE + 1), "expired"), (Pay(), "expired"), (Mine(2), "expired")),
        "expired late_payment",
        "0",
    ),
    Story(
        "a token is paid as a coin is",
        ((Pay("10"), "pending"), (Pay(), "detected"), (Mine(2), "paid")),
        "detected paid",
        "30",
        "USDC",
    ),
)


@dataclass
class Stage:
    """An application whose time stands still but for what is mined, and a shop that receives its webhooks."""

    app: App
    clock: Clock
    shop: Receiver
    endpoint: dict[str, Any]

    async def run(self, step: Pay | Mine, session: dict[str, Any]) -> None:
        """Take a step through the test helpers."""
        if isinstance(step, Mine):
            answer = await self.app.api.post("/test_helpers/chain/mine", json={"blocks": step.blocks})
        else:
            body = {} if step.amount is None else {"amount": step.amount}
            answer = await self.app.api.post(f"/test_helpers{SESSIONS}/{session['id']}/pay", json=body)
        assert answer.status_code == 200, answer.text

    def check(self, delivery: Received) -> None:
        """Check a delivery's signatures, as a shop does: by our scheme and by the Standard Webhooks library."""
        secret, now = self.endpoint["secret"], int(self.clock.now.timestamp())
        signing.verify(delivery.headers["x-webhook-signature"], delivery.body, secret, now=now)
        assert delivery.headers["x-webhook-timestamp"] == delivery.headers["webhook-timestamp"]
        assert Webhook(secret).verify(delivery.body, delivery.headers) == delivery.event
        assert delivery.headers["webhook-id"] == delivery.event["id"]


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    clock = Clock()
    sessions = {"ttl_seconds": TTL, "late_grace_seconds": GRACE}
    with Receiver() as shop:
        async with open_app(tmp_path_factory.mktemp("stories"), clock=clock, sessions=sessions) as app:
            endpoint = await made(app.api, ENDPOINTS, {"url": shop.url, "events": ["*"]})
            yield Stage(app, clock, shop, endpoint)


@pytest.mark.parametrize("story", STORIES, ids=str)
async def test_a_story(stage: Stage, story: Story) -> None:
    api = stage.app.api
    link = await made(api, LINKS, {"title": story.name, "fiatAmount": "30.00", "asset": story.asset})
    session = await made(api, SESSIONS, {"linkId": link["id"]})
    for step, status in story.steps:
        await stage.run(step, session)
        session = (await api.get(f"{SESSIONS}/{session['id']}")).json()
        assert session["status"] == status, step
    assert session["amountReceived"]["value"] == story.received
    paid = [step for step, _ in story.steps if isinstance(step, Pay)]
    assert len(session["payments"]) == len(paid)
    assert (session["paidAt"] is not None) is (session["status"] in {"paid", "paid_late", "overpaid"})

    events = (await listed(api, "/events", resourceId=session["id"]))["data"][::-1]
    types = ["session.created", *(f"session.{name}" for name in story.events.split())]
    assert [event["type"] for event in events] == types
    assert events[-1]["data"]["status"] == session["status"]
    events += (await listed(api, "/events", resourceId=link["id"]))["data"]
    ids = {event["id"] for event in events}
    await until(lambda: ids <= {each.headers["webhook-id"] for each in stage.shop.received}, "the deliveries")
    deliveries = [each for each in stage.shop.received if each.headers["webhook-id"] in ids]
    assert len(deliveries) == len(events), "each comes once"
    for delivery in deliveries:
        stage.check(delivery)
        assert delivery.event in events


async def test_what_the_payer_sees_is_what_the_shop_is_told(stage: Stage) -> None:
    session = await made(stage.app.api, SESSIONS, {"amount": {"value": "30.00", "currency": "USD"}})
    await stage.run(Pay(), session)
    page = await stage.app.api.get(f"http://shop.example/checkout/{session['id']}/status")
    assert page.json()["status"] == "detected"

    def told() -> list[dict[str, Any]]:
        return [
            event["data"] for event in stage.shop.events("session.detected") if event["data"]["id"] == session["id"]
        ]

    await until(told, "the delivery")
    assert told() == [(await stage.app.api.get(f"{SESSIONS}/{session['id']}")).json()]
    assert told()[0]["txHash"] == told()[0]["payments"][0]["txHash"]


async def test_what_is_paid_can_not_be_paid_again_without_an_amount(stage: Stage) -> None:
    session = await made(stage.app.api, SESSIONS, {"amount": {"value": "30.00", "currency": "USD"}})
    await stage.run(Pay(), session)
    refused = await stage.app.api.post(f"/test_helpers{SESSIONS}/{session['id']}/pay")
    assert error(refused)["code"] == "session_not_open"


# --- shops that do not answer well -----------------------------------------------------------------------------------


@asynccontextmanager
async def impatient(folder: Path) -> AsyncIterator[App]:
    """Open an application that tries a delivery three times, a second apart."""
    webhooks = {"allow_private_networks": True, "retry_seconds": [1, 1]}
    async with open_app(folder, webhooks=webhooks) as app:
        yield app


async def attempts(app: App, endpoint: dict[str, Any]) -> list[tuple[str, int, int | None]]:
    """Return what became of an endpoint's deliveries: where each stands, and its attempts with their answers."""
    rows = await app.opened.db.read(
        lambda unit: unit.all(
            """
            SELECT deliveries.status, number, status_code
            FROM deliveries
            JOIN delivery_attempts ON delivery_seq = deliveries.seq
            WHERE endpoint_id = :id
            ORDER BY deliveries.seq, number
            """,
            {"id": endpoint["id"]},
        )
    )
    return [(row["status"], row["number"], row["status_code"]) for row in rows]


async def sell(app: App) -> dict[str, Any]:
    """Make a link, which is an event."""
    return await made(app.api, LINKS, {"title": "A book", "fiatAmount": "30.00"})


async def shown(app: App, endpoint: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await app.api.get(f"{ENDPOINTS}/{endpoint['id']}")).json()
    return found


async def test_what_failed_is_tried_again_and_signed_anew(tmp_path: Path) -> None:
    with Receiver(500) as shop:
        async with impatient(tmp_path) as app:
            endpoint = await made(app.api, ENDPOINTS, {"url": shop.url, "events": ["payment_link.created"]})
            await sell(app)
            await until(lambda: attempts(app, endpoint), "the first attempt")
            shop.status = 200

            async def is_over() -> bool:
                return await attempts(app, endpoint) == [("succeeded", 1, 500), ("succeeded", 2, 200)]

            await until(is_over, "the second attempt")
    first, second = shop.received
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert int(second.headers["webhook-timestamp"]) > int(first.headers["webhook-timestamp"]) - 1
    for delivery in (first, second):
        now = int(delivery.headers["webhook-timestamp"])
        signing.verify(delivery.headers["x-webhook-signature"], delivery.body, endpoint["secret"], now=now)
        Webhook(endpoint["secret"]).verify(delivery.body, delivery.headers)


async def test_after_the_last_attempt_a_delivery_is_abandoned_and_the_next_event_is_still_sent(tmp_path: Path) -> None:
    with Receiver(500) as shop:
        async with impatient(tmp_path) as app:
            endpoint = await made(app.api, ENDPOINTS, {"url": shop.url, "events": ["payment_link.created"]})
            await sell(app)
            lost = [("abandoned", number, 500) for number in (1, 2, 3)]

            async def is_abandoned() -> bool:
                return await attempts(app, endpoint) == lost

            await until(is_abandoned, "three attempts")
            shop.status = 204
            await sell(app)

            async def is_sent() -> bool:
                return await attempts(app, endpoint) == [*lost, ("succeeded", 1, 204)]

            await until(is_sent, "the next event")
            assert (await shown(app, endpoint))["active"]
    assert len(shop.received) == 4


async def test_a_shop_that_is_gone_is_not_asked_again_and_that_is_an_event(tmp_path: Path) -> None:
    with Receiver(410) as gone, Receiver() as audit:
        async with impatient(tmp_path) as app:
            endpoint = await made(app.api, ENDPOINTS, {"url": gone.url, "events": ["payment_link.created"]})
            await made(
                app.api, ENDPOINTS, {"url": audit.url, "events": ["webhook_endpoint.disabled", "payment_link.created"]}
            )
            await sell(app)
            await until(lambda: audit.events("webhook_endpoint.disabled"), "the notice")
            disabled = await shown(app, endpoint)
            assert disabled["active"] is False
            assert "410" in disabled["disabledReason"]
            assert await attempts(app, endpoint) == [("abandoned", 1, 410)]
            (event,) = (await listed(app.api, "/events", type="webhook_endpoint.disabled"))["data"]
            assert event["data"] == disabled
            assert audit.events("webhook_endpoint.disabled") == [event]
            await sell(app)
            await until(lambda: len(audit.events("payment_link.created")) == 2, "the next event")
    assert len(gone.received) == 1


async def test_an_endpoint_that_is_deleted_between_two_attempts_is_not_asked_again(tmp_path: Path) -> None:
    clock = Clock()
    with Receiver(500) as deleted, Receiver(500) as kept:
        async with open_app(tmp_path, clock=clock) as app:
            endpoint = await made(app.api, ENDPOINTS, {"url": deleted.url, "events": ["payment_link.created"]})
            other = await made(app.api, ENDPOINTS, {"url": kept.url, "events": ["payment_link.created"]})
            await sell(app)

            async def are_recorded() -> bool:
                return bool(await attempts(app, endpoint) and await attempts(app, other))

            await until(are_recorded, "the first attempts")
            assert (await app.api.delete(f"{ENDPOINTS}/{endpoint['id']}")).status_code == 200
            clock.move(hours=1)
            await sell(app)
            await until(lambda: len(kept.received) == 3, "the other's second attempt, and the next event")
            assert await attempts(app, endpoint) == []
    assert len(deleted.received) == 1


async def test_an_endpoint_that_is_deleted_during_an_attempt_disturbs_nobody(tmp_path: Path) -> None:
    arrived, deleted = asyncio.Event(), asyncio.Event()

    async def slow(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await deleted.wait()
        writer.write(answer("410 Gone"))
        await writer.drain()

    async with serving(slow) as shop, impatient(tmp_path) as app:
        endpoint = await made(app.api, ENDPOINTS, {"url": shop.url, "events": ["payment_link.created"]})
        await sell(app)
        await arrived.wait()
        assert (await app.api.delete(f"{ENDPOINTS}/{endpoint['id']}")).status_code == 200
        deleted.set()
        with Receiver() as other:
            await made(app.api, ENDPOINTS, {"url": other.url, "events": ["payment_link.created"]})
            await sell(app)
            await until(lambda: other.received, "the next event")
        assert (await listed(app.api, "/events", type="webhook_endpoint.disabled"))["data"] == []


async def test_one_slow_shop_does_not_delay_another(tmp_path: Path) -> None:
    async def stuck(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    with Receiver() as quick:
        async with serving(stuck) as slow, impatient(tmp_path) as app:
            await made(app.api, ENDPOINTS, {"url": slow.url, "events": ["payment_link.created"]})
            await made(app.api, ENDPOINTS, {"url": quick.url, "events": ["payment_link.created"]})
            for _ in range(30):
                await sell(app)
            await until(lambda: len(quick.received) == 30, "all events at the quick one")
