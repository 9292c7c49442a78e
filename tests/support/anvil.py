"""A real EVM node for tests: anvil as a process of its own, which can be stopped and come back with its chain.

Its ten accounts are unlocked and hold 10,000 ETH each. Everything here blocks: the node never waits for the test, so
that is safe in an `async` test too.
"""

import itertools
import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import httpx

from tests.support.ports import free_port
from tests.support.waiting import WAIT_SECONDS, wait_until

ROOT = Path(__file__).parents[2]
LISTENING = re.compile(r"Listening on 127\.0\.0\.1:(\d+)")
LATER_SECONDS = 60

Mining = Literal["auto", "manual"] | int
"""A block per transaction, a block per `mine()`, or a block every so many seconds."""


class RpcError(Exception):
    """The node's answer is an error."""


class Anvil:
    """One node with one chain. `accounts` are its unlocked ones.

    Args:
        binary: the program.
        folder: an empty folder for the chain's state and the node's log.
        mining: when a block is made.
        arguments: further arguments of anvil's own, such as `["--chain-id", "1"]`.
    """

    def __init__(self, binary: Path, folder: Path, *, mining: Mining = "auto", arguments: Sequence[str] = ()) -> None:
        self._command = [
            str(binary),
            *("--state", str(folder / "state.json"), "--preserve-historical-states"),
            *("--cache-path", str(folder / "cache")),
            *{"auto": (), "manual": ("--no-mining",)}.get(str(mining), ("--block-time", str(mining))),
            *arguments,
        ]
        self._folder = folder
        self._mining = mining
        self._runs = itertools.count(1)
        self._ids = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._client = httpx.Client(timeout=WAIT_SECONDS, trust_env=False)
        try:
            self.port = self._start(free_port())
            self.accounts: list[str] = self.rpc("eth_accounts")
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """The URL of its JSON-RPC; the same after `start_again()`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def rpc(self, method: str, *params: Any) -> Any:
        """Call the node and return the result; raise `RpcError` with the node's own words."""
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        answer = self._client.post(self.url, json=request).raise_for_status().json()
        if "error" in answer:
            raise RpcError(f"{method}: {json.dumps(answer['error'])}")
        return answer["result"]

    def mine(self, blocks: int = 1) -> int:
        """Make blocks; return the number of the newest."""
        self.rpc("anvil_mine", hex(blocks))
        return self.block_number()

    def block_number(self) -> int:
        return int(self.rpc("eth_blockNumber"), 16)

    def balance(self, address: str) -> int:
        """Return what the address has at the newest block, in wei."""
        return int(self.rpc("eth_getBalance", address, "latest"), 16)

    def send(self, sender: str, to: str, value_wei: int) -> str:
        """Send ETH from an unlocked account; return the transaction's hash.

        With `mining="auto"` the transaction is in a block by then; else it waits for one.
        """
        transaction_hash: str = self.rpc("eth_sendTransaction", {"from": sender, "to": to, "value": hex(value_wei)})
        # Automatic mining is a task of its own in anvil: the answer can come before the block.
        if self._mining == "auto":
            self._wait(lambda: self.rpc("eth_getTransactionReceipt", transaction_hash) is not None, "mine it")
        return transaction_hash

    def stop(self) -> None:
        """End the node as an outage does to its callers; the chain is kept. Repeating is safe."""
        if self._process is None:
            return
        # A kept-alive connection to the dead node would make the first call after its return fail.
        self._client.close()
        self._client = httpx.Client(timeout=WAIT_SECONDS, trust_env=False)
        self._process.terminate()
        try:
            self._process.wait(WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._process = None

    def start_again(self) -> None:
        """Start the stopped node on the same port, with the chain it had."""
        assert self._process is None, "the node runs; stop it first"
        self._start(self.port)

    def begin_anew(self) -> None:
        """Start on the same port with a new chain from its first block, as a test network does that is set up again.

        Its blocks are later than those of the old one, whatever the clock does: blocks of the same second are the same.
        """
        newest = self.rpc("eth_getBlockByNumber", "latest", False)
        self.stop()
        (self._folder / "state.json").unlink(missing_ok=True)
        self._start(self.port, "--timestamp", str(int(newest["timestamp"], 16) + LATER_SECONDS))

    def close(self) -> None:
        """Stop for good, without writing the chain down: that of a long test would take a minute."""
        self._client.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _start(self, port: int, *arguments: str) -> int:
        """Start the process; return its port once it answers there."""
        log = self._folder / f"anvil-{next(self._runs)}.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [*self._command, *arguments, "--port", str(port)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._wait(lambda: LISTENING.search(log.read_text("utf-8", "replace")) is not None, "start")
        return int(LISTENING.findall(log.read_text("utf-8", "replace"))[0])

    def _wait(self, is_so: Callable[[], bool], what: str) -> None:
        """Return once the condition holds; fail with the log when the node ends before, or when it takes too long."""
        wait_until(is_so, what, is_running=lambda: self.is_running, output=self._newest_log)

    def _newest_log(self) -> str:
        newest = max(self._folder.glob("anvil-*.log"), key=lambda file: file.stat().st_mtime)
        return newest.read_text("utf-8", "replace")


def find() -> Path | None:
    """Return the program: what CHECKOUT_ANVIL names, else what `scripts/anvil` brought, else what PATH has."""
    if named := os.environ.get("CHECKOUT_ANVIL"):
        return Path(named)
    cpu = "amd64" if platform.machine().lower() in {"x86_64", "amd64"} else "arm64"
    package = f"@foundry-rs/anvil-{platform.system().lower()}-{cpu}"
    brought = ROOT / ".cache" / "node" / "node_modules" / package / "bin" / "anvil"
    if brought.exists():
        return brought
    on_path = shutil.which("anvil")
    return Path(on_path) if on_path else None
