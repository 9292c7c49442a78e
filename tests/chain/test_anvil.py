"""The node that other tests stand on: what it mines when, and that an outage costs it nothing."""

from collections.abc import Callable

import httpx
import pytest

from tests.support.anvil import Anvil, RpcError

ETHER = 10**18


def test_a_transfer_is_in_a_block_at_once(anvil: Callable[..., Anvil]) -> None:
    node = anvil()
    payer, receiver, *_ = node.accounts
    before = node.balance(receiver)
    receipt = node.rpc("eth_getTransactionReceipt", node.send(payer, receiver, ETHER))
    assert receipt["blockNumber"] == "0x1"
    assert node.balance(receiver) == before + ETHER


def test_without_automatic_mining_a_transfer_waits_for_a_block(anvil: Callable[..., Anvil]) -> None:
    node = anvil(mining="manual")
    payer, receiver, *_ = node.accounts
    transaction = node.send(payer, receiver, ETHER)
    assert node.rpc("eth_getTransactionReceipt", transaction) is None
    assert node.mine(3) == 3
    assert node.rpc("eth_getTransactionReceipt", transaction)["blockNumber"] == "0x1"


def test_a_stopped_node_comes_back_on_its_port_with_its_chain(anvil: Callable[..., Anvil]) -> None:
    node = anvil(mining="manual", arguments=["--chain-id", "1"])
    payer, receiver, *_ = node.accounts
    transaction = node.send(payer, receiver, ETHER)
    node.mine(2)
    url, tip = node.url, node.rpc("eth_getBlockByNumber", "latest", False)
    node.stop()
    assert not node.is_running
    with pytest.raises(httpx.ConnectError):
        node.block_number()
    node.start_again()
    assert node.url == url
    assert node.rpc("eth_chainId") == "0x1"
    assert node.rpc("eth_getBlockByNumber", "latest", False)["hash"] == tip["hash"]
    assert node.rpc("eth_getTransactionReceipt", transaction)["blockNumber"] == "0x1"
    assert node.mine() == 3


def test_the_nodes_own_words_reach_the_test(anvil: Callable[..., Anvil]) -> None:
    with pytest.raises(RpcError, match="eth_nonsense"):
        anvil().rpc("eth_nonsense")
