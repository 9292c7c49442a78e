"""Contracts for a real node, in a few bytes of EVM code each: https://www.evm.codes."""

from tests.support.anvil import Anvil

STOP = "00"
EQ = "14"
SUB = "03"
CALLDATALOAD = "35"
CALLDATASIZE = "36"
CALLDATACOPY = "37"
CODECOPY = "39"
MSTORE = "52"
PUSH0 = "5f"
PUSH1 = "60"
PUSH2 = "61"
PUSH20 = "73"
DUP1 = "80"
LOG0 = 0xA0
RETURN = "f3"
REVERT = "fd"

REVERTING = PUSH0 + PUSH0 + REVERT
"""Refuses every call, and every payment."""

PAYABLE = STOP
"""Takes every payment."""


def emitting(topics: int) -> str:
    """Log an event: so many topics from the call's data, a word each, and all that follows them as its data."""
    size = 32 * topics
    pushed = "".join(f"{PUSH1}{32 * place:02x}{CALLDATALOAD}" for place in reversed(range(topics)))
    copied = f"{PUSH1}{size:02x}{CALLDATASIZE}{SUB}{DUP1}{PUSH1}{size:02x}{PUSH0}{CALLDATACOPY}"
    return f"{pushed}{copied}{PUSH0}{LOG0 + topics:02x}{STOP}"


def balance_of_one(owner: str) -> str:
    """Answer `balanceOf(owner)` with 1, and that of any other address with 0."""
    is_owner = f"{PUSH1}04{CALLDATALOAD}{PUSH20}{owner[2:]}{EQ}"
    return f"{is_owner}{PUSH0}{MSTORE}{PUSH1}20{PUSH0}{RETURN}"


def init_code(runtime: str) -> str:
    """Return the code that deploys this code."""
    length = len(runtime) // 2
    return f"0x{PUSH2}{length:04x}{DUP1}{PUSH1}0a{PUSH0}{CODECOPY}{PUSH0}{RETURN}{runtime}"


def deploy(node: Anvil, runtime: str) -> str:
    """Put a contract on the chain of a node that mines by itself; return its address."""
    transaction = node.rpc(
        "eth_sendTransaction", {"from": node.accounts[9], "data": init_code(runtime), "gas": hex(10**6)}
    )
    node.mine()
    address: str = node.rpc("eth_getTransactionReceipt", transaction)["contractAddress"]
    return address
