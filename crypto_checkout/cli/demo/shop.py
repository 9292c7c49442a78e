"""The demo's server: a real `crypto-checkout serve` with a wallet and a live key of its own, used over HTTP."""

import re
import secrets
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx

from crypto_checkout.chain.mnemonic import ENTROPY_BYTES, new_wallet

from .node import CHAIN_ID
from .stage import Failed, Stage

CONFIRMATIONS = 3

_CONFIGURATION = """\
[server]
port = 0

[wallet]
xpub = "{xpub}"

[prices]
fixed = {{ "ETH/USD" = "3000.00" }}

[webhooks]
allow_private_networks = true

[[chains]]
id = {chain_id}
name = "Anvil"
rpc_urls = ["{rpc_url}"]
confirmations = {confirmations}
poll_seconds = 0.2
"""
_MAKE_KEY = ("keys", "create", "--mode", "live", "--name", "demo", "--json")
_KEY = re.compile(r'"key": "(ck_live_\w+)"')
_LISTENING = re.compile(r"listens on (http://\S+)")
_LOOK_SECONDS = 0.05
_TIMEOUT_SECONDS = 10


class Shop:
    """The server, and the merchant's side of its API."""

    def __init__(self, stage: Stage, rpc_url: str) -> None:
        configuration = stage.folder / "checkout.toml"
        # The words are thrown away: what is paid here is worth nothing.
        xpub = new_wallet(secrets.token_bytes(ENTROPY_BYTES)).xpub
        configuration.write_text(
            _CONFIGURATION.format(xpub=xpub, rpc_url=rpc_url, chain_id=CHAIN_ID, confirmations=CONFIRMATIONS), "utf-8"
        )
        program = [sys.executable, "-m", "crypto_checkout", "--config", str(configuration)]
        keys = stage.start("keys", [*program, *_MAKE_KEY])
        server = stage.start("server", [*program, "serve"])
        self.url = server.wait_for(_LISTENING)
        headers = {"Authorization": f"Bearer {keys.wait_for(_KEY)}"}
        client = httpx.Client(base_url=f"{self.url}/api/v1", headers=headers, timeout=_TIMEOUT_SECONDS, trust_env=False)
        self._client = stage.enter(client)

    def make(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Create something; return it. Waits while the server says that it isn't ready for that yet."""
        while (answer := self._client.post(path, json=body)).status_code == httpx.codes.SERVICE_UNAVAILABLE:
            time.sleep(_LOOK_SECONDS)
        return _checked(answer)

    def wait_for(self, session_id: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the session once the API shows it as wanted."""
        while not is_so(session := self.session(session_id)):
            time.sleep(_LOOK_SECONDS)
        return session

    def session(self, session_id: str) -> dict[str, Any]:
        """Return the session as it is now."""
        return _checked(self._client.get(f"/checkout_sessions/{session_id}"))


def _checked(answer: httpx.Response) -> dict[str, Any]:
    if not answer.is_success:
        raise Failed(f"{answer.request.method} {answer.request.url.path} answered {answer.status_code}: {answer.text}")
    found: dict[str, Any] = answer.json()
    return found
