"""A shop's day in seconds, through whatever happens to its servers: sales, payments, webhooks and a poller of events.

    storm = Storm(node, key, urls)
    with storm.blowing():
        …                      # kill, cut, freeze
    storm.settle(server, receiver)

Each order is asked for with an idempotency key of its own, again and again until it is answered, as a good shop does.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.anvil import Anvil
from tests.support.receiver import RETRY_SECONDS, Receiver
from tests.support.server import Server
from tests.support.shop import ANVIL_CHAIN_ID, CONFIRMATIONS, FRESH_XPUB
from tests.support.waiting import wait_until_none_is_left

SHOPS = 3
PATIENCE_SECONDS = 120
PRICE = {"amount": {"value": "3.00", "currency": "USD"}, "expiresInSeconds": 86_400}
EVENTS = ["session.created", "session.paid"]
_CONFIG = """
[test_mode]
enabled = false
[wallet]
xpub = "{xpub}"
[prices]
fixed = {{ "ETH/USD" = "3000.00" }}
[webhooks]
allow_private_networks = true
retry_seconds = {retry_seconds}
[[chains]]
id = {chain_id}
name = "Anvil"
rpc_urls = ["{url}"]
confirmations = {confirmations}
poll_seconds = 0.05
"""


def config(node: Anvil) -> str:
    """Return the configuration of a shop on a node's chain."""
    return _CONFIG.format(
        xpub=FRESH_XPUB,
        chain_id=ANVIL_CHAIN_ID,
        url=node.url,
        confirmations=CONFIRMATIONS,
        retry_seconds=RETRY_SECONDS,
    )


@dataclass
class Answers:
    """The answers that shops were given."""

    statuses: Counter[int] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    unhelpful: list[str] = field(default_factory=list)
    unanswered: int = 0
    longest_seconds: float = 0.0

    def note(self, answer: httpx.Response, seconds: float) -> None:
        self.statuses[answer.status_code] += 1
        self.longest_seconds = max(self.longest_seconds, seconds)
        if answer.is_success:
            return
        self.refusals[answer.json()["error"]["code"]] += 1
        is_of_the_chain = answer.json()["error"]["code"] == "wallet_not_configured"  # nobody read it for a while
        if answer.status_code != 503 or not (is_of_the_chain or answer.headers.get("retry-after", "").isdigit()):
            self.unhelpful.append(f"{answer.status_code} {dict(answer.headers)} {answer.text}")


class Storm:
    """Shops that sell and payers that pay at once.

    Args:
        node: the chain, which makes a block for each payment.
        key: of the API, in live mode.
        urls: the servers that are asked, one after the other by chance.
        pause_seconds: what passes between two orders of a shop.
        timeout_seconds: how long a shop waits for an answer before it asks again.
    """

    def __init__(
        self,
        node: Anvil,
        key: str,
        urls: Callable[[], Sequence[str]],
        *,
        pause_seconds: float = 0.0,
        timeout_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self.node = node
        self.sold: dict[str, dict[str, Any]] = {}
        self.paid: set[str] = set()
        self.answers = Answers()
        self._key = key
        self._urls = urls
        self._pause_seconds = pause_seconds
        self._timeout_seconds = timeout_seconds
        self._asked = 0
        self._seen: list[dict[str, Any]] = []
        self._alone = threading.Lock()
        self._is_over = threading.Event()

    @contextmanager
    def blowing(self) -> Iterator[None]:
        """Sell and pay meanwhile. An order that is under way at the end is answered first."""
        self._is_over.clear()
        threads = [threading.Thread(target=self._sell, daemon=True) for _ in range(SHOPS)]
        threads.append(threading.Thread(target=self._follow, daemon=True))
        for each in threads:
            each.start()
        try:
            yield
        finally:
            self._is_over.set()
            for each in threads:
                each.join(2 * PATIENCE_SECONDS)
        assert not any(each.is_alive() for each in threads), "a shop waits for good"

    def wait_for_sales(self, count: int) -> None:
        """Return once so many more orders have been sold."""
        until, before = time.monotonic() + PATIENCE_SECONDS, len(self.sold)
        while len(self.sold) < before + count:
            assert time.monotonic() < until, f"nothing is sold: {self.answers}"
            time.sleep(0.02)

    def wait_for_refusals(self, count: int = 1) -> None:
        """Return once so many more requests have been refused, or not answered at all."""
        until, before = time.monotonic() + PATIENCE_SECONDS, self._refused()
        while self._refused() < before + count:
            assert time.monotonic() < until, f"nothing is refused: {self.answers}"
            time.sleep(0.02)

    def _refused(self) -> int:
        return self.answers.unanswered + sum(self.answers.refusals.values())

    def settle(self, server: Server, receiver: Receiver) -> dict[str, Any]:
        """Pay what isn't paid, and hold the sums against each other; return the figures."""
        api = server.client(self._key)
        for session in [*self.sold.values()]:
            if session["id"] not in self.paid:
                self._pay(session)
        self.node.mine(CONFIRMATIONS)
        stored = everything(api, "/checkout_sessions")
        answered = {each["id"]: each for each in self.sold.values()}
        assert len(answered) == len(self.sold), "each order is one session"
        assert answered.keys() <= stored.keys(), f"answered and lost: {answered.keys() - stored.keys()}"
        assert len({each["address"] for each in stored.values()}) == len(stored), "an address was given out twice"
        orders = Counter(each["metadata"]["order"] for each in stored.values())
        assert not [name for name, times in orders.items() if times > 1], "an order was made twice"
        wait_until_told("session.created", set(stored), receiver, server, self.node)
        wait_until_told("session.paid", set(answered), receiver, server, self.node)
        for each in answered:
            found = api.get(f"/checkout_sessions/{each}").raise_for_status().json()
            assert (found["status"], int(found["amountReceived"]["units"])) == (
                "paid",
                self.node.balance(found["address"]),
            )
        events = everything(api, "/events")
        paid = Counter(each["data"]["id"] for each in events.values() if each["type"] == "session.paid")
        assert set(paid.values()) == {1}, "a session was paid twice"
        self._follow_to_the_end(api)
        seen = [each["id"] for each in self._seen]
        assert len(seen) == len(set(seen)), "the poller was given an event twice"
        newest_first = list(events)
        assert seen[::-1] == newest_first[: newest_first.index(seen[0]) + 1], "the poller missed an event"
        return {
            "sold": len(answered),
            "stored": len(stored),
            "events": len(events),
            "webhooks": len(receiver.received),
            "answers": dict(self.answers.statuses),
            "refusals": dict(self.answers.refusals),
            "unanswered": self.answers.unanswered,
            "longest answer": round(self.answers.longest_seconds, 2),
        }

    def _pay(self, session: dict[str, Any]) -> None:
        with self._alone:
            self.paid.add(session["id"])
            self.node.send(self.node.accounts[9], session["address"], int(session["amount"]["wei"]))
            self.node.mine()

    def _sell(self) -> None:
        dice = random.Random()
        while not self._is_over.wait(self._pause_seconds):
            with self._alone:
                self._asked += 1
                name = f"order-{self._asked}"
            session = self._order(name)
            if session is not None and dice.random() < 0.4:
                self._pay(session)

    def _order(self, name: str) -> dict[str, Any] | None:
        """Ask until the order is answered, and once more after that, as shops do that heard nothing."""
        order, until, left = {**PRICE, "metadata": {"order": name}}, time.monotonic() + PATIENCE_SECONDS, 2
        while left and time.monotonic() < until:
            answer = self._ask("POST", "/checkout_sessions", json=order, headers={"Idempotency-Key": name})
            if answer is None or not answer.is_success:
                time.sleep(0.05)
                continue
            session, left = answer.json(), left - 1
            assert self.sold.setdefault(name, session)["id"] == session["id"], "a repeated order is another session"
        return self.sold.get(name)

    def _ask(self, method: str, path: str, **arguments: Any) -> httpx.Response | None:
        urls = self._urls()
        started = time.monotonic()
        try:
            with httpx.Client(trust_env=False, timeout=self._timeout_seconds) as client:
                headers = {"Authorization": f"Bearer {self._key}", **arguments.pop("headers", {})}
                url = f"{random.choice(urls)}/api/v1{path}"
                answer = client.request(method, url, headers=headers, **arguments)
        except (httpx.TransportError, IndexError):
            self.answers.unanswered += 1
            return None
        with self._alone:
            if not answer.headers.get("content-type", "").startswith("application/json"):  # of a proxy
                self.answers.unanswered += 1
                return None
            self.answers.note(answer, time.monotonic() - started)
        return answer

    def _follow(self) -> None:
        while not self._is_over.wait(0.05):
            self._follow_one_page(self._ask)

    def _follow_one_page(self, ask: Callable[..., httpx.Response | None]) -> bool:
        """Poll as the guide *Lists* says: everything after the newest that is known, oldest page first."""
        newest = {"ending_before": self._seen[-1]["id"]} if self._seen else {}
        answer = ask("GET", "/events", params={"limit": "100", **newest})
        if answer is None or not answer.is_success:
            return True
        page = answer.json()
        self._seen += reversed(page["data"])
        return bool(page["data"]) and bool(newest)

    def _follow_to_the_end(self, api: httpx.Client) -> None:
        while self._follow_one_page(api.request):
            pass


def wait_until_told(event: str, sessions: set[str], receiver: Receiver, server: Server, node: Anvil) -> None:
    """Wait, with blocks that confirm payments, for as long as there is still one told after another."""

    def left() -> int:
        node.mine()
        return len(untold(receiver, event, sessions))

    wait_until_none_is_left(
        left, f"tell of {event}", output=lambda: f"{untold(receiver, event, sessions)}\n{server.log}"
    )


def untold(receiver: Receiver, event: str, sessions: set[str]) -> set[str]:
    """Return the sessions about which the shop has not been told."""
    return sessions - {each["data"]["id"] for each in receiver.events(event)}


def everything(api: httpx.Client, path: str) -> dict[str, dict[str, Any]]:
    """Return all of a list, by their ids."""
    found: dict[str, dict[str, Any]] = {}
    page: dict[str, Any] = {"hasMore": True, "nextCursor": None}
    while page["hasMore"]:
        after = {"starting_after": page["nextCursor"]} if page["nextCursor"] else {}
        page = api.get(path, params={"limit": "100", **after}).raise_for_status().json()
        found |= {each["id"]: each for each in page["data"]}
    return found
