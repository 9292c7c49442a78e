"""`crypto-checkout chains reanchor`: a chain that began anew is noticed, and goes on when the owner says so."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.anvil import Anvil
from tests.support.live_server import LiveServer, configuration
from tests.support.server import Server, command
from tests.support.shop import ANVIL_CHAIN_ID

Nodes = Callable[..., Anvil]


@pytest.mark.parametrize("blocks", [1, 200], ids=["behind the old head", "ahead of it"])
@pytest.mark.sqlite
def test_a_chain_that_began_anew_is_named_sells_nothing_and_goes_on_where_it_is(
    anvil: Nodes, tmp_path: Path, blocks: int
) -> None:
    node = anvil(mining="manual")
    node.mine(20)
    shop = LiveServer(tmp_path, node)
    with shop.server:
        paid, waiting = shop.sell(), shop.sell()
        shop.pay(paid)
        node.mine(3)
        shop.wait_for(paid, "paid")

        node.begin_anew()
        node.mine(blocks)
        shop.server.wait_until(lambda: "stopped" in shop.ready().text, "notice the other chain")
        assert shop.ready().status_code == 503
        refused = shop.ask()
        assert refused.status_code == 503
        assert f"chains reanchor {ANVIL_CHAIN_ID}" in refused.json()["error"]["message"]
        examined = command(tmp_path, "doctor", "--json")
        assert examined.returncode == 1
        failing = {each["name"]: each for each in json.loads(examined.stdout)["checks"] if each["mark"] == "fail"}
        assert f"chains reanchor {ANVIL_CHAIN_ID}" in failing["Anvil: followed"]["advice"]
        shop.pay(waiting)  # nobody can know that no one looks
        node.mine()

        unasked = command(tmp_path, "chains", "reanchor", "anvil")
        assert (unasked.returncode, "--yes" in unasked.stderr) == (1, True)
        done = command(tmp_path, "chains", "reanchor", "anvil", "--yes", "--json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert (found["paymentsTakenBack"], found["openSessions"], found["newestSharedBlock"]) == (1, 1, None)
        shop.server.wait_until(lambda: shop.ready().status_code == 200, "go on without a restart")
        assert shop.status(paid) == "failed", "its money is not on this chain"

        new = shop.sell()
        shop.pay(new)
        node.mine(3)
        shop.wait_for(new, "paid")
        node.mine()
        shop.wait_for(waiting, "paid")
        again = command(tmp_path, "chains", "reanchor", "anvil", "--yes")
        assert (again.returncode, "not stopped" in again.stderr) == (1, True)
        balanced = command(tmp_path, "reconcile", "--json")
        assert balanced.returncode == 0, balanced.stdout
        trail = _audit(tmp_path)
        assert [action for action, _ in trail].count("chain.reanchored") == 1


def test_without_a_server_it_goes_on_from_an_earlier_block_that_is_named(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    node.mine(20)
    shop = LiveServer(tmp_path, node)
    with shop.server:
        waiting = shop.sell()
    node.begin_anew()
    node.mine(30)
    shop.pay(waiting)
    node.mine(30)
    done = command(tmp_path, "chains", "reanchor", str(ANVIL_CHAIN_ID), "--from", "25", "--yes")
    assert done.returncode == 0, done.stderr
    assert "1 open session" in done.stdout
    shop.start_again()
    with shop.server:
        shop.wait_for(waiting, "paid")
        (payment,) = shop.api.get(f"/checkout_sessions/{waiting['id']}").json()["payments"]
        assert (payment["kind"], payment["blockNumber"]) == ("native", 31)


def test_a_chain_that_runs_or_is_unknown_is_left_alone(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil()
    with Server(tmp_path, configuration(node.url)) as server:
        server.wait_until(lambda: server.client(None).get(f"{server.url}/readyz").status_code == 200, "follow it")
        runs = command(tmp_path, "chains", "reanchor", "Anvil", "--yes")
        assert (runs.returncode, "not stopped" in runs.stderr) == (1, True)
        unknown = command(tmp_path, "chains", "reanchor", "5", "--yes")
        assert (unknown.returncode, "31337 (Anvil)" in unknown.stderr) == (1, True)


def _audit(folder: Path) -> list[tuple[str, str]]:
    import sqlite3

    with sqlite3.connect(folder / "checkout-data" / "checkout.db") as connection:
        return connection.execute("SELECT action, detail FROM audit").fetchall()
