"""The real server with real money's side on a node, and its chain as it looks from outside."""

import json
from pathlib import Path
from typing import Any

import httpx

from tests.support.anvil import Anvil
from tests.support.server import Server, command
from tests.support.shop import ANVIL_CHAIN_ID, FRESH_XPUB, ONE_COIN

PRICE = {"amount": {"value": "30.00", "currency": "USD"}, "expiresInSeconds": 3600}
COIN = ONE_COIN // 100
"""What such a session asks for."""


def configuration(url: str, xpub: str = FRESH_XPUB) -> str:
    return (
        f'[wallet]\nxpub = "{xpub}"\n[prices]\nsources = []\nfixed = {{"ETH/USD" = "3000"}}\n'
        f'[[chains]]\nid = {ANVIL_CHAIN_ID}\nname = "Anvil"\nrpc_urls = ["{url}"]\npoll_seconds = 0.05\n'
        "confirmations = 2\n"
    )


class LiveServer:
    """A server on a node, and what its chain looks like from outside."""

    def __init__(self, folder: Path, node: Anvil, xpub: str = FRESH_XPUB) -> None:
        self.folder, self.node = folder, node
        self.server = Server(folder, configuration(node.url, xpub))
        made = command(folder, "keys", "create", "--mode", "live", "--name", "test", "--json")
        self.key = json.loads(made.stdout)["key"]
        self.api = self.server.client(self.key)

    def start_again(self) -> None:
        """Start the server that was stopped or killed."""
        self.server = Server(self.folder)
        self.api = self.server.client(self.key)

    def sell(self) -> dict[str, Any]:
        self.server.wait_until(lambda: self.ready().status_code == 200, "follow the chain")
        answers: list[httpx.Response] = []

        def is_made() -> bool:
            answers.append(self.ask())
            return answers[-1].status_code == 201

        self.server.wait_until(is_made, "take payments")
        session: dict[str, Any] = answers[-1].json()
        return session

    def ask(self) -> httpx.Response:
        return self.api.post("/checkout_sessions", json=PRICE)

    def ready(self) -> httpx.Response:
        return self.api.get(f"{self.server.url}/readyz")

    def status(self, session: dict[str, Any]) -> str:
        return str(self.api.get(f"/checkout_sessions/{session['id']}").json()["status"])

    def pay(self, session: dict[str, Any]) -> None:
        self.node.send(self.node.accounts[9], session["address"], COIN)

    def wait_for(self, session: dict[str, Any], status: str) -> None:
        self.server.wait_until(lambda: self.status(session) == status, f"make the session {status}")
