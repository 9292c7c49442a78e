"""The demo's chain: anvil, which mines blocks on request and has unlocked accounts with funds."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from crypto_checkout.cli.demo.stage import Process, Stage, StepFailed

CHAIN_ID = 31337

_HOW_TO_GET_IT = (
    "`scripts/demo` of the source brings it. Or install Foundry (https://getfoundry.sh), and name the program in "
    "CHECKOUT_ANVIL if it is not on PATH. `crypto-checkout demo --sandbox` needs no node."
)
_LISTENING = re.compile(r"Listening on (127\.0\.0\.1:\d+)")
_TIMEOUT_SECONDS = 10


def find(environ: Mapping[str, str]) -> str:
    """Return the path of anvil, from CHECKOUT_ANVIL or else from PATH. Raises StepFailed with how to install it."""
    named = environ.get("CHECKOUT_ANVIL")
    found = shutil.which(named or "anvil", path=environ.get("PATH"))
    if found is None:
        lack = f"CHECKOUT_ANVIL names {named}, which can't be run" if named else "there is none on PATH"
        raise StepFailed(f"The demo needs anvil, a real EVM node, and {lack}: {_HOW_TO_GET_IT}")
    return str(Path(found).absolute())  # it is started in another folder


class Node:
    """A running node, used over JSON-RPC."""

    def __init__(self, stage: Stage, anvil: str) -> None:
        self._process: Process = stage.start(
            "anvil", [anvil, "--port", "0", "--chain-id", str(CHAIN_ID), "--no-mining", "--cache-path", "anvil-cache"]
        )
        self.url = f"http://{self._process.wait_for(_LISTENING)}"
        self._client = stage.enter(httpx.Client(timeout=_TIMEOUT_SECONDS, trust_env=False))

    def pay(self, address: str, wei: int) -> str:
        """Send coins from the first account; return the transaction's hash."""
        payer = self._ask("eth_accounts")[0]
        return str(self._ask("eth_sendTransaction", {"from": payer, "to": address, "value": hex(wei)}))

    def mine(self) -> int:
        """Mine a block and return its number."""
        self._ask("evm_mine")
        return int(self._ask("eth_blockNumber"), 16)

    def _ask(self, method: str, *params: Any) -> Any:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = self._client.post(self.url, json=request).raise_for_status().json()
        if "result" not in answer:
            raise StepFailed(f"anvil answers {method} with {answer.get('error')}.")
        return answer["result"]
