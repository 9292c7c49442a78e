"""The whole server, killed at random moments while money comes in: nothing is missed and nothing is counted twice."""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.anvil import Anvil
from tests.support.nodes import one_block_ahead, running_beside
from tests.support.receiver import Receiver
from tests.support.server import Server, command, new_database
from tests.support.shop import ANVIL_CHAIN_ID, CONFIRMATIONS, FRESH_XPUB, ONE_COIN
from tests.support.solidity import Compiler, Contract, deploy

KILLS = int(os.environ.get("CHECKOUT_KILLS", "12"))

CONFIG = """
[wallet]
xpub = "{xpub}"
[prices]
fixed = {{ "ETH/USD" = "3000.00" }}
[webhooks]
allow_private_networks = true
retry_seconds = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
[[chains]]
id = {chain_id}
name = "Anvil"
rpc_urls = ["{url}"]
confirmations = {confirmations}
poll_seconds = 0.05
"""


def test_a_server_killed_at_random_moments_misses_nothing_and_counts_nothing_twice(
    anvil: Callable[..., Anvil], solc: Compiler, tmp_path: Path
) -> None:
    """People and contracts pay; the node traces nothing, and at times its state is a block ahead of its head."""
    node = anvil(mining="manual")
    dice = random.Random(20261123)
    payer = deploy(node, solc, "Payer", wei=(2 * KILLS + 1) * ONE_COIN)
    sent = Counter[str]()

    def pay(session: dict[str, Any]) -> None:
        sent[session["address"]] += pay_either_way(node, payer, session, dice)

    ahead = one_block_ahead(node.url, lies=lambda: random.random() < 0.5, traces=False)
    with running_beside(ahead) as url, Receiver() as receiver:
        config = CONFIG.format(xpub=FRESH_XPUB, chain_id=ANVIL_CHAIN_ID, url=url, confirmations=CONFIRMATIONS)
        (tmp_path / "checkout.toml").write_text(config, "utf-8")
        new_database(tmp_path)
        made = json.loads(command(tmp_path, "keys", "create", "--mode", "live", "--name", "shop", "--json").stdout)
        waiting: list[dict[str, Any]] = []
        sessions: list[dict[str, Any]] = []
        for turn in range(KILLS):
            server = Server(tmp_path)
            api = server.client(made["key"])
            try:
                if turn == 0:
                    endpoint = {"url": receiver.url, "events": ["session.paid"]}
                    api.post("/webhook_endpoints", json=endpoint).raise_for_status()
                for _ in range(2):
                    waiting.append(make(server, made["key"]))
                    sessions.append(waiting[-1])
                while waiting and dice.random() < 0.8:
                    pay(waiting.pop(dice.randrange(len(waiting))))
                    node.mine(dice.randrange(3))
                node.mine()
                time.sleep(dice.random() * 0.4)  # the moment of the kill
            finally:
                server.kill()
        for session in waiting:
            pay(session)
        node.mine(CONFIRMATIONS)
        with Server(tmp_path) as server:
            api = server.client(made["key"])
            # What only a balance shows counts with a later block.
            server.wait_until(lambda: node.mine() > 0 and len(paid(api)) == len(sessions), "find every payment")
            server.wait_until(
                lambda: len({event["data"]["id"] for event in receiver.events("session.paid")}) == len(sessions),
                "deliver every event",
            )
            assert len({session["address"] for session in sessions}) == len(sessions)
            for session in sessions:
                found = api.get(f"/checkout_sessions/{session['id']}").json()
                on_chain = node.balance(session["address"])
                assert int(found["amountReceived"]["units"]) == on_chain == sent[session["address"]] == ONE_COIN
                assert [payment["counted"] for payment in found["payments"]] == [True]
                types = Counter(each["type"] for each in events(api, session["id"]))
                assert types["session.created"] == types["session.paid"] == 1
                assert types["session.detected"] <= 1
                assert set(types) <= {"session.created", "session.detected", "session.paid"}
    ids = Counter(each.headers["webhook-id"] for each in receiver.received)
    assert len(ids) == len(sessions), "a repeated delivery carries the same id"


def pay_either_way(node: Anvil, payer: Contract, session: dict[str, Any], dice: random.Random) -> int:
    """Pay a session's price, by a plain transaction or through a contract; return it."""
    wei = int(session["amount"]["wei"])
    if dice.random() < 0.5:
        node.send(node.accounts[9], session["address"], wei)
    else:
        payer.send("payAll(address[],uint256[])", [session["address"]], [wei])
    return wei


def make(server: Server, key: str) -> dict[str, Any]:
    """Make a session, as soon as the wallet was compared with the chain."""
    api = server.client(key)
    made: dict[str, Any] = {}

    def is_made() -> bool:
        answer = api.post("/checkout_sessions", json={"amount": {"value": "3000.00", "currency": "USD"}})
        made.update(answer.json())
        return answer.status_code == 201

    server.wait_until(is_made, "make a session")
    return made


def paid(api: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    page: dict[str, Any] = {"nextCursor": None, "hasMore": True}
    while page["hasMore"]:
        after = {"starting_after": page["nextCursor"]} if page["nextCursor"] else {}
        page = api.get("/checkout_sessions", params={"status": "paid", "limit": "100", **after}).json()
        found += page["data"]
    return found


def events(api: Any, resource_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get("/events", params={"resourceId": resource_id}).json()["data"]
    return found
