"""Right after a start sessions are made: what an earlier start left is enough, also while no node answers."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.anvil import Anvil
from tests.support.live_server import LiveServer

Nodes = Callable[..., Anvil]


KILLS = 5


@pytest.mark.parametrize("is_node_up", [True, False], ids=["with its node", "without its node"])
def test_after_each_kill_the_first_request_makes_a_session(anvil: Nodes, tmp_path: Path, is_node_up: bool) -> None:
    node = anvil()
    shop = LiveServer(tmp_path, node)
    made = []
    with shop.server:
        made.append(shop.sell())
        shop.server.kill()
    if not is_node_up:
        node.stop()
    answers = []
    for _ in range(KILLS):
        shop.start_again()
        with shop.server:
            answers.append(shop.ask())
            shop.server.kill()
    assert [answer.status_code for answer in answers] == [201] * KILLS
    made += [answer.json() for answer in answers]
    assert len({session["address"] for session in made}) == KILLS + 1


def test_without_the_record_of_given_out_addresses_the_chain_is_asked_first(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil()
    shop = LiveServer(tmp_path, node)
    with shop.server:
        shop.sell()
    for file in (tmp_path / "checkout-data").glob("given-out-*"):
        file.unlink()
    node.stop()
    shop.start_again()
    with shop.server:
        refused = shop.ask()
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "wallet_not_configured")
        node.start_again()
        shop.sell()


@pytest.mark.sqlite  # puts a file back
def test_where_the_record_is_ahead_of_a_restored_database_its_addresses_are_skipped(
    anvil: Nodes, tmp_path: Path
) -> None:
    node = anvil()
    shop = LiveServer(tmp_path, node)
    with shop.server:
        first = shop.sell()
    data = tmp_path / "checkout-data"
    old = (data / "checkout.db").read_bytes()
    shop.start_again()
    with shop.server:
        lost = shop.ask().json()
    (data / "checkout.db").write_bytes(old)
    for file in data.glob("checkout.db-*"):
        file.unlink()
    node.stop()
    shop.start_again()
    with shop.server:
        answer = shop.ask()
    assert answer.status_code == 201
    assert answer.json()["address"] not in {first["address"], lost["address"]}
