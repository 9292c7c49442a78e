"""The demo's server: a real `crypto-checkout serve` with a wallet and a live key of its own, used through `client`."""

import re
import secrets
import time
from collections.abc import Callable

from crypto_checkout.chain.wallet.mnemonic import ENTROPY_BYTES, new_wallet
from crypto_checkout.client import CheckoutClient, EndpointResource, LinkResource, ServerError, SessionResource
from crypto_checkout.config import Config
from crypto_checkout.program import own_command
from crypto_checkout.store.migrate import migrate

from .node import CHAIN_ID
from .stage import Stage

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
_POLL_SECONDS = 0.05


class DemoShop:
    """The server, and the merchant's side of its API."""

    def __init__(self, stage: Stage, rpc_url: str) -> None:
        configuration = stage.folder / "checkout.toml"
        # The words are thrown away: coins of this chain are worthless.
        xpub = new_wallet(secrets.token_bytes(ENTROPY_BYTES)).xpub
        configuration.write_text(
            _CONFIGURATION.format(xpub=xpub, rpc_url=rpc_url, chain_id=CHAIN_ID, confirmations=CONFIRMATIONS), "utf-8"
        )
        migrate(stage.folder / Config().database.path)  # so that the key is made while the server starts
        program = [*own_command(), "--config", str(configuration)]
        keys = stage.start("keys", [*program, *_MAKE_KEY])
        server = stage.start("server", [*program, "serve"])
        self.url = server.wait_for(_LISTENING)
        self._client = stage.enter(CheckoutClient(self.url, keys.wait_for(_KEY), max_retries=0))

    def make_endpoint(self, url: str, events: list[str]) -> EndpointResource:
        """Make an endpoint that gets these events at a URL."""
        return self._client.webhook_endpoints.create(url=url, events=events)

    def make_link(self, title: str, amount: str, currency: str) -> LinkResource:
        """Make a payment link."""
        return self._client.payment_links.create(title=title, fiat_amount=amount, fiat_currency=currency)

    def make_session(self, link_id: str) -> SessionResource:
        """Make a session from a link; wait until the server is ready for it."""
        while True:
            try:
                return self._client.checkout_sessions.create(link_id=link_id)
            except ServerError:
                time.sleep(_POLL_SECONDS)  # the stage has a deadline

    def wait_for(self, session_id: str, is_so: Callable[[SessionResource], bool]) -> SessionResource:
        """Return the session once it meets a condition."""
        while not is_so(session := self.session(session_id)):
            time.sleep(_POLL_SECONDS)
        return session

    def session(self, session_id: str) -> SessionResource:
        """Return the session as it is now."""
        return self._client.checkout_sessions.retrieve(session_id)
