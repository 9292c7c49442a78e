"""A token that is not what the configuration says takes no money, and the operator is told what to write instead."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from crypto_checkout.services.ledger import startup_check
from tests.support.anvil import Anvil
from tests.support.api import App, error, open_app
from tests.support.contracts import PAYABLE, REVERTING
from tests.support.contracts import deploy as put
from tests.support.nodes import forwarding, running
from tests.support.shop import FRESH_XPUB
from tests.support.solidity import Compiler, deploy
from tests.support.waiting import until

Nodes = Callable[..., Anvil]
PRICE = {"amount": {"value": "30.00", "currency": "USD"}}
WAITING = "takes no USDC yet"


@asynccontextmanager
async def shop(folder: Path, url: str, address: str, decimals: int = 6) -> AsyncIterator[tuple[App, httpx.AsyncClient]]:
    token = {"symbol": "USDC", "address": address, "decimals": decimals, "usd_pegged": True}
    sections: dict[str, Any] = {
        "wallet": {"xpub": FRESH_XPUB},
        "test_mode": {"enabled": False},
        "prices": {"fixed": {"ETH/USD": "3000"}},
        "chains": [{"id": 31337, "name": "Anvil", "rpc_urls": [url], "poll_seconds": 0.05, "tokens": [token]}],
    }
    async with open_app(folder, **sections) as app:
        client = await app.client(livemode=True)
        await until(lambda: _sells(client), "sell for ETH")
        yield app, client


async def _sells(client: httpx.AsyncClient) -> bool:
    return (await client.post("/checkout_sessions", json=PRICE)).status_code == 201


async def ask(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/checkout_sessions", json={**PRICE, "asset": "USDC"})


async def is_refused_for_good(client: httpx.AsyncClient) -> bool:
    return "not what the configuration says" in (await ask(client)).text


async def test_a_token_that_is_what_the_configuration_says_is_taken(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil()
    async with shop(tmp_path, node.url, deploy(node, solc, "Token").address) as (_, client):

        async def is_taken() -> bool:
            return (await ask(client)).status_code == 201

        await until(is_taken, "take the token")


async def test_with_wrong_decimals_no_session_is_made_and_the_log_names_the_key_and_both_values(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil()
    contract = deploy(node, solc, "Token").address
    with capture_logs() as logs:
        async with shop(tmp_path, node.url, contract, decimals=18) as (_, client):
            await until(lambda: is_refused_for_good(client), "refuse the token")
            answer = await ask(client)
            assert (answer.status_code, error(answer)["code"]) == (503, "wallet_not_configured")
            assert WAITING in error(answer)["message"]
            assert (await client.post("/checkout_sessions", json=PRICE)).status_code == 201, "ETH is taken"
    (said,) = [each for each in logs if each["log_level"] == "critical"]
    assert "chains[0].tokens[0].decimals is 18" in said["error"]
    assert "says 6" in said["error"]


@pytest.mark.parametrize("code", ["", PAYABLE, REVERTING], ids=["nobody", "something", "something that refuses"])
async def test_an_address_without_a_token_is_named(anvil: Nodes, tmp_path: Path, code: str) -> None:
    node = anvil()
    address = put(node, code) if code else "0x" + "5e" * 20
    with capture_logs() as logs:
        async with shop(tmp_path, node.url, address) as (_, client):
            await until(lambda: is_refused_for_good(client), "refuse the token")
    (said,) = [each["error"] for each in logs if each["log_level"] == "critical"]
    assert said.startswith("chains[0].tokens[0].address: ")
    assert ("has no decimals()" if code else "there is no contract") in said


async def test_a_token_waits_for_its_node_and_is_asked_for_again_where_the_node_erred(
    anvil: Nodes, solc: Compiler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(startup_check, "_FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(startup_check, "_LONGEST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(startup_check, "_CONTRADICTED_PAUSE_SECONDS", 0.05)
    node = anvil()
    contract = deploy(node, solc, "Token").address
    wrong: dict[str, Any] = {"eth_getCode": "0x"}
    with capture_logs() as logs:
        async with (
            running(forwarding(node.url, wrong)) as front,
            shop(tmp_path, front.url, contract) as (_, client),
        ):
            await until(lambda: is_refused_for_good(client), "refuse the token")
            wrong.clear()

            async def is_taken() -> bool:
                return (await ask(client)).status_code == 201

            await until(is_taken, "take the token after all")
    assert sum(each["log_level"] == "critical" for each in logs) == 1, "said once, not at each try"
