"""An hour of the chain with providers that are down, lie, are slow, want a pause or flap: nothing is missed."""

import asyncio
import json
import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.anvil import Anvil
from tests.support.faulty_provider import Faults
from tests.support.nodes import hanging, http, running_beside
from tests.support.receiver import Receiver
from tests.support.server import Server, command, new_database
from tests.support.shop import ANVIL_CHAIN_ID, FRESH_XPUB
from tests.support.waiting import WAIT_SECONDS

PRICE = {"amount": {"value": "30.00", "currency": "USD"}, "expiresInSeconds": 86_400}
BLOCK_SECONDS = 12
BLOCKS_AN_HOUR = 3_600 // BLOCK_SECONDS
PAYMENTS = 3
CONFIRMATIONS = 2
CONFIG = """
[wallet]
xpub = "{xpub}"
[prices]
fixed = {{ "ETH/USD" = "3000.00" }}
[webhooks]
allow_private_networks = true
[[chains]]
id = {chain_id}
name = "Anvil"
rpc_urls = ["{first}", "{second}"]
confirmations = {confirmations}
poll_seconds = 0.05
"""


class Provider(Faults):
    """A provider of a node whose fault is set while it runs."""

    def __init__(self, url: str, seed: int) -> None:
        super().__init__(url, seed, chance=0.0)
        # It is made here and used in another thread, so it keeps no connection that would be left open there.
        self._client = httpx.AsyncClient(
            timeout=WAIT_SECONDS, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )
        self.fault = "none"

    async def __call__(self, body: Any, writer: asyncio.StreamWriter) -> None:
        self.inflates = self.fault == "lies"
        if self.fault == "down" or (self.fault == "flaps" and int(time.monotonic() * 2) % 2):
            writer.close()
        elif self.fault == "hangs":
            await hanging(body, writer)
        elif self.fault == "wants a pause":
            writer.write(http("slow down", 429, "Retry-After: 2\r\n"))
        else:
            if self.fault == "is slow":
                await asyncio.sleep(0.3)
            await super().__call__(body, writer)


OUTAGES = {
    "all down": ("down", "down", False),
    "one lies": ("lies", "none", False),
    "one hangs": ("hangs", "none", True),
    "all are slow": ("is slow", "is slow", True),
    "all want a pause": ("wants a pause", "wants a pause", False),
    "all flap": ("flaps", "flaps", True),
}
"""The faults of both providers, and whether payments are seen meanwhile."""


class Shop:
    """A server on two providers of one node, its endpoint, and what was paid."""

    def __init__(self, node: Anvil, server: Server, key: str, receiver: Receiver) -> None:
        self.node = node
        self.server = server
        self.api = server.client(key)
        self.receiver = receiver

    def sell(self) -> dict[str, Any]:
        answers: list[httpx.Response] = []

        def is_made() -> bool:
            answers.append(self.api.post("/checkout_sessions", json=PRICE))
            return answers[-1].status_code == 201

        self.server.wait_until(is_made, "make a session")
        session: dict[str, Any] = answers[-1].json()
        return session

    def pay(self, session: dict[str, Any]) -> None:
        self.node.send(self.node.accounts[9], session["address"], int(session["amount"]["wei"]))

    def are_paid(self, sessions: list[dict[str, Any]]) -> bool:
        self.node.mine()
        found = (self.api.get(f"/checkout_sessions/{each['id']}").json() for each in sessions)
        return all(each["status"] == "paid" for each in found)

    def ready(self) -> httpx.Response:
        return self.api.get(f"{self.server.url}/readyz")


@pytest.mark.heavy
@pytest.mark.parametrize("outage", OUTAGES)
def test_after_an_hour_of_an_outage_every_payment_is_found_once(
    outage: str, anvil: Callable[..., Anvil], tmp_path: Path
) -> None:
    first_fault, second_fault, sees = OUTAGES[outage]
    node = anvil(mining="manual", arguments=["--timestamp", str(int(time.time()) - 2 * 3_600)])
    first, second = Provider(node.url, 1), Provider(node.url, 2)
    with ExitStack() as stack:
        urls = [stack.enter_context(running_beside(each)) for each in (first, second)]
        receiver = stack.enter_context(Receiver())
        config = CONFIG.format(
            xpub=FRESH_XPUB, chain_id=ANVIL_CHAIN_ID, first=urls[0], second=urls[1], confirmations=CONFIRMATIONS
        )
        (tmp_path / "checkout.toml").write_text(config, "utf-8")
        new_database(tmp_path)
        made = command(tmp_path, "keys", "create", "--mode", "live", "--name", "shop", "--json").stdout
        server = stack.enter_context(Server(tmp_path, None))
        shop = Shop(node, server, json.loads(made)["key"], receiver)
        shop.sell()
        hook = {"url": receiver.url, "events": ["session.paid"]}
        shop.api.post("/webhook_endpoints", json=hook).raise_for_status()
        sessions = [shop.sell() for _ in range(PAYMENTS)]
        dice = random.Random(20261201)
        first.fault, second.fault = first_fault, second_fault
        unpaid = [*sessions]
        for _ in range(BLOCKS_AN_HOUR):
            node.rpc("evm_increaseTime", BLOCK_SECONDS - 1)
            if unpaid and dice.random() < 0.05:
                shop.pay(unpaid.pop())
            node.mine()
        for each in unpaid:
            shop.pay(each)
        node.mine()
        if sees:
            server.wait_until(lambda: shop.are_paid(sessions), "see the payments meanwhile")
        else:
            assert shown_while_blind(shop, sessions[0])
        first.fault = second.fault = "none"
        server.wait_until(lambda: shop.are_paid(sessions), "find every payment")
        for each in sessions:
            found = shop.api.get(f"/checkout_sessions/{each['id']}").json()
            assert int(found["amountReceived"]["units"]) == node.balance(each["address"])
            assert [payment["counted"] for payment in found["payments"]] == [True]
        ids = {each["id"] for each in sessions}
        server.wait_until(
            lambda: {each["data"]["id"] for each in receiver.events("session.paid")} == ids, "tell the shop"
        )
        server.wait_until(lambda: shop.ready().status_code == 200, "be ready again")
        assert shop.sell()["status"] == "pending"
        balanced = command(tmp_path, "reconcile", "--mode", "live")
        assert balanced.returncode == 0, balanced.stdout + balanced.stderr


def shown_while_blind(shop: Shop, session: dict[str, Any]) -> bool:
    """Wait until payer, shop and monitoring are told; the payer is told that no payment is lost."""
    shop.server.wait_until(lambda: shop.ready().status_code == 503, "not be ready")
    refused = shop.api.post("/checkout_sessions", json=PRICE)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "wallet_not_configured")
    page = shop.api.get(f"{shop.server.url}/checkout/{session['id']}", headers={"Accept-Language": "en"})
    assert page.status_code == 200
    return "your payment isn’t lost" in page.text
