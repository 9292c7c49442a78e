"""The contracts that collect, on a real node, and what anybody does with them there."""

from collections.abc import Mapping, Sequence
from typing import Any

from crypto_checkout.core.address import Address
from crypto_checkout.core.collect import calls, contracts, deposits
from crypto_checkout.core.public.types import SessionResource
from tests.support.anvil import Anvil

COLD = Address("0xc01dc01dc01dc01dc01dc01dc01dc01dc01dc01d")
"""An ordinary account that has nothing and never sends."""

ENOUGH_GAS = hex(16_000_000)


def deploy_contracts(node: Anvil) -> None:
    """Put Forwarder and Collector on the chain; anvil has the deployment proxy from the start."""
    for contract in (contracts.FORWARDER, contracts.COLLECTOR):
        receipt = transact(node, contracts.CREATE2_PROXY, contract.deployment)
        assert receipt["status"] == "0x1", f"{contract.name} was not deployed"


def collect(
    node: Anvil, destination: Address, salts: Mapping[Address, Sequence[bytes]], sender: str | None = None
) -> Any:
    """Collect in one transaction, by anybody; return its receipt."""
    return transact(node, contracts.COLLECTOR.address, calls.collect(destination, salts), sender)


def transact(node: Anvil, to: str, data: bytes, sender: str | None = None) -> Any:
    """Send a call from an account of the node, the last but one unless another is named; return its receipt."""
    transaction = {"from": sender or node.accounts[8], "to": to, "data": "0x" + data.hex(), "gas": ENOUGH_GAS}
    tx_hash = node.rpc("eth_sendTransaction", transaction)
    node.mine()
    return node.rpc("eth_getTransactionReceipt", tx_hash)


def collect_sessions(node: Anvil, sessions: Sequence[SessionResource], token: str = calls.COIN) -> str:
    """Send the transaction that collects from sessions' deposits of `COLD`; return its hash. It waits for a block."""
    salts = [deposits.salt(session["addressIndex"]) for session in sessions]
    return _send(node, calls.collect(COLD, {Address(token.lower()): salts}))


def collect_accounts(node: Anvil, sessions: Sequence[SessionResource], token: str = calls.COIN) -> str:
    """Send the transaction that empties sessions' addresses with code; return its hash. It waits for a block."""
    accounts = [Address(session["address"].lower()) for session in sessions]
    return _send(node, calls.collect_from({Address(token.lower()): accounts}))


def _send(node: Anvil, data: bytes) -> str:
    transaction = {"from": node.accounts[8], "to": contracts.COLLECTOR.address, "data": "0x" + data.hex()}
    sent: str = node.rpc("eth_sendTransaction", {**transaction, "gas": ENOUGH_GAS})
    return sent
