"""Several real servers on one PostgreSQL database, each in a folder of its own, as behind a load balancer."""

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.postgresql import PostgresqlServer
from tests.support.receiver import Receiver
from tests.support.server import KEY, Server, command
from tests.support.waiting import WAIT_SECONDS, wait_until

PRICE = {"amount": {"value": "30.00", "currency": "USD"}}
LOCAL_WEBHOOKS = "[webhooks]\nallow_private_networks = true\n"
WITHIN_SECONDS = 1.0
FORM = re.compile(r'name="form" value="([0-9a-f]{32})"')
PASSWORD = "a long password of the owner"
TOKEN = re.compile(r"/set-up\?token=(\S+)")

Start = Callable[..., Server]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder for those of all processes: `one`, `two`, `three`."""
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def url(postgresql_server: PostgresqlServer, place: Path) -> Iterator[str]:
    made = postgresql_server.empty_database(place)
    yield made.url
    postgresql_server.drop(made)


def folder(place: Path, name: str, url: str, *, key_of: Path | None = None) -> Path:
    """Make the folder of a process, with the secret.key of an earlier one."""
    made = place / name
    (made / "checkout-data").mkdir(parents=True)
    (made / "checkout.toml").write_text(f'[database]\nurl = "{url}"\n{LOCAL_WEBHOOKS}', "utf-8")
    if key_of is not None:
        shutil.copy2(key_of / "checkout-data" / "secret.key", made / "checkout-data" / "secret.key")
    return made


@pytest.fixture(scope="module")
def servers(place: Path, url: str) -> Iterator[list[Server]]:
    """Start three; all have the API key of the first, which leads."""
    with ExitStack() as stack:
        started = [stack.enter_context(Server(folder(place, "one", url)))]
        later = [folder(place, name, url, key_of=place / "one") for name in ("two", "three")]
        started += [stack.enter_context(Server(each)) for each in later]
        for server in started[1:]:
            server.api = server.client(started[0].key)
        yield started


def test_sessions_made_anywhere_have_addresses_of_their_own_and_a_poller_misses_no_event(servers: list[Server]) -> None:
    made: list[dict[str, Any]] = []
    polled: list[dict[str, Any]] = []
    is_over = threading.Event()

    def make(server: Server) -> None:
        made.extend(server.api.post("/checkout_sessions", json=PRICE).json() for _ in range(60))

    def poll() -> None:
        last = servers[2].api.get("/events", params={"limit": 1}).json()["data"][0]["id"]
        while True:
            was_over = is_over.is_set()
            page = servers[2].api.get("/events", params={"ending_before": last, "limit": 100}).json()["data"]
            polled.extend(reversed(page))
            if page:
                last = page[0]["id"]
            elif was_over:
                return

    with ThreadPoolExecutor() as pool:
        poller = pool.submit(poll)
        for done in [pool.submit(make, server) for server in (*servers, *servers[:2])]:
            done.result()
        is_over.set()
        poller.result()
    assert len({each["address"] for each in made}) == len({each["id"] for each in made}) == 300
    created = [each["data"]["id"] for each in polled if each["type"] == "session.created"]
    assert sorted(created) == sorted(each["id"] for each in made), "each once"
    listed = [each["id"] for each in pages(servers[1], "/events")]
    ids = [each["id"] for each in polled]
    assert ids == list(reversed(listed))[-len(ids) :], "in the order in which they were stored"


def has_paid(shop: Receiver, session_id: str) -> bool:
    """Tell whether a shop was told that a session is paid."""
    events = [each.event for each in shop.received]
    return any(each["type"] == "session.paid" and each["data"]["id"] == session_id for each in events)


def pages(server: Server, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = server.api.get(path, params={"limit": 100, **cursor}).json()
        found += page["data"]
        if not page["hasMore"]:
            return found
        cursor = {"starting_after": page["data"][-1]["id"]}


def test_two_requests_with_one_idempotency_key_have_one_effect_and_equal_answers(servers: list[Server]) -> None:
    before = len(pages(servers[0], "/checkout_sessions"))
    with ThreadPoolExecutor() as pool:
        for number in range(20):
            headers = {"Idempotency-Key": f"order-{number}"}
            answers = list(
                pool.map(lambda each: each.api.post("/checkout_sessions", json=PRICE, headers=headers), servers)  # noqa: B023
            )
            assert [each.status_code for each in answers] == [201] * 3
            assert len({each.content for each in answers}) == 1
    assert len(pages(servers[0], "/checkout_sessions")) == before + 20


def test_requests_that_a_killed_process_left_are_repeated_at_another_with_one_effect(
    servers: list[Server], place: Path, url: str
) -> None:
    before = len(pages(servers[0], "/checkout_sessions"))
    fourth = Server(folder(place, "four", url, key_of=place / "one"))
    api, sent = fourth.client(servers[0].key), list[str]()

    def ask(number: int) -> None:
        for each in range(1000):
            sent.append(key := f"killed-{number}-{each}")
            api.post("/checkout_sessions", json=PRICE, headers={"Idempotency-Key": key})

    with ThreadPoolExecutor() as pool:
        asking = [pool.submit(ask, number) for number in range(4)]
        wait_until(lambda: len(sent) > 40, "some requests")
        fourth.process.kill()
        assert all(isinstance(each.exception(), httpx.TransportError) for each in asking)
    fourth.kill()
    headers = [{"Idempotency-Key": key} for key in sent]
    again = [servers[1].api.post("/checkout_sessions", json=PRICE, headers=each) for each in headers]
    assert {each.status_code for each in again} == {201}
    assert len({each.json()["id"] for each in again}) == len(sent)
    assert len(pages(servers[0], "/checkout_sessions")) == before + len(sent)


def test_an_order_form_sent_to_two_processes_at_once_makes_one_session(servers: list[Server]) -> None:
    tickets = {"title": "Ticket", "fiatAmount": "30.00", "quantity": {"max": 1, "stock": 10}}
    link = servers[0].api.post("/payment_links", json=tickets).json()
    path = f"/l/{link['slug']}"
    for _ in range(2):
        token = FORM.findall(httpx.get(f"{servers[0].url}{path}", trust_env=False).text)[0]

        def press(server: Server, token: str = token) -> str:
            sent = {"form": token, "quantity": "1"}
            return httpx.post(f"{server.url}{path}", data=sent, trust_env=False, timeout=WAIT_SECONDS).headers[
                "location"
            ]

        with ThreadPoolExecutor() as pool:
            assert len(set(pool.map(press, servers))) == 1
    stock = next(each for each in pages(servers[1], "/payment_links") if each["title"] == "Ticket")
    assert stock["quantity"]["reserved"] == 2


def test_what_one_process_wrote_the_others_answer_at_once(servers: list[Server]) -> None:
    one, two, three = servers
    for _ in range(10):
        made = one.api.post("/checkout_sessions", json=PRICE).json()
        path = f"/checkout_sessions/{made['id']}"
        assert two.api.get(path).json()["status"] == three.api.get(path).json()["status"] == "pending"
        assert two.api.get("/checkout_sessions").json()["data"][0]["id"] == made["id"]
        assert two.api.post(f"{path}/expire").json()["status"] == "expired"
        assert three.api.get(path).json()["status"] == "expired"
        assert one.api.get("/checkout_sessions").json()["data"][0]["status"] == "expired"


def test_a_session_made_and_paid_anywhere_is_delivered(servers: list[Server]) -> None:
    with Receiver() as shop:
        endpoint = servers[1].api.post("/webhook_endpoints", json={"url": shop.url, "events": ["*"]}).json()
        assert endpoint["secret"]
        for server in servers:
            made = server.api.post("/checkout_sessions", json=PRICE).json()
            paid = server.api.post(f"/test_helpers/checkout_sessions/{made['id']}/pay", json={"scenario": "exact"})
            assert paid.json()["status"] == "paid", paid.text
            wait_until(partial(has_paid, shop, made["id"]), "the webhook")


def test_the_sandbox_is_one_whichever_process_is_asked(servers: list[Server]) -> None:
    one, two, three = servers
    before = one.api.post("/test_helpers/chain/mine", json={"blocks": 1}).json()["blockNumber"]
    numbers = [
        server.api.post("/test_helpers/chain/mine", json={"blocks": 5}).json()["blockNumber"] for server in servers
    ]
    assert before < numbers[0] < numbers[1] < numbers[2]
    made = two.api.post("/checkout_sessions", json=PRICE).json()
    three.api.post("/test_helpers/clock/advance", json={"seconds": 86_400})
    assert one.api.get(f"/checkout_sessions/{made['id']}").json()["status"] == "expired"
    later = two.api.post("/checkout_sessions", json=PRICE).json()
    assert later["expiresAt"] > made["expiresAt"]
    headers = {"Idempotency-Key": "pay-once"}
    path = f"/test_helpers/checkout_sessions/{later['id']}/pay"
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda each: each.api.post(path, json={}, headers=headers), servers))
    assert len({each.content for each in answers}) == 1
    payments = one.api.get(f"/checkout_sessions/{later['id']}").json()["payments"]
    assert len(payments) == 1
    refused = two.api.post("/test_helpers/checkout_sessions/cs_00000000000000000000000000/pay", json={})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "resource_not_found")


def test_a_key_revoked_at_one_process_is_refused_by_all_within_a_second(servers: list[Server], place: Path) -> None:
    made = command(place / "two", "keys", "create", "--name", "for a while").stdout
    clients = [server.client(KEY.findall(made)[0]) for server in servers]
    for client in clients:
        assert client.get("/checkout_sessions").status_code == 200
    listed = next(line for line in command(place / "one", "keys", "list").stdout.splitlines() if "for a while" in line)
    revoked = command(place / "three", "keys", "revoke", listed.split()[0])
    assert revoked.returncode == 0, revoked.stderr
    revoked_at = time.monotonic()
    for client in clients:
        asked_at = time.monotonic()
        while (status := client.get("/checkout_sessions").status_code) == 200:
            assert asked_at - revoked_at < WITHIN_SECONDS
            asked_at = time.monotonic()
        assert status == 401


def test_the_dashboard_works_behind_a_balancer_that_sends_each_request_elsewhere(servers: list[Server]) -> None:
    tokens = [TOKEN.findall(server.output)[0] for server in servers]
    with httpx.Client(headers={"Accept": "text/html"}, trust_env=False, timeout=WAIT_SECONDS) as browser:

        def ask(server: Server, method: str, path: str, **options: Any) -> httpx.Response:
            origin = {"Origin": server.url}
            return browser.request(method, f"{server.url}/dashboard{path}", headers=origin, **options)

        one, two, three = servers
        assert ask(two, "GET", "/set-up", params={"token": tokens[0]}).status_code == 200
        passwords = {"password": PASSWORD, "again": PASSWORD}
        assert ask(three, "POST", "/set-up", data={"token": tokens[0], **passwords}).status_code == 303
        assert (
            ask(two, "GET", "/set-up", params={"token": tokens[1]}).headers["location"].startswith("/dashboard/sign-in")
        )
        for server in servers:
            assert ask(server, "GET", "/test/payments").status_code == 200, "the login is good everywhere"
        one.api.post("/payment_links", json={"title": "Book", "fiatAmount": "5.00"})
        assert "Book" in ask(two, "GET", "/test/links").text
        payment = f"/test/payments/{two.api.post('/checkout_sessions', json=PRICE).json()['id']}"
        assert ask(three, "POST", f"{payment}/check").status_code == 303
        assert "Checked Sandbox up to block" in ask(one, "GET", payment).text, "the leader looked"
        assert ask(two, "POST", "/sign-out").status_code == 303
        for server in servers:
            assert ask(server, "GET", "/test/payments").status_code == 303, "and over everywhere"


def test_a_process_with_another_secret_key_or_none_is_told_what_to_do(
    servers: list[Server], place: Path, url: str
) -> None:
    del servers
    other = folder(place, "other", url)
    refused = command(other, "serve")
    assert refused.returncode == 1
    assert "secret.key is missing. Copy secret.key from the data folder" in refused.stderr
    assert not (other / "checkout-data" / "secret.key").exists()
    (other / "checkout-data" / "secret.key").write_text("A" * 43 + "=\n", "ascii")
    refused = command(other, "serve")
    assert refused.returncode == 1
    assert "is another key than the one that" in refused.stderr
    assert "the other processes of this database have another key" in command(other, "doctor").stdout
    shutil.copy2(place / "one" / "checkout-data" / "secret.key", other / "checkout-data" / "secret.key")
    with Server(other):
        pass


def test_what_was_asked_of_the_sandbox_is_finished_by_the_next_leader(
    postgresql_server: PostgresqlServer, tmp_path: Path
) -> None:
    made = postgresql_server.empty_database(tmp_path)
    first = Server(folder(tmp_path, "first", made.url))
    with Server(folder(tmp_path, "second", made.url, key_of=tmp_path / "first")) as second:
        api = second.client(first.key)
        sessions = [api.post("/checkout_sessions", json=PRICE).json()["id"] for _ in range(8)]
        paths = [f"/test_helpers/checkout_sessions/{each}/pay" for each in sessions]
        with ThreadPoolExecutor() as pool:
            answers = [pool.submit(api.post, path, json={"scenario": "top_up"}) for path in paths]
            wait_until(lambda: any(each.done() for each in answers), "the first one")
            first.kill()
            assert [each.result().status_code for each in answers] == [200] * 8
        for each in sessions:
            session = api.get(f"/checkout_sessions/{each}").json()
            assert (session["status"], len(session["payments"])) == ("paid", 2)
    postgresql_server.drop(made)
