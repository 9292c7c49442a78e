"""Everything at once, killed again and again: sales, payments and webhooks; afterwards all adds up."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.anvil import Anvil
from tests.support.receiver import RETRY_SECONDS, Receiver
from tests.support.server import Server, command, new_database
from tests.support.shop import ANVIL_CHAIN_ID, CONFIRMATIONS, FRESH_XPUB
from tests.support.storm import wait_until_told
from tests.support.waiting import WAIT_SECONDS

SHOPS = 3
PRICE = {"amount": {"value": "3.00", "currency": "USD"}, "expiresInSeconds": 86_400}
CONFIG = """
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


class Storm:
    """Shops that sell and payers that pay at once, through every kill of the server."""

    def __init__(self, node: Anvil, key: str) -> None:
        self.node = node
        self.key = key
        self.sold: dict[str, dict[str, Any]] = {}
        self.paid: set[str] = set()
        self.asked = 0
        self._alone = threading.Lock()

    def blow(self, server: Server, seconds: float) -> None:
        """Sell and pay for a while, then kill the server in the middle of it."""
        is_over = threading.Event()
        shops = [threading.Thread(target=self._sell, args=(server.url, is_over)) for _ in range(SHOPS)]
        for each in shops:
            each.start()
        time.sleep(seconds)  # the moment of the kill
        server.process.kill()
        is_over.set()
        for each in shops:
            each.join()
        server.kill()

    def pay_all(self) -> None:
        for session in [*self.sold.values()]:
            if session["id"] not in self.paid:
                self.pay(session)

    def pay(self, session: dict[str, Any]) -> None:
        with self._alone:
            self.paid.add(session["id"])
            self.node.send(self.node.accounts[9], session["address"], int(session["amount"]["wei"]))
            self.node.mine()

    def _sell(self, url: str, is_over: threading.Event) -> None:
        dice = random.Random()
        with httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {self.key}"}, timeout=WAIT_SECONDS, trust_env=False
        ) as api:
            while not is_over.is_set():
                with self._alone:
                    self.asked += 1
                    name = f"order-{self.asked}"
                try:
                    # The same order once more, as a shop does that heard nothing.
                    for _ in range(2):
                        answer = api.post("/api/v1/checkout_sessions", json=PRICE, headers={"Idempotency-Key": name})
                        if answer.status_code == 201:
                            session = answer.json()
                            assert self.sold.setdefault(name, session)["id"] == session["id"]
                except httpx.TransportError:
                    continue  # the server was killed, or isn't there yet
                if name in self.sold and dice.random() < 0.5:
                    self.pay(self.sold[name])


@pytest.mark.parametrize("kills", [3, pytest.param(12, marks=pytest.mark.heavy)])
def test_a_storm_of_kills_over_sales_payments_and_webhooks_leaves_accounts_that_balance(
    kills: int, anvil: Callable[..., Anvil], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    node, dice = anvil(mining="manual"), random.Random(20261201)
    config = CONFIG.format(
        xpub=FRESH_XPUB,
        chain_id=ANVIL_CHAIN_ID,
        url=node.url,
        confirmations=CONFIRMATIONS,
        retry_seconds=RETRY_SECONDS,
    )
    (tmp_path / "checkout.toml").write_text(config, "utf-8")
    new_database(tmp_path)
    key = json.loads(command(tmp_path, "keys", "create", "--mode", "live", "--name", "shop", "--json").stdout)["key"]
    storm = Storm(node, key)
    with Receiver() as receiver:
        for turn in range(kills):
            server = Server(tmp_path)
            if turn == 0:
                hook = {"url": receiver.url, "events": ["session.created", "session.paid"]}
                server.client(key).post("/webhook_endpoints", json=hook).raise_for_status()
            receiver.status = dice.choice([200, 500])
            storm.blow(server, 0.5 + dice.random() * 1.5)
        receiver.status = 200
        storm.pay_all()
        node.mine(CONFIRMATIONS)
        with Server(tmp_path) as server:
            api = server.client(key)
            ids = {each["id"] for each in storm.sold.values()}
            assert len(ids) == len(storm.sold), "each order is one session"
            wait_until_told("session.paid", ids, receiver, server, node)
            stored = everything(api)
            answered = {each["address"] for each in storm.sold.values()}
            assert ids <= set(stored), "what was answered is there"
            assert len({each["address"] for each in stored.values()}) == len(stored), "no address was given out twice"
            for each in storm.sold.values():
                found = api.get(f"/checkout_sessions/{each['id']}").json()
                assert int(found["amountReceived"]["units"]) == node.balance(each["address"])
                assert found["status"] == "paid"
            wait_until_told("session.created", set(stored), receiver, server, node)
            assert {each["data"]["id"] for each in receiver.events("session.created")} == set(stored)
            paid = Counter((each["id"], each["data"]["id"]) for each in receiver.events("session.paid"))
            assert len({event for event, _ in paid}) == len(ids), "one event for each, however often it is sent"
        balanced = command(tmp_path, "reconcile", "--mode", "live")
        assert balanced.returncode == 0, balanced.stdout + balanced.stderr
    figures = {"kills": kills, "sold": len(ids), "made in all": len(stored), "addresses": len(answered)}
    for name, figure in figures.items():
        record_property(name, figure)
    print(figures, balanced.stdout)  # noqa: T201


def everything(api: httpx.Client) -> dict[str, dict[str, Any]]:
    """Return all sessions, by their ids."""
    found: dict[str, dict[str, Any]] = {}
    page: dict[str, Any] = {"hasMore": True, "nextCursor": None}
    while page["hasMore"]:
        after = {"starting_after": page["nextCursor"]} if page["nextCursor"] else {}
        page = api.get("/checkout_sessions", params={"limit": "100", **after}).raise_for_status().json()
        found |= {each["id"]: each for each in page["data"]}
    return found
