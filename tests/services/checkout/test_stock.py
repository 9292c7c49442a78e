"""The stock of a link: exact whatever happens to its sessions, and counted from them alone."""

import random
import threading
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto_checkout.core.alerts.issues import IssueKind
from crypto_checkout.services.alerts.issues import Issues
from tests.support.api import App, Clock, made, open_app
from tests.support.server import Server

SESSIONS, LINKS, HELPERS = "/checkout_sessions", "/payment_links", "/test_helpers"
TTL, GRACE = 900, 3600
SOLD, RESERVED = {"paid", "paid_late", "overpaid"}, {"pending", "detected", "underpaid"}


@pytest.fixture
async def timed(tmp_path: Path) -> AsyncIterator[tuple[App, Clock]]:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        yield app, clock


async def a_link(app: App, **quantity: int) -> str:
    body = {"title": "A ticket", "fiatAmount": "30.00", "quantity": quantity}
    return str((await made(app.api, LINKS, body))["id"])


async def order(app: App, link_id: str, quantity: int = 1) -> str | None:
    """Order pieces; return the session's id, None if there are not so many."""
    answer = await app.api.post(SESSIONS, json={"linkId": link_id, "quantity": quantity})
    assert answer.status_code in {201, 409}, answer.text
    return str(answer.json()["id"]) if answer.is_success else None


async def pay(app: App, session_id: str | None, **how: str) -> None:
    answer = await app.api.post(f"{HELPERS}{SESSIONS}/{session_id}/pay", json=how)
    assert answer.is_success, answer.text


async def mine(app: App, blocks: int = 3) -> None:
    assert (await app.api.post(f"{HELPERS}/chain/mine", json={"blocks": blocks})).is_success


async def stock(app: App, link_id: str) -> tuple[int, int, int]:
    """Return what is sold, reserved and left."""
    quantity = (await app.api.get(f"{LINKS}/{link_id}")).json()["quantity"]
    return quantity["sold"], quantity["reserved"], quantity["available"]


async def status(app: App, session_id: str | None) -> str:
    return str((await app.api.get(f"{SESSIONS}/{session_id}")).json()["status"])


async def oversold(app: App) -> list[str]:
    found = (await Issues(app.opened.db, {}).gather(False)).issues
    return [each.words for each in found if each.kind is IssueKind.OVERSOLD]


async def test_a_late_payment_can_sell_more_than_there_was_and_is_an_issue(timed: tuple[App, Clock]) -> None:
    app, clock = timed
    link_id = await a_link(app, stock=1)
    first = await order(app, link_id)
    clock.move(seconds=TTL + 60)
    await mine(app)
    assert (await status(app, first), await stock(app, link_id)) == ("expired", (0, 0, 1))
    second = await order(app, link_id)
    await pay(app, second)
    await pay(app, first)
    await mine(app)
    assert [await status(app, each) for each in (first, second)] == ["paid_late", "paid"]
    assert await stock(app, link_id) == (2, 0, 0)
    assert await order(app, link_id) is None
    assert await oversold(app) == ["“A ticket” sold 2 of 1."]
    await app.api.patch(f"{LINKS}/{link_id}", json={"quantity": {"stock": 2}})
    assert await oversold(app) == []
    assert await stock(app, link_id) == (2, 0, 0)


async def test_an_accepted_late_payment_counts_as_sold_once_it_is_accepted(timed: tuple[App, Clock]) -> None:
    app, clock = timed
    link_id = await a_link(app, stock=1)
    session_id = await order(app, link_id)
    clock.move(seconds=TTL + GRACE + 60)
    await mine(app)
    await pay(app, session_id)
    await mine(app)
    assert (await status(app, session_id), await stock(app, link_id)) == ("expired", (0, 0, 1))
    assert (await app.api.post(f"{SESSIONS}/{session_id}/accept")).is_success
    assert await stock(app, link_id) == (1, 0, 0)


async def test_what_a_reorg_takes_back_is_for_sale_until_it_returns(timed: tuple[App, Clock]) -> None:
    app, _ = timed
    link_id = await a_link(app, stock=1)
    session_id = await order(app, link_id)
    await pay(app, session_id, scenario="reorged_after_paid")
    assert await status(app, session_id) == "failed"
    assert await stock(app, link_id) == (0, 0, 1)
    await pay(app, session_id)
    await mine(app, 5)
    assert (await status(app, session_id), await stock(app, link_id)) == ("paid", (1, 0, 0))


async def test_an_underpaid_session_keeps_its_pieces_until_its_grace_is_over(timed: tuple[App, Clock]) -> None:
    app, clock = timed
    link_id = await a_link(app, stock=1)
    session_id = await order(app, link_id)
    await pay(app, session_id, amount="0.001")
    await mine(app)
    clock.move(seconds=TTL + GRACE - 60)
    await mine(app)
    assert (await status(app, session_id), await stock(app, link_id)) == ("underpaid", (0, 1, 0))
    clock.move(seconds=120)
    await mine(app)
    assert (await status(app, session_id), await stock(app, link_id)) == ("underpaid", (0, 0, 1))
    assert (await app.api.post(f"{SESSIONS}/{session_id}/accept")).is_success
    assert await stock(app, link_id) == (1, 0, 0)


async def test_a_stock_below_what_is_sold_sells_no_more_and_is_an_issue(timed: tuple[App, Clock]) -> None:
    app, _ = timed
    link_id = await a_link(app, max=5, stock=5)
    await pay(app, await order(app, link_id, 3))
    await mine(app)
    await order(app, link_id, 1)
    lowered = (await app.api.patch(f"{LINKS}/{link_id}", json={"quantity": {"max": 5, "stock": 2}})).json()["quantity"]
    assert (lowered["sold"], lowered["reserved"], lowered["available"]) == (3, 1, 0)
    assert await oversold(app) == ["“A ticket” sold 3 of 2."]
    assert await order(app, link_id) is None
    await app.api.delete(f"{LINKS}/{link_id}")
    assert await oversold(app) == []
    events = (await app.api.get(f"/events?resourceId={link_id}")).json()["data"]
    assert [each["data"]["quantity"]["sold"] for each in events] == [3, 3, 0]


@pytest.mark.parametrize("seed", range(3))
async def test_the_count_is_that_of_the_sessions_whatever_happens(timed: tuple[App, Clock], seed: int) -> None:
    app, clock = timed
    dice = random.Random(seed)
    link_id = await a_link(app, max=3, stock=8)
    pieces: dict[str, int] = {}
    was: Mapping[str, str] = {}
    late = False
    for _ in range(40):
        some = dice.choice([*pieces]) if pieces else None
        match dice.choice(["order", "order", "pay", "pay", "underpay", "mine", "wait", "close", "accept"]):
            case "pay" if some:
                await app.api.post(f"{HELPERS}{SESSIONS}/{some}/pay")
            case "underpay" if some:
                await app.api.post(f"{HELPERS}{SESSIONS}/{some}/pay", json={"amount": "0.001"})
            case "close" if some:
                await app.api.post(f"{SESSIONS}/{some}/expire")
            case "accept" if some:
                await app.api.post(f"{SESSIONS}/{some}/accept")
            case "wait":
                clock.move(seconds=dice.choice([60, TTL, GRACE]))
                await mine(app)
            case "mine":
                await mine(app)
            case _:
                before, number = await stock(app, link_id), dice.randint(1, 3)
                session_id = await order(app, link_id, number)
                assert (session_id is not None) is (number <= before[2])
                if session_id is not None:
                    pieces[session_id] = number
        now = {each: await status(app, each) for each in pieces}
        # Money in the grace period takes pieces back that were for sale again, first as reserved and then as sold.
        late = late or any(
            was.get(each) in {"expired", "failed", "underpaid"} - {now[each]} and now[each] in SOLD | RESERVED
            for each in now
        )
        sums = Counter[str]()
        for each, found in now.items():
            sums[found] += pieces[each]
        sold, reserved, available = await stock(app, link_id)
        assert sold == sum(sums[each] for each in SOLD)
        assert sum(sums[each] for each in RESERVED - {"underpaid"}) <= reserved <= sum(sums[each] for each in RESERVED)
        assert available == max(0, 8 - sold - reserved)
        assert late or sold + reserved <= 8
        was = now


def test_a_killed_server_neither_loses_nor_invents_a_piece(tmp_path: Path) -> None:
    stop = threading.Event()
    with Server(tmp_path) as server:
        key = server.key
        link = server.api.post(
            LINKS, json={"title": "A ticket", "fiatAmount": "30.00", "quantity": {"max": 3, "stock": 60}}
        ).json()
        answered: list[int] = []

        def buy(client: httpx.Client) -> None:
            while not stop.is_set():
                try:
                    answer = client.post(SESSIONS, json={"linkId": link["id"], "quantity": 3})
                except httpx.TransportError:
                    return
                if answer.status_code != 201:
                    return
                answered.append(answer.json()["quantity"])

        threads = [threading.Thread(target=buy, args=(server.client(key),)) for _ in range(4)]
        for each in threads:
            each.start()
        server.wait_until(lambda: len(answered) >= 6, "sell some")
        server.process.kill()
        stop.set()
        for each in threads:
            each.join()
        server.kill()  # not before: it closes the clients the threads ask with
    with Server(tmp_path) as server:
        api = server.client(key)
        quantity = api.get(f"{LINKS}/{link['id']}").json()["quantity"]
        assert sum(answered) <= quantity["reserved"] <= 60
        while api.post(SESSIONS, json={"linkId": link["id"], "quantity": 1}).status_code == 201:
            pass
        sessions = [
            session for page in _pages(api, f"{SESSIONS}?linkId={link['id']}&limit=100") for session in page["data"]
        ]
        assert sum(session["quantity"] for session in sessions) == 60
        assert api.get(f"{LINKS}/{link['id']}").json()["quantity"]["available"] == 0


def _pages(api: httpx.Client, path: str) -> list[dict[str, Any]]:
    page = api.get(path).json()
    assert not page["hasMore"]
    return [page]


async def test_a_receipt_names_the_number_of_pieces(timed: tuple[App, Clock]) -> None:
    app, _ = timed
    link_id = await a_link(app, max=3)
    session_id = await order(app, link_id, 3)
    await pay(app, session_id)
    await mine(app)
    receipt = (await (await app.anybody()).get(f"http://shop.example/checkout/{session_id}/receipt")).text
    assert "3 × A ticket" in receipt
    assert "90.00 USD" in receipt
