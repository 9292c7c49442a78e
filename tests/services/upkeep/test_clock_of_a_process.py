"""A real server whose machine's clock is set while it runs, and wrong when it starts. It needs Debian's `faketime`."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from crypto_checkout.core import moments
from tests.support.anvil import Anvil
from tests.support.server import Server, command, new_database
from tests.support.shop import ANVIL_CHAIN_ID, FRESH_XPUB

FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
PRICE = {"amount": {"value": "10.00", "currency": "USD"}}
CONFIG = """
[wallet]
xpub = "{xpub}"
[prices]
fixed = {{ "ETH/USD" = "3000.00" }}
[[chains]]
id = {chain_id}
name = "Anvil"
rpc_urls = ["{url}"]
confirmations = 3
poll_seconds = 0.05
"""

pytestmark = pytest.mark.skipif(FAKETIME is None, reason="libfaketime isn't installed (apt-get install faketime)")


def expires_at(api: httpx.Client) -> datetime:
    session = api.post("/checkout_sessions", json=PRICE)
    assert session.status_code == 201, session.text
    return moments.from_text(session.json()["expiresAt"])


@pytest.mark.heavy  # libfaketime up to 0.9.11 reads its file into one buffer for all threads
def test_a_clock_set_back_while_it_runs_and_wrong_at_the_next_start_takes_no_time_from_payers(
    anvil: Callable[..., Anvil], tmp_path: Path
) -> None:
    node = anvil(mining=1)
    config = CONFIG.format(xpub=FRESH_XPUB, chain_id=ANVIL_CHAIN_ID, url=node.url)
    (tmp_path / "checkout.toml").write_text(config, "utf-8")
    new_database(tmp_path)
    key = json.loads(command(tmp_path, "keys", "create", "--mode", "live", "--name", "shop", "--json").stdout)["key"]
    file = tmp_path / "clock"
    environ = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    file.write_text("+0", "ascii")
    with Server(tmp_path, None, environ) as server:
        api = server.client(key)
        server.wait_until(lambda: api.post("/checkout_sessions", json=PRICE).status_code == 201, "take payments")
        assert expires_at(api) > datetime.now(UTC) + timedelta(minutes=14)
        file.write_text("-1h", "ascii")
        assert expires_at(api) > datetime.now(UTC)
        server.wait_until(lambda: "was set back by 1 hour" in server.log, "notice the jump")
        assert expires_at(api) > datetime.now(UTC)
        file.write_text("+0", "ascii")
        server.wait_until(lambda: "was set ahead by 1 hour" in server.log, "notice that the clock is right")
    file.write_text("-1d", "ascii")
    with Server(tmp_path, None, environ) as server:
        api = server.client(key)
        # It is 23 hours and 59 minutes behind where the newest entry is some seconds old; and the first time that
        # libfaketime tells may be the true one.
        noticed = ("behind the newest entry of the database", "was set back by 1 day")
        server.wait_until(lambda: any(each in server.log for each in noticed), "notice the wrong clock")
        assert expires_at(api) > datetime.now(UTC)
