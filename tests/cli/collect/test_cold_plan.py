"""`crypto-checkout collect plan` for a cold address: a file for a Safe, whose transactions anybody may send."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from crypto_checkout.cli import main
from crypto_checkout.core.address import checksum
from tests.support.anvil import Anvil
from tests.support.api import open_app
from tests.support.collecting import COLD, deploy_contracts, transact
from tests.support.shop import FRESH_XPUB, ONE_COIN
from tests.support.waiting import until

PLAN = ("collect", "plan", "--chain", "31337", "--out", "safe.json")


def configuration(url: str) -> str:
    return (
        f'[database]\npath = "checkout.db"\n[wallet]\ncold_address = "{checksum(COLD)}"\n'
        f'[prices]\nsources = []\nfixed = {{"ETH/USD" = "3000"}}\n'
        f'[[chains]]\nid = 31337\nname = "Anvil"\nrpc_urls = ["{url}"]\npoll_seconds = 0.05\nconfirmations = 1\n'
    )


async def run(*arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, main, arguments)


async def test_the_file_for_a_safe_collects_from_deposits(
    anvil: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    node: Anvil = anvil()
    deploy_contracts(node)
    (tmp_path / "checkout.toml").write_text(configuration(node.url), "utf-8")
    chain = {"id": 31337, "name": "Anvil", "rpc_urls": [node.url], "poll_seconds": 0.05, "confirmations": 1}
    wallet, prices = {"cold_address": checksum(COLD)}, {"sources": (), "fixed": {"ETH/USD": "3000"}}
    async with open_app(tmp_path, wallet=wallet, prices=prices, chains=[chain]) as app:
        api = await app.client(livemode=True)
        made: list[dict[str, Any]] = []

        async def is_made() -> bool:
            answer = await api.post("/checkout_sessions", json={"amount": {"value": "3000.00", "currency": "USD"}})
            made.extend([answer.json()] if answer.status_code == 201 else [])
            return bool(made)

        await until(is_made, "make a session")
        await is_made()  # one stays open: the chain is looked at all the time
        empty = await run(*PLAN)
        node.send(node.accounts[9], made[0]["address"], ONE_COIN)
        node.mine()

        async def is_paid() -> bool:
            return bool((await api.get(f"/checkout_sessions/{made[0]['id']}")).json()["status"] == "paid")

        await until(is_paid, "be paid")
        planned = await run(*PLAN)
        again = await run(*PLAN)
        (transaction,) = json.loads((tmp_path / "safe.json").read_text())["transactions"]
        transact(node, transaction["to"], bytes.fromhex(transaction["data"][2:]))

        async def is_listed() -> bool:
            return "Anvil (31337)" in (await run("collect", "list")).stdout

        await until(is_listed, "list the collection")

    assert "Nothing at deposits on Anvil is worth moving" in empty.stdout
    assert f"To {checksum(COLD)}, from 1 address:\n  1 ETH\n" in planned.stdout
    assert again.exit_code == 1
    assert "safe.json already exists" in again.stderr
    assert node.balance(COLD) == ONE_COIN


async def test_without_a_cold_address_a_destination_must_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    text = configuration("http://127.0.0.1:9").replace(f'cold_address = "{checksum(COLD)}"', f'xpub = "{FRESH_XPUB}"')
    (tmp_path / "checkout.toml").write_text(text, "utf-8")

    refused = await run(*PLAN)

    assert refused.exit_code == 1
    assert "Name the receiving address with --to" in refused.stderr
