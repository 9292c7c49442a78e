"""The payer's page in every state that it has, each brought about by a real server on a chain.

States that need a block to come slowly, or to vanish, are made on anvil with live keys; the others in the sandbox.
"""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from crypto_checkout.chain.sandbox.chain import ASSETS
from tests.support.anvil import Anvil
from tests.support.server import Server, command
from tests.support.waiting import WAIT_SECONDS

FRESH_XPUB = (
    "xpub6CLcSbQXwXdjxzKeNtchttVe4meRKxre671wrTL6V2CUDusTSP2Y1mRiphcTMaqowK9AB8QUvvdxKExtR6bF6RQkPqestupEaZR5fu6K9tZ"
)
ETHER = 10**18
CHAIN_ID = 1
SHOP = "Ada's Bakery"
REFUND_ADDRESS = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
COINS = [{"chainId": 1337, "asset": "ETH"}, {"chainId": 1337, "asset": "USDC"}]

Json = dict[str, Any]


def configuration(node: Anvil, token: str | None = None, *, wallet: str = f'xpub = "{FRESH_XPUB}"') -> str:
    """Return a checkout.toml for real money on a node with `--chain-id 1`, manual mining, and perhaps a token."""
    tokens = (
        f"""
[[chains.tokens]]
symbol = "USDC"
address = "{token}"
decimals = 6
usd_pegged = true
"""
        if token
        else ""
    )
    return f"""
[wallet]
{wallet}
[prices]
sources = []
fixed = {{ "ETH/USD" = "3000.00" }}
[branding]
name = "{SHOP}"
color = "#ffb000"
support_email = "help@bakery.example"
support_url = "https://bakery.example/help"
terms_url = "https://bakery.example/terms"
[[chains]]
id = {CHAIN_ID}
name = "Ethereum"
rpc_urls = ["{node.url}"]
confirmations = 3
poll_seconds = 0.1
explorer_url = "https://etherscan.io"
wallet_rpc_url = "https://rpc.example"
{tokens}"""


QUESTIONS: dict[str, Any] = {
    "payerFields": {"email": "required", "name": "optional", "note": "optional"},
    "customFields": [
        {"key": "size", "label": "Your size", "type": "choice", "required": True, "options": ["Small", "Medium"]},
        {"key": "engraving", "label": "Text of the engraving", "type": "text", "maxLength": 20},
    ],
}


class Shop:
    """A server with both modes; `live` is a client with a live key, `test` one with a test key."""

    def __init__(
        self,
        folder: Path,
        node: Anvil,
        *,
        token: str | None = None,
        environ: Mapping[str, str] | None = None,
        wallet: str = f'xpub = "{FRESH_XPUB}"',
    ) -> None:
        self.node = node
        self._folder = folder
        self.server = Server(folder, configuration(node, token, wallet=wallet), environ=environ)
        self.live = self.server.client(_key(folder, "live"))
        self.test = self.server.client(_key(folder, "test"))
        self.server.wait_until(self._is_ready, "see the chain")

    def url(self, session: Json) -> str:
        """Return where a session's page is."""
        return f"{self.server.url}/checkout/{session['id']}"

    def ask(self, *, live: bool = True, value: str = "49.90", **more: Any) -> Json:
        """Make a session."""
        client = self.live if live else self.test
        body = {"amount": {"value": value, "currency": "USD"}, **more}
        made: Json = client.post("/checkout_sessions", json=body).raise_for_status().json()
        return made

    def link(self, *, live: bool = False, **more: Any) -> Json:
        """Make a payment link."""
        client = self.live if live else self.test
        body = {"title": "Sourdough workshop", "fiatAmount": "49.90", **more}
        made: Json = client.post("/payment_links", json=body).raise_for_status().json()
        return made

    def of_link(self, link: Json) -> Json:
        """Make a session of a link."""
        client = self.live if link["livemode"] else self.test
        made: Json = client.post("/checkout_sessions", json={"linkId": link["id"]}).raise_for_status().json()
        return made

    def pay(self, session: Json, units: int | None = None) -> str:
        """Send ETH to a session from anvil's last account; it waits for a block."""
        return self.node.send(self.node.accounts[9], session["address"], units or int(session["amount"]["units"]))

    def play(self, session: Json, scenario: str) -> None:
        """Drive a test session through a scenario."""
        path = f"/test_helpers/checkout_sessions/{session['id']}/pay"
        self.test.post(path, json={"scenario": scenario}).raise_for_status()

    def stray(self, session: Json) -> None:
        """Record a test dollar that came for a session which waits for something else: the sandbox sends none."""
        row = {
            "address": session["address"].lower(),
            "session_id": session["id"],
            "livemode": 0,
            "chain_id": COINS[1]["chainId"],
            "tx_hash": f"0x{session['id'].encode().hex():0>64.64}",
            "log_index": 0,
            "kind": "token",
            "contract": ASSETS[1].contract,
            "units": str(10 ** ASSETS[1].decimals),
            "block_number": 1,
            "block_hash": "0x" + "01" * 32,
            "block_time": session["createdAt"],
            "canonical": 1,
            "recorded_at": session["createdAt"],
        }
        database = self._folder / "checkout-data" / "checkout.db"
        with closing(sqlite3.connect(database, timeout=WAIT_SECONDS, isolation_level=None)) as connection:
            names, places = ", ".join(row), ", ".join(f":{name}" for name in row)
            connection.execute(f"INSERT INTO unmatched_payments ({names}) VALUES ({places})", row)  # noqa: S608

    def decide(self, session: Json, decision: str) -> None:
        """Close or accept a test session."""
        self.test.post(f"/checkout_sessions/{session['id']}/{decision}").raise_for_status()

    def refund(self, session: Json, amount: str) -> None:
        """Refund a part of a test session, and pay that."""
        body = {"sessionId": session["id"], "amount": amount, "destination": REFUND_ADDRESS}
        made: Json = self.test.post("/refunds", json=body).raise_for_status().json()
        self.test.post(f"/test_helpers/refunds/{made['id']}/pay").raise_for_status()

    def wait_for(self, session: Json, status: str, *, confirmations: int = 0) -> None:
        """Return once a session has a status, and so many confirmations."""

        def is_so() -> bool:
            client = self.live if session["livemode"] else self.test
            found = client.get(f"/checkout_sessions/{session['id']}").json()
            return bool(found["status"] == status and found["confirmations"] >= confirmations)

        self.server.wait_until(is_so, f"come to {status}")

    def _is_ready(self) -> bool:
        return bool(self.server.client(None).get(f"{self.server.url}/readyz").is_success)


def _key(folder: Path, mode: str) -> str:
    done = command(folder, "keys", "create", "--mode", mode, "--name", "scenes", "--json")
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["key"])


def scenes(shop: Shop) -> dict[str, str]:
    """Bring about every state but those of a chain that isn't seen; return the URL of each by its name."""
    return {**_of_real_money(shop), **_of_test_mode(shop), **_without_a_session(shop)}


def out_of_sight(shop: Shop) -> dict[str, str]:
    """Return a page whose time is up and one whose chain isn't seen; the simulated chain is out of order after that."""
    ended, waiting = shop.ask(live=False, expiresInSeconds=60), shop.ask(live=False, expiresInSeconds=86_400)
    shop.test.post("/test_helpers/chain/outage", json={"seconds": 3600}).raise_for_status()
    shop.test.post("/test_helpers/clock/advance", json={"seconds": 120}).raise_for_status()
    return {"time_up": shop.url(ended), "blind": shop.url(waiting)}


def _of_real_money(shop: Shop) -> dict[str, str]:
    link = shop.link(live=True, description="Saturday, 10 to 13 h.\nFlour and apron are there.")
    waiting, partial, confirming = shop.of_link(link), shop.ask(), shop.ask()
    paid = shop.ask(successUrl="https://shop.example/thanks")
    reorged = shop.ask()
    shop.pay(paid)
    shop.node.mine(3)
    shop.pay(partial, 10**16)
    shop.node.mine(3)
    shop.wait_for(paid, "paid")
    shop.wait_for(partial, "underpaid")
    shop.pay(reorged)
    shop.node.mine(1)
    shop.wait_for(reorged, "detected")
    shop.node.rpc("anvil_reorg", 1, [])
    shop.wait_for(reorged, "pending")
    shop.pay(confirming)
    shop.node.mine(2)
    shop.wait_for(confirming, "detected", confirmations=2)
    found = {"waiting": waiting, "partial": partial, "confirming": confirming, "paid": paid, "reorged": reorged}
    return {name: shop.url(session) for name, session in found.items()}


def _of_test_mode(shop: Shop) -> dict[str, str]:
    plays = {
        "overpaid": "overpaid",
        "late": "late",
        "late_payment": "after_grace",
        "failed": "reorged_after_paid",
        "expired": "wrong_token",
    }
    link = shop.link()
    found = {"test": shop.ask(live=False), **{name: shop.of_link(link) for name in plays}}
    for name, scenario in plays.items():
        shop.play(found[name], scenario)
    shop.wait_for(found["expired"], "expired")
    found |= {"closed": shop.of_link(link), "accepted": shop.ask(live=False), "refunded": shop.ask(live=False)}
    shop.play(found["accepted"], "underpaid")
    shop.play(found["refunded"], "overpaid")
    shop.decide(found["closed"], "expire")
    shop.decide(found["accepted"], "accept")
    shop.refund(found["refunded"], "0.001")
    found |= {"wrong": shop.ask(live=False), "wrong_before": shop.ask(live=False, assets=COINS)}
    for name in ("wrong", "wrong_before"):
        shop.stray(found[name])
    token = shop.ask(live=False, asset="USDC")
    chooser, changing = (shop.ask(live=False, assets=COINS) for _ in range(2))
    pages = {name: shop.url(session) for name, session in found.items()}
    return {
        **pages,
        "token": shop.url(token),
        "token_request": f"{shop.url(token)}?qr=request",
        "chooser": shop.url(chooser),
        "details": shop.url(shop.ask(live=False, **QUESTIONS)),
        "changing": f"{shop.url(changing)}/choose",
    }


def _without_a_session(shop: Shop) -> dict[str, str]:
    bounds: Json = {
        "minFiatAmount": "5.00",
        "maxFiatAmount": "500.00",
        "suggestedAmounts": ["10.00", "25.00", "100.00"],
    }
    any_amount = f"{shop.server.url}/l/{shop.link(fiatAmount=None, **bounds)['slug']}"
    return {
        "front": shop.server.url,
        "not_found": f"{shop.server.url}/checkout/cs_nothing",
        "inactive": f"{shop.server.url}/l/{shop.link(active=False)['slug']}",
        "any_amount": any_amount,
        "wrong_amount": f"{any_amount}?amount=3",
        "pieces": f"{shop.server.url}/l/{shop.link(quantity={'max': 4, 'stock': 120})['slug']}?quantity=2",
        "sold_out": f"{shop.server.url}/l/{shop.link(quantity={'stock': 0})['slug']}",
    }
