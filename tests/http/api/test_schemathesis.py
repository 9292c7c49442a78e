"""The API against its own document, with the requests of schemathesis: examples, edge cases, fuzz and linked calls."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from crypto_checkout.core.money import DECIMALS
from crypto_checkout.http.api.operations import PREFIX
from tests.support.anvil import ROOT, Anvil
from tests.support.server import Server, command
from tests.support.shop import FRESH_XPUB

REPLACED = "positive_data_acceptance"
"""Its place takes the check in `schemathesis_hooks`, which knows what a schema can't say."""

LIVE = """
[wallet]
xpub = "{xpub}"
[prices]
fixed = {{ {prices} }}
[[chains]]
id = 1
name = "Ethereum"
rpc_urls = ["{rpc}"]
poll_seconds = 0.2
"""


def test_schemathesis_finds_nothing_in_test_mode(tmp_path: Path) -> None:
    with Server(tmp_path, "") as server:
        assert server.key is not None
        summary = explore(server, server.key, tmp_path, examples=10)
        assert server.api.get("/events").is_success
    print(summary)  # noqa: T201


def test_schemathesis_finds_nothing_in_live_mode(anvil: Callable[..., Anvil], tmp_path: Path) -> None:
    node = anvil(arguments=["--chain-id", "1"])
    # A price that nobody tells is a 503, which schemathesis takes for a fault.
    prices = ", ".join(f'"ETH/{currency}" = "3000"' for currency in DECIMALS)
    with Server(tmp_path, LIVE.format(xpub=FRESH_XPUB, rpc=node.url, prices=prices)) as server:
        made = command(tmp_path, "keys", "create", "--mode", "live", "--name", "fuzz", "--json")
        key = json.loads(made.stdout)["key"]
        api = server.client(key)
        price = {"amount": {"value": "10.00", "currency": "USD"}}
        server.wait_until(lambda: api.post("/checkout_sessions", json=price).is_success, "sell")
        summary = explore(server, key, tmp_path, examples=5)
    print(summary)  # noqa: T201


def explore(server: Server, key: str, folder: Path, *, examples: int) -> str:
    """Run schemathesis with all its checks over a server; return its summary, or fail with what it found."""
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")), "run", f"{server.url}/openapi.json",
            "--header", f"Authorization: Bearer {key}",
            "--max-examples", str(examples), "--seed", "1", "--exclude-checks", REPLACED, "--continue-on-failure",
            "--exclude-path", f"{PREFIX}/test_helpers/chain/outage",  # it takes the chain from all the others
            "--exclude-path", f"{PREFIX}/test_helpers/prices/outage",  # and this takes the prices
        ],
        cwd=folder,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )  # fmt: skip
    if done.returncode != 0:
        pytest.fail(f"{done.stdout}\n{done.stderr}\n{server.log[-5000:]}", pytrace=False)
    assert "request failed" not in server.log
    return done.stdout[done.stdout.index("SUMMARY") :]
