"""The server, killed at random moments while it delivers to many endpoints, and while others follow the events."""

import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from tests.support.receiver import RETRY_SECONDS, Receiver
from tests.support.server import Server, command, new_database
from tests.support.waiting import WAIT_SECONDS, wait_until_none_is_left

KILLS = 12
EVENTS_A_TURN = 8
SLOW_SECONDS = 0.05
AT_ONCE = 16
CONFIG = f"""
[webhooks]
allow_private_networks = true
retry_seconds = {RETRY_SECONDS}
"""


@pytest.fixture
def key(tmp_path: Path) -> str:
    """Make a live key in a folder with a configuration: live endpoints share more attempts at once."""
    (tmp_path / "checkout.toml").write_text(CONFIG, "utf-8")
    new_database(tmp_path)
    made = json.loads(command(tmp_path, "keys", "create", "--mode", "live", "--name", "shop", "--json").stdout)
    text: str = made["key"]
    return text


@pytest.fixture
def receivers() -> Iterator[list[Receiver]]:
    """Run receivers that answer at once, that take their time, and that fail now and then."""
    with ExitStack() as stack:
        yield [stack.enter_context(Receiver(pause_seconds=SLOW_SECONDS * (place % 3 == 1))) for place in range(9)]


def pages(api: httpx.Client, path: str, **query: str) -> Iterator[dict[str, Any]]:
    """Yield all of a list."""
    while True:
        page = api.get(path, params={"limit": "100", **query}).raise_for_status().json()
        yield from page["data"]
        if not page["hasMore"]:
            return
        query["starting_after"] = page["nextCursor"]


def test_kills_lose_no_delivery_and_repeat_only_what_was_not_recorded(
    tmp_path: Path, key: str, receivers: list[Receiver], record_property: Callable[[str, object], None]
) -> None:
    dice = random.Random(20261123)
    endpoints: dict[str, Receiver] = {}
    made = 0
    for turn in range(KILLS):
        server = Server(tmp_path)
        api = server.client(key)
        try:
            if turn == 0:
                for receiver in receivers:
                    body = {"url": receiver.url, "events": ["customer.created"]}
                    endpoints[api.post("/webhook_endpoints", json=body).raise_for_status().json()["id"]] = receiver
            for receiver in receivers[2::3]:
                receiver.status = dice.choice([200, 500])
            for _ in range(EVENTS_A_TURN):
                api.post("/customers", json={"email": f"{made}@example.com"}).raise_for_status()
                made += 1
            time.sleep(dice.random() * 0.6)  # the moment of the kill
        finally:
            server.kill()
    for receiver in receivers:
        receiver.status = 200
    with Server(tmp_path) as server:
        api = server.client(key)
        wait_until_none_is_left(lambda: pending(api, endpoints), "deliver", output=lambda: server.log)
        events = {event["id"] for event in pages(api, "/events", type="customer.created")}
        found = {
            each: {one["eventId"]: one for one in pages(api, f"/webhook_endpoints/{each}/deliveries")}
            for each in endpoints
        }
    assert len(events) == made
    repeated = 0
    for endpoint_id, receiver in endpoints.items():
        assert set(found[endpoint_id]) == events, "each event has its delivery"
        repeated += sum(repeats(receiver, delivery) for delivery in found[endpoint_id].values())
    figures = {
        "kills": KILLS,
        "endpoints": len(endpoints),
        "events": made,
        "deliveries": made * len(endpoints),
        "requests received": sum(len(receiver.received) for receiver in receivers),
        "repeated, because a kill came before their record": repeated,
    }
    for name, figure in figures.items():
        record_property(name, figure)
    print(figures)  # noqa: T201
    assert repeated <= KILLS * (AT_ONCE + len(endpoints))


def deliveries(api: httpx.Client, endpoint_id: str) -> dict[str, dict[str, Any]]:
    """Return the deliveries of an endpoint, by their events."""
    return {each["eventId"]: each for each in pages(api, f"/webhook_endpoints/{endpoint_id}/deliveries")}


def pending(api: httpx.Client, endpoints: Iterable[str]) -> int:
    """Return how many deliveries are still to be made."""
    return sum(1 for each in endpoints for _ in pages(api, f"/webhook_endpoints/{each}/deliveries", status="pending"))


def repeats(receiver: Receiver, delivery: dict[str, Any]) -> int:
    """Return how many requests no attempt was recorded of, after a proof that it came, and not again once recorded."""
    assert delivery["status"] == "succeeded"
    *failed, last = delivery["attempts"]
    assert last["statusCode"] == 200
    assert all(attempt["statusCode"] == 500 for attempt in failed)
    came = [each for each in receiver.received if each.headers["webhook-id"] == delivery["eventId"]]
    assert len({each.body for each in came}) == 1
    newest = max(int(each.headers["webhook-timestamp"]) for each in came)
    assert newest == int(datetime.fromisoformat(last["startedAt"]).timestamp()), "nothing came after the record"
    assert len(came) >= len(delivery["attempts"])
    return len(came) - len(delivery["attempts"])


class Follower:
    """Polls `GET /events` with a cursor, from before the first event on, through every kill of the server."""

    def __init__(self, key: str) -> None:
        self.seen: list[str] = []
        self.url = ""
        self._key = key
        self._cursor: str | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        headers = {"Authorization": f"Bearer {self._key}"}
        with httpx.Client(headers=headers, trust_env=False, timeout=WAIT_SECONDS) as client:
            while not self._stopped.wait(0.005):
                try:
                    self.poll(client)
                except httpx.HTTPError:
                    continue  # the server is being killed

    def poll(self, client: httpx.Client) -> None:
        query = {"limit": "3", **({"ending_before": self._cursor} if self._cursor else {})}
        page = client.get(f"{self.url}/api/v1/events", params=query).raise_for_status().json()
        self.seen += [event["id"] for event in reversed(page["data"])]
        self._cursor = page["data"][0]["id"] if page["data"] else self._cursor

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()


WRITERS = 6


def write_until(api: httpx.Client, name: str, is_over: threading.Event) -> None:
    number = 0
    while not is_over.is_set():
        try:
            api.post("/customers", json={"email": f"{name}-{number}@example.com"}).raise_for_status()
        except httpx.HTTPError:
            return  # the server was killed
        number += 1


def test_who_only_polls_with_a_cursor_misses_nothing_and_sees_nothing_twice(tmp_path: Path, key: str) -> None:
    dice = random.Random(7)
    with ExitStack() as stack:
        follower = Follower(key)
        for turn in range(4):
            server = Server(tmp_path)
            follower.url = server.url
            is_over = threading.Event()
            if turn == 0:
                assert [event["type"] for event in pages(server.client(key), "/events")] == ["api_key.created"]
                stack.enter_context(follower)
                # Without a cursor it is shown the newest events only.
                server.wait_until(lambda: bool(follower.seen), "show the first event")
            writers = [
                threading.Thread(target=write_until, args=(server.client(key), f"{turn}-{number}", is_over))
                for number in range(WRITERS)
            ]
            for writer in writers:
                writer.start()
            # A command beside the server writes into the same log, from a process of its own.
            command(tmp_path, "keys", "create", "--mode", "live", "--name", f"turn {turn}", "--json")
            time.sleep(dice.random() * 0.5)
            is_over.set()
            server.process.kill()
            for writer in writers:
                writer.join()
            server.kill()
        with Server(tmp_path) as server:
            follower.url = server.url
            api = server.client(key)
            events = [event["id"] for event in pages(api, "/events")][::-1]
            server.wait_until(lambda: len(follower.seen) >= len(events), "be followed to the end")
    assert len(events) > 4 * WRITERS
    assert follower.seen == events
