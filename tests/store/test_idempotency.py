"""Idempotency keys: nothing runs twice, whoever asks again, however often, and whatever was killed meanwhile."""

import asyncio
import itertools
import json
import random
import string
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from crypto_checkout.core.owner.api_key import Scope
from crypto_checkout.services.upkeep.retention import Retention
from tests.support.api import ENDPOINT, LINK, PRICE, App, Clock, RateClock, error, listed, made, open_app
from tests.support.server import Server
from tests.support.waiting import WAIT_SECONDS

SESSIONS, LINKS, ENDPOINTS = "/checkout_sessions", "/payment_links", "/webhook_endpoints"
CUSTOMERS = "/customers"
REPLAYED = "idempotent-replayed"


def key(name: str) -> dict[str, str]:
    return {"Idempotency-Key": name}


@pytest.mark.parametrize(
    ("path", "body"), [(SESSIONS, PRICE), (LINKS, LINK), (ENDPOINTS, ENDPOINT), ("/test_helpers/chain/mine", {})]
)
async def test_the_same_request_again_gets_the_same_answer(
    api: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    first, second, third = [await api.post(path, json=body, headers=key("a")) for _ in range(3)]
    assert first.is_success
    assert REPLAYED not in first.headers
    for again in (second, third):
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["content-type"] == first.headers["content-type"]
        assert again.headers[REPLAYED] == "true"
        assert again.headers["x-request-id"] != first.headers["x-request-id"]
    if path != "/test_helpers/chain/mine":
        assert len((await listed(api, path))["data"]) == 1


async def test_without_a_key_each_request_runs(api: httpx.AsyncClient) -> None:
    first, second = await made(api, SESSIONS, PRICE), await made(api, SESSIONS, PRICE)
    assert first["id"] != second["id"]


async def test_a_deletion_that_is_repeated_still_succeeds(api: httpx.AsyncClient) -> None:
    link = await made(api, LINKS, LINK)
    first, second = [await api.delete(f"{LINKS}/{link['id']}", headers=key("a")) for _ in range(2)]
    assert first.status_code == second.status_code == 200
    assert first.content == second.content
    assert second.headers[REPLAYED] == "true"


async def test_a_payment_that_is_repeated_pays_once(api: httpx.AsyncClient) -> None:
    session = await made(api, SESSIONS, PRICE)
    pay = f"/test_helpers{SESSIONS}/{session['id']}/pay"
    answers = await asyncio.gather(*(api.post(pay, json={"amount": "0.001"}, headers=key("a")) for _ in range(5)))
    assert len({answer.content for answer in answers}) == 1
    found = (await api.get(f"{SESSIONS}/{session['id']}")).json()
    assert len(found["payments"]) == 1
    assert found["amountReceived"]["value"] == "0.001"


async def test_twenty_at_once_make_one_session(api: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(api.post(SESSIONS, json=PRICE, headers=key("a")) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum(REPLAYED in answer.headers for answer in answers) == 19
    assert len((await listed(api, SESSIONS))["data"]) == 1


async def test_of_different_requests_at_once_one_runs_and_the_others_are_refused(api: httpx.AsyncClient) -> None:
    bodies = [{**LINK, "title": f"Book {number}"} for number in range(10)]
    answers = await asyncio.gather(*(api.post(LINKS, json=body, headers=key("a")) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 9]
    assert len((await listed(api, LINKS))["data"]) == 1


async def test_a_key_that_came_with_another_request_is_refused(api: httpx.AsyncClient) -> None:
    link = await made(api, LINKS, LINK, headers=key("a"))
    others = [
        await api.post(LINKS, json={**LINK, "title": "Another book"}, headers=key("a")),
        await api.post(LINKS, content=json.dumps(LINK) + " ", headers={**key("a"), "Content-Type": "application/json"}),
        await api.post(ENDPOINTS, json=ENDPOINT, headers=key("a")),
        await api.delete(f"{LINKS}/{link['id']}", headers=key("a")),
    ]
    for answer in others:
        assert answer.status_code == 409
        assert error(answer)["code"] == "idempotency_key_reused"
        assert REPLAYED not in answer.headers
    assert (await made(api, LINKS, LINK, headers=key("a"))) == link, "the first one's answer is kept"
    assert (await listed(api, LINKS))["data"] == [link]


async def test_a_host_header_makes_no_other_request_of_it(api: httpx.AsyncClient) -> None:
    first = await api.post(LINKS, json=LINK, headers={**key("a"), "Host": "shop.example"})
    again = await api.post(LINKS, json=LINK, headers={**key("a"), "Host": "pay.example:8443"})
    assert again.content == first.content


async def test_a_key_is_known_only_to_the_api_key_it_came_with(app: App) -> None:
    other = await app.client()
    first = await made(app.api, LINKS, LINK, headers=key("a"))
    second = await made(other, LINKS, {**LINK, "title": "Another book"}, headers=key("a"))
    assert first["id"] != second["id"]


async def test_reading_takes_no_notice_of_a_key(api: httpx.AsyncClient) -> None:
    for _ in range(2):
        answer = await api.get(LINKS, headers=key("a"))
        assert answer.status_code == 200
        assert REPLAYED not in answer.headers
        await made(api, LINKS, LINK)
    await made(api, LINKS, LINK, headers=key("a"))


@pytest.mark.parametrize("name", ["a", "k" * 255, string.punctuation, string.ascii_letters + string.digits])
async def test_a_key_is_any_visible_ascii(api: httpx.AsyncClient, name: str) -> None:
    assert (await made(api, LINKS, LINK, headers=key(name))) == (await made(api, LINKS, LINK, headers=key(name)))


async def test_keys_that_differ_in_case_are_different(api: httpx.AsyncClient) -> None:
    assert (await made(api, LINKS, LINK, headers=key("a"))) != (await made(api, LINKS, LINK, headers=key("A")))


# --- which answers are kept ------------------------------------------------------------------------------------------


async def test_what_ran_and_was_refused_is_refused_again_in_the_same_words(api: httpx.AsyncClient) -> None:
    session = await made(api, SESSIONS, PRICE)
    pay = f"/test_helpers{SESSIONS}/{session['id']}/pay"
    await api.post(pay)
    await made(api, CUSTOMERS, {"email": "ada@example.com"})
    for method, path, code in (
        ("DELETE", f"{LINKS}/pl_1", "resource_not_found"),
        ("POST", f"/test_helpers{SESSIONS}/cs_1/pay", "resource_not_found"),
        ("POST", pay, "session_not_open"),
        ("POST", CUSTOMERS, "customer_exists"),
    ):
        body = {"email": "Ada@example.com"} if path == CUSTOMERS else {}
        first = await api.request(method, path, json=body, headers=key(path))
        again = await api.request(method, path, json=body, headers=key(path))
        assert error(first)["code"] == code
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers[REPLAYED] == "true"


async def test_a_link_that_was_not_there_stays_so_for_its_key(api: httpx.AsyncClient) -> None:
    for _ in range(2):
        answer = await api.post(SESSIONS, json={"linkId": "pl_1"}, headers=key("a"))
        assert (error(answer)["code"], error(answer)["param"]) == ("resource_not_found", "linkId")
    assert answer.headers[REPLAYED] == "true"


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": ""},
        {"title": "A book", "fiatAmount": "1e2"},
        {**LINK, "asset": "BTC"},
        {**LINK, "successUrl": "javascript:alert(1)"},
    ],
)
async def test_a_wrong_request_does_not_use_its_key_up(api: httpx.AsyncClient, wrong: dict[str, Any]) -> None:
    assert (await api.post(LINKS, json=wrong, headers=key("a"))).status_code == 400
    await made(api, LINKS, LINK, headers=key("a"))


async def test_a_link_that_is_switched_off_does_not_use_a_key_up(api: httpx.AsyncClient) -> None:
    link = await made(api, LINKS, {**LINK, "active": False})
    answer = await api.post(SESSIONS, json={"linkId": link["id"]}, headers=key("a"))
    assert error(answer)["code"] == "link_inactive"
    await made(api, SESSIONS, PRICE, headers=key("a"))


async def test_a_refusal_for_the_scope_does_not_use_a_key_up(app: App) -> None:
    reader = await app.client(scopes=[Scope.LINKS_READ])
    for _ in range(2):
        answer = await reader.post(LINKS, json=LINK, headers=key("a"))
        assert error(answer)["code"] == "insufficient_scope"
        assert REPLAYED not in answer.headers


async def test_a_refusal_for_the_rate_does_not_use_a_key_up(tmp_path: Path, still_rate_limits: RateClock) -> None:
    async with open_app(tmp_path, rate_limit={"per_second": 1, "burst": 1}) as app:
        other = await app.api.get(LINKS)
        refused = await app.api.post(LINKS, json=LINK, headers=key("a"))
        assert (other.status_code, refused.status_code) == (200, 429)
        still_rate_limits.now += 1
        link = await made(app.api, LINKS, LINK, headers=key("a"))
        refused = await app.api.post(LINKS, json=LINK, headers=key("a"))
        assert refused.status_code == 429
        still_rate_limits.now += 1
        assert await made(app.api, LINKS, LINK, headers=key("a")) == link


async def test_a_fault_does_not_use_a_key_up_and_leaves_nothing_by_halves(app: App) -> None:
    for table in ("payment_links", "idempotency_keys"):
        name = key(f"without-{table}")
        await rename(app, table, "away")
        with capture_logs():  # tracebacks are slow to print
            for _ in range(2):
                assert (await app.api.post(LINKS, json=LINK, headers=name)).status_code == 500
        await rename(app, "away", table)
        link = await made(app.api, LINKS, LINK, headers=name)
        assert (await listed(app.api, LINKS, limit=1))["data"] == [link]
    assert len((await listed(app.api, LINKS))["data"]) == 2


async def rename(app: App, table: str, to: str) -> None:
    await app.opened.db.write(lambda unit: unit.run(f"ALTER TABLE {table} RENAME TO {to}"))


async def test_a_missing_wallet_does_not_use_a_key_up(app: App) -> None:
    live = await app.client(livemode=True)
    for _ in range(2):
        answer = await live.post(SESSIONS, json=PRICE, headers=key("a"))
        assert answer.status_code == 503
        assert REPLAYED not in answer.headers
    await made(live, ENDPOINTS, ENDPOINT, headers=key("a"))


# --- for how long ----------------------------------------------------------------------------------------------------


async def test_a_key_counts_for_24_hours_from_the_first_request(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock, test_mode={"enabled": False}) as app:
        first = await made(app.api, ENDPOINTS, ENDPOINT, headers=key("a"))
        for hours in (12, 11.99):
            clock.move(hours=hours)
            assert (await made(app.api, ENDPOINTS, ENDPOINT, headers=key("a"))) == first
        clock.move(hours=0.01)
        second = await made(app.api, ENDPOINTS, ENDPOINT, headers=key("a"))
        assert second["id"] != first["id"]
        assert (await made(app.api, ENDPOINTS, ENDPOINT, headers=key("a"))) == second
        clock.move(hours=24)
        other = {**ENDPOINT, "events": ["session.paid"]}
        assert (await made(app.api, ENDPOINTS, other, headers=key("a")))["events"] == ["session.paid"]


async def test_old_answers_are_thrown_away_and_young_ones_kept(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock, test_mode={"enabled": False}) as app:
        await made(app.api, ENDPOINTS, ENDPOINT, headers=key("old"))
        clock.move(hours=23)
        await made(app.api, ENDPOINTS, ENDPOINT, headers=key("young"))
        clock.move(hours=2)
        await Retention(app.opened.db, event_days=0, attempt_days=0, clock=clock).turn()
        rows = await app.opened.db.read(lambda unit: unit.all("SELECT idempotency_key FROM idempotency_keys"))
        assert [row["idempotency_key"] for row in rows] == ["young"]


# --- a killed server -------------------------------------------------------------------------------------------------

KILLS = 10
SERVERS = 2
CLIENTS = 4


class Shop:
    """A shop's clients, which ask until the server is gone and remember what they asked and what was answered."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answered: dict[str, str] = {}
        self._numbers = itertools.count()

    def ask(self, api: httpx.Client, is_answered: threading.Event) -> None:
        while True:
            name = f"order-{next(self._numbers)}"
            self.asked.append(name)
            try:
                answer = post(api, name)
            except httpx.HTTPError:
                return
            assert answer.status_code == 201, answer.text
            self.answered[name] = answer.json()["id"]
            is_answered.set()


def post(api: httpx.Client, name: str) -> httpx.Response:
    return api.post(SESSIONS, json={**PRICE, "metadata": {"order": name}}, headers=key(name))


def test_servers_killed_at_random_moments_make_one_session_per_key(tmp_path_factory: pytest.TempPathFactory) -> None:
    folders = [tmp_path_factory.mktemp("killed") for _ in range(SERVERS)]
    with ThreadPoolExecutor(SERVERS) as both:
        unanswered = list(both.map(killed_again_and_again, folders, range(SERVERS)))
    assert sum(unanswered) >= KILLS * SERVERS, "each kill hit requests that were under way"


def killed_again_and_again(folder: Path, seed: int) -> int:
    """Kill a server, ask all again with the same keys; return how many requests the kills had left unanswered."""
    dice = random.Random(seed)
    shop = Shop()
    api_key = None
    for _ in range(KILLS):
        server = Server(folder)
        api_key = api_key or server.key
        is_answered = threading.Event()
        asking = [threading.Thread(target=shop.ask, args=(server.client(api_key), is_answered)) for _ in range(CLIENTS)]
        for each in asking:
            each.start()
        try:
            assert is_answered.wait(WAIT_SECONDS), server.log
            time.sleep(dice.random() * 0.05)  # the moment of the kill
        finally:
            server.process.kill()
            for each in asking:
                each.join()
            server.kill()
    unanswered = len(shop.asked) - len(shop.answered)
    with Server(folder) as server:
        api = server.client(api_key)
        for name in shop.asked:
            answer = post(api, name)
            assert answer.status_code == 201
            if name in shop.answered:
                assert answer.json()["id"] == shop.answered[name]
                assert answer.headers[REPLAYED] == "true"
        orders = Counter(session["metadata"]["order"] for session in everything(api))
    assert orders == Counter(shop.asked)
    return unanswered


def everything(api: httpx.Client) -> Iterator[dict[str, Any]]:
    """Walk through all sessions."""
    cursor: dict[str, str] = {}
    while True:
        page = api.get(SESSIONS, params={"limit": "100", **cursor}).raise_for_status().json()
        yield from page["data"]
        if not page["hasMore"]:
            return
        cursor = {"starting_after": page["nextCursor"]}
