"""A database that is older than what was given out: no address comes twice, and money on forgotten ones shows."""

import json
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout import encryption
from crypto_checkout.store.secret_key import open_cipher
from tests.support.anvil import Anvil
from tests.support.server import Server, command
from tests.support.shop import ANVIL_CHAIN_ID, FRESH_XPUB, ONE_COIN

pytestmark = pytest.mark.sqlite  # copies of a file

Nodes = Callable[..., Anvil]

NEW = {"amount": {"value": "10.00", "currency": "USD"}}


def sell(server: Server, key: str | None, times: int = 1) -> list[str]:
    """Make sessions, and return their addresses."""
    api = server.client(key)
    return [str(api.post("/checkout_sessions", json=NEW).json()["address"]) for _ in range(times)]


def run(folder: Path, *arguments: str) -> str:
    done = command(folder, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def critical(server: Server) -> list[str]:
    return [line for line in server.log.splitlines() if "critical" in line.lower()]


def rows(folder: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "checkout-data" / "checkout.db")) as connection:
        return connection.execute(sql).fetchall()


def test_money_for_a_session_that_a_restore_forgot_shows_everywhere(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil()
    chain = f'[[chains]]\nid = {ANVIL_CHAIN_ID}\nname = "Anvil"\nrpc_urls = ["{node.url}"]\npoll_seconds = 0.05\n'
    fixed = '[prices]\nfixed = {"ETH/USD" = "3000"}\n'
    with Server(tmp_path, f'[wallet]\nxpub = "{FRESH_XPUB}"\n{fixed}{chain}') as server:
        key = json.loads(run(tmp_path, "keys", "create", "--mode", "live", "--name", "shop", "--json"))["key"]
        api = server.client(key)
        server.wait_until(lambda: api.post("/checkout_sessions", json=NEW).status_code == 201, "sell")
        run(tmp_path, "backup", "copy.db")
        forgotten = sell(server, key, 2)
    run(tmp_path, "restore", "copy.db")
    with Server(tmp_path) as server:
        (said,) = critical(server)
        assert "no sessions for" in said
        assert re.search(r"addresses\W+2\b", said)
        node.send(node.accounts[9], forgotten[1], ONE_COIN)
        node.mine(2)
        server.wait_until(lambda: bool(rows(tmp_path, "SELECT 1 FROM unmatched_payments")), "see the payment")
        explained = " ".join(run(tmp_path, "explain", forgotten[1]).split())
        assert "never gave out" not in explained
        assert "address number 2 (m/44'/60'/0'/0/2) of your wallet" in explained
        with closing(sqlite3.connect(tmp_path / "checkout-data" / "checkout.db")) as connection, connection:
            connection.execute("UPDATE unmatched_payments SET canonical = 0")
        different = command(tmp_path, "reconcile")
        assert different.returncode == 1
        told = " ".join(different.stdout.split())
        assert "(without a session)" in told
        assert "address number 2 (m/44'/60'/0'/0/2)" in told
        assert not {*sell(server, key, 2)} & {*forgotten}


def test_sessions_that_went_with_a_deleted_log_are_counted_at_the_start(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        key = server.key
        first = sell(server, key, 2)
        server.stop()
    with Server(tmp_path) as server:
        lost = sell(server, key, 5)
        server.kill()
    for path in (tmp_path / "checkout-data").glob("checkout.db-*"):
        path.unlink()
    with Server(tmp_path) as server:
        (said,) = critical(server)
        assert re.search(r"addresses\W+5\b", said)
        assert not {*sell(server, key, 3)} & {*first, *lost}
        server.stop()
    with Server(tmp_path) as server:
        assert critical(server) == []
    assert rows(tmp_path, "SELECT derivation_index FROM unassigned_addresses ORDER BY 1") == [(n,) for n in range(2, 7)]


def copied(folder: Path, to: Path) -> None:
    """Copy a database by hand, as `cp` does, without the files beside it."""
    (to / "checkout-data").mkdir(parents=True)
    shutil.copy(folder / "checkout-data" / "checkout.db", to / "checkout-data" / "checkout.db")


def test_a_database_copied_by_hand_is_treated_as_a_restore(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    with Server(here) as server:
        key = server.key
        given = sell(server, key, 3)
    copied(here, there)
    with Server(here) as server:
        given += sell(server, key, 3)
        assert critical(server) == []
    with Server(there) as server:
        copy, unassigned = critical(server)
        assert "treated as restored" in copy
        assert "no sessions for" in unassigned
        assert not {*sell(server, key, 3)} & {*given}
        ((next_index,),) = rows(there, "SELECT next_index FROM wallets")
        assert next_index >= 1006
        server.stop()
    with Server(there) as server:
        assert critical(server) == [], "only once"
    # A copy of the first folder's put over the second's database is of another life than the record there.
    shutil.copy(here / "checkout-data" / "checkout.db", there / "checkout-data" / "checkout.db")
    with Server(there) as server:
        assert len(critical(server)) == 2
        assert rows(there, "SELECT next_index FROM wallets")[0][0] >= next_index + 1000


def test_two_blank_machines_with_one_copy_go_on_at_different_places(tmp_path: Path) -> None:
    here, one, other = (tmp_path / name for name in ("here", "one", "other"))
    for folder in (here, one, other):
        folder.mkdir()
    with Server(here) as server:
        key = server.key
        given = sell(server, key, 2)
        run(here, "backup", str(tmp_path / "copy.db"))
        given += sell(server, key, 2)
    for folder in (one, other):
        said = run(folder, "restore", str(tmp_path / "copy.db"))
        assert "These API keys work again" in said
        with Server(folder) as server:
            given += sell(server, key, 3)
    assert len({*given}) == len(given)


def test_what_was_revoked_and_changed_since_the_copy_stays_so(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        old_key = server.key
        endpoints = [
            server.api.post("/webhook_endpoints", json={"url": url, "events": ["*"]}).json()["id"]
            for url in ("https://shop.example/1", "https://shop.example/2", "https://shop.example/3")
        ]
        run(tmp_path, "backup", "copy.db")
        (listed,) = json.loads(run(tmp_path, "keys", "list", "--json"))
        new_key = json.loads(run(tmp_path, "keys", "create", "--mode", "test", "--name", "new", "--json"))["key"]
        api = server.client(new_key)
        rotated = api.post(f"/webhook_endpoints/{endpoints[0]}/rotate_secret", json={}).json()["secret"]
        assert api.patch(f"/webhook_endpoints/{endpoints[1]}", json={"active": False}).is_success
        assert api.delete(f"/webhook_endpoints/{endpoints[2]}").is_success
        run(tmp_path, "keys", "revoke", listed["id"])
        assert sell(server, new_key)
    at = {"at": "2026-01-31T12:00:00.000Z"}
    with closing(sqlite3.connect(tmp_path / "checkout-data" / "checkout.db")) as connection, connection:
        connection.execute("INSERT INTO admin VALUES (1, 'changed', :at, NULL, 0, :at)", at)
        connection.execute("INSERT INTO recovery_codes VALUES ('used', :at)", at)
    said = run(tmp_path, "restore", "copy.db")
    assert "What was revoked or changed since the copy stays so" in " ".join(said.split())
    assert rows(tmp_path, "SELECT password_hash FROM admin") == [("changed",)]
    assert rows(tmp_path, "SELECT sha256, used_at FROM recovery_codes") == [("used", at["at"])]
    ((encrypted,),) = rows(tmp_path, "SELECT secret FROM webhook_endpoints WHERE active = 1")
    cipher = open_cipher(tmp_path / "checkout-data")
    assert cipher.decrypt(encrypted, encryption.of_endpoint(endpoints[0])) == rotated
    with Server(tmp_path) as server:
        assert server.client(old_key).get("/checkout_sessions").status_code == 401
        api = server.client(new_key)
        found = {each["id"]: each["active"] for each in api.get("/webhook_endpoints").json()["data"]}
        assert found == {endpoints[0]: True, endpoints[1]: False}


def test_an_upgraded_database_and_its_record_of_before_belong_together(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        key = server.key
        given = sell(server, key, 2)
    with closing(sqlite3.connect(tmp_path / "checkout-data" / "checkout.db")) as connection, connection:
        connection.execute("DELETE FROM database_life")
    (record,) = (tmp_path / "checkout-data").glob("given-out-*")
    record.write_text("000000000002\n", "ascii")
    with Server(tmp_path) as server:
        assert critical(server) == []
        given += sell(server, key, 2)
        assert rows(tmp_path, "SELECT next_index FROM wallets") == [(4,)]
    assert re.fullmatch(r"0{11}4 [0-9a-f]{16}\n", record.read_text("ascii"))


@pytest.mark.parametrize("is_there", [True, False])
def test_a_first_start_says_nothing(tmp_path: Path, is_there: bool) -> None:
    with Server(tmp_path) as server:
        assert critical(server) == []
        if is_there:
            sell(server, server.key)
        server.stop()
    with Server(tmp_path) as server:
        assert critical(server) == []
