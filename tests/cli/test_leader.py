"""Several servers on one database: one leads, and another takes over when it is gone or silent."""

import json
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.postgresql import USER, PostgresqlServer
from tests.support.server import Server, command, new_database
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import wait_until

PRICE = {"amount": {"value": "30.00", "currency": "USD"}}


@pytest.fixture
def url(postgresql_server: PostgresqlServer, tmp_path: Path) -> Iterator[str]:
    """Make a database without tables."""
    made = postgresql_server.empty_database(tmp_path)
    yield made.url
    postgresql_server.drop(made)


@pytest.fixture
def pair(tmp_path: Path, url: str) -> Iterator[tuple[Server, Server]]:
    """Start two servers on one database; the first one leads."""
    first = served(tmp_path / "first", url)
    second = served(tmp_path / "second", url, key_of=tmp_path / "first")
    yield first, second
    for each in (first, second):
        if each.process.poll() is None:
            each.process.send_signal(signal.SIGCONT)
            each.stop()


def served(folder: Path, url: str, key_of: Path | None = None) -> Server:
    """Start a server in a folder of its own, with the secret key of another."""
    (folder / "checkout-data").mkdir(parents=True)
    (folder / "checkout.toml").write_text(f'[database]\nurl = "{url}"\n', "utf-8")
    if key_of is not None:
        shutil.copy(key_of / "checkout-data" / "secret.key", folder / "checkout-data")
    return Server(folder)


def told(server: Server) -> list[dict[str, Any]]:
    """Return what a server logged of leading."""
    lines = [json.loads(line) for line in server.log.splitlines()]
    return [line for line in lines if line["logger"] == "crypto_checkout.leader"]


def leads(server: Server) -> bool:
    last = [line["event"] for line in told(server) if line["level"] == "info"][-1:]
    return last == ["this process leads"]


def test_one_of_two_leads_and_the_other_takes_over_when_it_is_killed(pair: tuple[Server, Server]) -> None:
    first, second = pair
    assert (leads(first), leads(second)) == (True, False)
    first.kill()
    second.wait_until(lambda: leads(second), "lead")
    assert [line["term"] for line in told(second)] == [1, 2]


def test_a_leader_that_hangs_is_replaced_and_finds_out_when_it_goes_on(pair: tuple[Server, Server]) -> None:
    first, second = pair
    first.process.send_signal(signal.SIGSTOP)
    second.wait_until(lambda: leads(second), "lead")
    assert "the leader is silent and will be replaced" in second.log
    first.process.send_signal(signal.SIGCONT)
    first.wait_until(lambda: not leads(first), "follow")
    assert leads(second)
    made = second.client(first.key).post("/checkout_sessions", json=PRICE)
    assert made.status_code == 201


def test_a_leader_whose_network_is_lost_gives_up_and_follows_when_it_is_back(
    postgresql_server: PostgresqlServer, tmp_path: Path, url: str
) -> None:
    with TcpProxy(f"{postgresql_server.folder}/.s.PGSQL.5432") as network:
        name = url.partition("?")[0].rpartition("/")[2]
        with (
            served(tmp_path / "first", f"postgresql://{USER}@127.0.0.1:{network.port}/{name}") as first,
            served(tmp_path / "second", url, key_of=tmp_path / "first") as second,
        ):
            assert leads(first)
            network.hang()
            second.wait_until(lambda: leads(second), "lead")
            first.wait_until(lambda: not leads(first), "give up")
            assert "the database can't be used: this process no longer leads" in first.log
            network.mend()
            first.wait_until(lambda: told(first)[-1]["event"] == "another process leads", "follow")
            assert leads(second)


def ready(server: Server) -> tuple[int, str]:
    """Return whether a server is ready, and who it says that leads."""
    answer = server.client(None).get(f"{server.url}/readyz")
    return answer.status_code, answer.json()["leader"]


def metrics(server: Server) -> dict[str, str]:
    lines = server.client(None).get(f"{server.url}/metrics").text.splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if line.startswith("checkout_leader"))


def test_one_that_follows_is_ready_and_both_say_who_leads(pair: tuple[Server, Server]) -> None:
    first, second = pair
    second.wait_until(lambda: ready(second)[0] == 200, "know the chain")
    assert (ready(first), ready(second)) == ((200, "this process"), (200, "another process"))
    assert metrics(first) == {"checkout_leader": "1.0", "checkout_leader_term": "1.0"}
    assert metrics(second) == {"checkout_leader": "0.0", "checkout_leader_term": "1.0"}
    assert "  leader   this process\n" in first.output
    assert re.search(r"  leader   \d+@\S+; this process answers beside it\n", second.output)


def test_a_leader_hands_over_where_there_is_another_process(pair: tuple[Server, Server], tmp_path: Path) -> None:
    first, second = pair
    done = command(tmp_path / "first", "leader", "--hand-over")
    assert done.returncode == 0, done.stderr
    assert f"{second.process.pid}@" in done.stdout.splitlines()[0]
    assert f"Also serving: {first.process.pid}@" in done.stdout.splitlines()[1]
    second.wait_until(lambda: leads(second), "lead")
    first.stop()
    shown = json.loads(command(tmp_path / "first", "leader", "--json").stdout)
    assert shown["leader"]["term"] == 2
    assert len(shown["processes"]) == 1
    refused = command(tmp_path / "first", "leader", "--hand-over")
    assert (refused.returncode, "the only process that serves" in refused.stderr) == (1, True)


@pytest.mark.sqlite
def test_with_a_file_the_one_process_leads(tmp_path: Path) -> None:
    new_database(tmp_path)
    assert "the one process that serves it leads" in command(tmp_path, "leader").stdout
    assert "no other to take over" in command(tmp_path, "leader", "--hand-over").stderr


def test_a_server_that_ends_lets_the_other_lead_at_once(pair: tuple[Server, Server]) -> None:
    first, second = pair
    assert first.stop() == 0
    wait_until(lambda: leads(second), "lead")
    assert "is silent" not in second.log
