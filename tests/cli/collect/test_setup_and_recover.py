"""`crypto-checkout collect`: what it shows puts the contracts on a chain, and money into the owner's hands."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from crypto_checkout.cli.collect import collect
from crypto_checkout.cli.support.options import Options
from crypto_checkout.core.address import checksum
from crypto_checkout.core.collect import contracts
from crypto_checkout.core.collect.deposits import Deposits
from crypto_checkout.services.collect.deployment import GAS
from tests.support.anvil import Anvil
from tests.support.collecting import COLD, deploy_contracts
from tests.support.shop import ONE_COIN
from tests.support.solidity import Compiler, deploy

Nodes = Callable[..., Anvil]


def configuration(node: Anvil, *, label: str = "", token: str = "") -> str:
    return (
        f'[wallet]\ncold_address = "{checksum(COLD)}"\ncold_label = "{label}"\n'
        f'[prices]\nfixed = {{"ETH/USD" = "3000"}}\n'
        f'[[chains]]\nid = 31337\nname = "Anvil"\nrpc_urls = ["{node.url}"]\n{token}'
    )


def ask(folder: Path, *arguments: str) -> Any:
    done = run(folder, *arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(collect, arguments, obj=Options(folder / "checkout.toml", {}))


def send(node: Anvil, transaction: Any) -> Any:
    sent = {"from": node.accounts[3], "to": transaction["to"], "data": transaction["data"], "gas": hex(10_000_000)}
    tx_hash = node.rpc("eth_sendTransaction", sent)
    node.mine()
    return node.rpc("eth_getTransactionReceipt", tx_hash)


def test_the_two_transactions_of_setup_put_the_contracts_there_whatever_account_sends_them(
    anvil: Nodes, tmp_path: Path
) -> None:
    node = anvil()
    (tmp_path / "checkout.toml").write_text(configuration(node), "utf-8")
    (chain,) = ask(tmp_path, "setup")["chains"]
    used = [int(send(node, each)["gasUsed"], 16) for each in chain["transactions"]]
    assert [each["contract"] for each in chain["transactions"]] == ["Forwarder", "Collector"]
    assert all(spent <= each["gas"] for spent, each in zip(used, chain["transactions"], strict=True))
    assert sum(used) == pytest.approx(671_000, rel=0.01)
    for contract in GAS:
        assert node.rpc("eth_getCode", contract.address, "latest") != "0x"
    (chain,) = ask(tmp_path, "setup")["chains"]
    assert (chain["transactions"], chain["problem"]) == ([], None)


def test_setup_tells_people_what_to_send_and_where(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil()
    (tmp_path / "checkout.toml").write_text(configuration(node), "utf-8")
    said = run(tmp_path, "setup").stdout
    assert "Anvil (31337) lacks Forwarder and Collector" in said
    assert f"cast send --rpc-url NODE --ledger {checksum(contracts.CREATE2_PROXY)} 0x" in said
    node.rpc("anvil_setCode", contracts.CREATE2_PROXY, "0x")
    assert "Anvil: there is none at" in run(tmp_path, "setup").stdout


def test_with_the_database_lost_every_deposit_is_recovered(anvil: Nodes, solc: Compiler, tmp_path: Path) -> None:
    node = anvil()
    deploy_contracts(node)
    token = deploy(node, solc, "Token")
    listed = f'[[chains.tokens]]\nsymbol = "USDC"\naddress = "{token.address}"\ndecimals = 6\n'
    (tmp_path / "checkout.toml").write_text(configuration(node, label="shop", token=listed), "utf-8")
    deposits = Deposits(COLD, "shop")
    for index in (0, 7, 1200):
        node.rpc("anvil_setBalance", deposits.address(index), hex(ONE_COIN))
    token.send("transfer(address,uint256)", deposits.address(7), 5_000_000)
    node.mine()

    (transaction,) = ask(tmp_path, "recover", "--count", "600")["transactions"]
    assert [(each["index"], each["asset"]) for each in transaction["items"]] == [
        (0, "ETH"),
        (7, "ETH"),
        (7, "USDC"),
        (1200, "ETH"),
    ]
    assert transaction["moves"] == 4
    assert "5 USDC" in run(tmp_path, "recover").stdout
    send(node, transaction)
    assert node.balance(COLD) == 3 * ONE_COIN
    assert ask(tmp_path, "recover")["transactions"] == []


def test_a_destination_must_be_spelled_as_the_wallet_shows_it(anvil: Nodes, tmp_path: Path) -> None:
    (tmp_path / "checkout.toml").write_text(configuration(anvil()), "utf-8")
    done = run(tmp_path, "recover", "--destination", COLD)
    assert done.exit_code == 2
    assert "EIP-55" in done.stderr
