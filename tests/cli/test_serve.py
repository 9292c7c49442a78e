"""`crypto-checkout serve` as a process: its first words, its refusals, its ends, and what survives them."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto_checkout.app.clock import system_clock
from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey
from crypto_checkout.core.owner.audit import COMMAND_LINE, Action
from crypto_checkout.services.owner import audit
from crypto_checkout.store.database import Database
from tests.support.server import PROGRAM, Server, command, environment
from tests.support.shop import FRESH_XPUB
from tests.support.waiting import WAIT_SECONDS

TEN_DOLLARS = {"amount": {"value": "10.00", "currency": "USD"}}
HEAVY = ("web3", "eth_account", "pydantic", "starlette", "uvicorn", "httpx", "httpcore", "aiosqlite", "jinja2")


CYCLES = """
import gc
from crypto_checkout.app import server
from crypto_checkout.cli import serve

class Cycle:
    def __init__(self):
        self.itself = self

serve._spare_the_collector()
walked = len(gc.get_objects())
for _ in range(300_000):
    Cycle()
print(walked, sum(isinstance(each, Cycle) for each in gc.get_objects()))
"""


def ask_for_session(server: Server) -> dict[str, Any]:
    answer = server.api.post("/checkout_sessions", json=TEN_DOLLARS)
    assert answer.status_code == 201, answer.text
    session: dict[str, Any] = answer.json()
    return session


# --- the first words -------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.sqlite
def test_the_first_start_makes_a_database_and_a_key_and_its_curl_line_works_as_pasted(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        assert (tmp_path / "checkout-data" / "checkout.db").exists()
        (line,) = [line for line in server.output.splitlines() if line.lstrip().startswith("curl ")]
        pasted = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=WAIT_SECONDS, check=True)
        session = json.loads(pasted.stdout)
        assert session["status"] == "pending"
        assert session["fiat"] == {"amount": "10.00", "currency": "USD"}


def test_the_pages_of_a_first_session_are_where_the_server_listens(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        checkout_url = ask_for_session(server)["checkoutUrl"]
        assert checkout_url.startswith(server.url)
        assert httpx.get(checkout_url, timeout=WAIT_SECONDS, trust_env=False).status_code == 200


SOLD_ON_A_CHAIN = f"""
[server]
host = "0.0.0.0"
public_url = "https://pay.example.com"
[wallet]
xpub = "{FRESH_XPUB}"
[prices]
fixed = {{ "ETH/USD" = "3000" }}
[[chains]]
id = 1
name = "Ethereum"
rpc_urls = ["http://127.0.0.1:1"]
"""


def test_the_first_words_lead_a_browser_on_another_computer_to_the_dashboard(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        port = httpx.URL(server.url).port
        assert f"{server.url}/dashboard/set-up?token=" in server.output
        assert f"  ssh -L {port}:127.0.0.1:{port} " in server.output
        assert "  network  " not in server.output


async def test_a_live_start_warns_of_an_open_port_and_of_a_wallet_that_nobody_has_compared(tmp_path: Path) -> None:
    with Server(tmp_path, SOLD_ON_A_CHAIN) as server:
        first, port = server.output, httpx.URL(server.url).port
    assert "https://pay.example.com/dashboard/set-up?token=" in first
    assert "ssh -L" not in first
    assert f"  network  every address of this machine (0.0.0.0), port {port}: other machines can connect" in first
    assert "the first addresses haven't been compared" in first
    assert "https://pay.example.com/dashboard/settings/wallet" in first
    async with await Database.open(tmp_path / "checkout-data" / "checkout.db", system_clock) as db:
        wallet = ExtendedPublicKey.parse(FRESH_XPUB).wallet_id
        await db.write(
            lambda unit: audit.record(unit, COMMAND_LINE, Action.WALLET_COMPARED, livemode=True, subject=wallet)
        )
    with Server(tmp_path) as server:
        assert "nobody has compared" not in server.output


def test_a_public_url_that_was_set_is_kept(tmp_path: Path) -> None:
    with Server(tmp_path, environ={"CHECKOUT__SERVER__PUBLIC_URL": "https://pay.example.com"}) as server:
        assert ask_for_session(server)["checkoutUrl"].startswith("https://pay.example.com/checkout/cs_")


def test_a_second_start_shows_no_key_and_the_first_one_still_works(tmp_path: Path) -> None:
    with Server(tmp_path) as first:
        key, session = first.key, ask_for_session(first)
    with Server(tmp_path) as second:
        assert second.key is None
        assert second.client(key).get(f"/checkout_sessions/{session['id']}").json()["address"] == session["address"]


def test_answers_on_a_kept_connection_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """Nagle's algorithm holds the second half of an answer back until the first is acknowledged: 40 ms each time.

    A busy machine may take longer now and then, and not each time.
    """
    with Server(tmp_path) as server:
        server.api.get("/checkout_sessions")

        def is_at_once() -> bool:
            return server.api.get("/checkout_sessions").elapsed.total_seconds() < 0.035

        server.wait_until(is_at_once, "answer at once")


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("same_port", [True, False], ids=["on the same port", "on another port"])
def test_a_second_server_in_a_folder_names_the_process_of_the_first(tmp_path: Path, same_port: bool) -> None:
    with Server(tmp_path) as server:
        port = str(httpx.URL(server.url).port) if same_port else "0"
        refused = command(tmp_path, "serve", environ={"CHECKOUT__SERVER__PORT": port})
        assert refused.returncode == 1
        assert f"is already served by process {server.process.pid}." in refused.stderr
        assert not refused.stdout
        assert ask_for_session(server)


def test_a_port_in_use_is_named_with_the_way_out(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        refused = command(tmp_path, "serve", environ={"CHECKOUT__SERVER__PORT": str(port)})
    assert refused.returncode == 1
    assert refused.stderr == (
        f"Error: Can't listen on 127.0.0.1:{port}: Address already in use. "
        "Stop the program that uses that port, or choose another with [server] port or CHECKOUT__SERVER__PORT.\n"
    )
    assert not (tmp_path / "checkout-data").exists()


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid"])
def test_a_host_that_is_not_of_this_machine_is_named_with_the_way_out(tmp_path: Path, host: str) -> None:
    refused = command(tmp_path, "serve", environ={"CHECKOUT__SERVER__HOST": host, "CHECKOUT__SERVER__PORT": "0"})
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"Error: Can't listen on {host}:0: ")
    assert "[server] host or CHECKOUT__SERVER__HOST" in refused.stderr


def test_who_stops_reading_its_first_words_is_told_nothing_of_the_database(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [*PROGRAM, "serve"],
        cwd=tmp_path,
        env=environment(folder=tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    os.close(theirs)
    assert done.returncode == 1
    assert "can't be used" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_can_not_be_written_is_named_with_the_way_out(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    refused = command(tmp_path, "serve", environ={"CHECKOUT__SERVER__PORT": "0"})
    assert refused.returncode == 1
    assert "Permission denied" in refused.stderr
    assert "[database] path" in refused.stderr


def test_a_wrong_configuration_is_refused_with_every_mistake(tmp_path: Path) -> None:
    (tmp_path / "checkout.toml").write_text('[server]\nhosst = "x"\n[sessions]\nttl_seconds = 5\n', "utf-8")
    refused = command(tmp_path, "serve", environ={"CHECKOUT__LOG__LEVEL": "loud"})
    assert refused.returncode == 2
    for place in ("server.hosst", "sessions.ttl_seconds", "log.level"):
        assert place in refused.stderr
    assert "Traceback" not in refused.stderr


# --- ends ------------------------------------------------------------------------------------------------------------


@contextmanager
def half_a_request(server: Server) -> Iterator[tuple[socket.socket, bytes]]:
    """Send a request up to the middle of its body, and have its handler wait for the rest, which is given back."""
    body = json.dumps(TEN_DOLLARS).encode()
    head = (
        "POST /api/v1/checkout_sessions HTTP/1.1\r\n"
        f"Host: 127.0.0.1\r\nAuthorization: Bearer {server.key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    )
    url = httpx.URL(server.url)
    with socket.create_connection((url.host, url.port or 0), timeout=WAIT_SECONDS) as connection:
        connection.sendall(head.encode())
        # The server says so only once the handler asks for the body.
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body[:10])
        yield connection, body[10:]


def patient(folder: Path) -> dict[str, str]:
    """Return the environment of a server that waits for its requests at its end for longer than any test takes.

    The two seconds of a real one may pass before a busy machine gets as far as the test's next line.
    """
    (folder / "sitecustomize.py").write_text(
        f"from crypto_checkout.cli import serve\nserve._GRACE_SECONDS = {10 * WAIT_SECONDS}\n", "utf-8"
    )
    return {"PYTHONPATH": str(folder)}


def wait_until_closed(server: Server) -> None:
    """Wait until the server takes no new connections."""
    url = httpx.URL(server.url)

    def is_closed() -> bool:
        try:
            socket.create_connection((url.host, url.port or 0), timeout=WAIT_SECONDS).close()
        except ConnectionError:
            return True
        return False

    server.wait_until(is_closed, "stop listening")


def answer_on(connection: socket.socket) -> bytes:
    with connection.makefile("rb") as stream:
        return stream.read()


def test_a_request_under_way_at_sigterm_is_answered_before_the_end(tmp_path: Path) -> None:
    with Server(tmp_path, environ=patient(tmp_path)) as server, half_a_request(server) as (connection, rest):
        server.process.send_signal(signal.SIGTERM)
        wait_until_closed(server)
        connection.sendall(rest)
        answer = answer_on(connection)
        assert server.process.wait(WAIT_SECONDS) == 0
        assert answer.startswith(b"HTTP/1.1 201 ")
        key, session = server.key, json.loads(answer.partition(b"\r\n\r\n")[2])
    with Server(tmp_path) as again:
        assert again.client(key).get(f"/checkout_sessions/{session['id']}").json()["id"] == session["id"]


def test_a_request_that_never_comes_to_an_end_does_not_hold_up_the_server(tmp_path: Path) -> None:
    with Server(tmp_path) as server, half_a_request(server) as (connection, _):
        assert server.stop() == 0
        head, _, body = answer_on(connection).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 5\r\n" in head.lower()
        assert "The server is stopping" in json.loads(body)["error"]["message"]
        assert "Traceback" not in server.log


def test_a_thread_that_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """The lookup of a name does, when the name server doesn't answer: it can't be cancelled."""
    (tmp_path / "sitecustomize.py").write_text(
        "import time, uvloop\n"
        "make = uvloop.new_event_loop\n"
        "def make_with_a_hanging_thread():\n"
        "    loop = make()\n"
        f"    loop.run_in_executor(None, time.sleep, {10 * WAIT_SECONDS})\n"
        "    return loop\n"
        "uvloop.new_event_loop = make_with_a_hanging_thread\n",
        "utf-8",
    )
    with Server(tmp_path, environ={"PYTHONPATH": str(tmp_path)}) as server:
        assert server.stop() == 0


def test_a_second_sigterm_ends_it_at_once(tmp_path: Path) -> None:
    with Server(tmp_path, environ=patient(tmp_path)) as server, half_a_request(server):
        server.process.send_signal(signal.SIGTERM)
        wait_until_closed(server)
        assert server.stop() == -signal.SIGTERM


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.sqlite
def test_a_signal_ends_it_cleanly(tmp_path: Path, how: signal.Signals) -> None:
    with Server(tmp_path) as server:
        session = ask_for_session(server)
        assert server.stop(how) == 0
        for said in (server.output, server.log):
            assert "Traceback" not in said
            assert "Aborted" not in said
    # Closed, not killed: SQLite leaves no log behind, and the lock names nobody.
    # The daily check of the database, which is due at night, writes down when it was.
    names = {path.name for path in (tmp_path / "checkout-data").iterdir()} - {"last-check", "last-numbers"}
    assert {name for name in names if not name.startswith("given-out-")} == {"checkout.db", "lock", "secret.key"}
    assert not (tmp_path / "checkout-data" / "lock").read_bytes()
    with Server(tmp_path) as again:
        assert again.client(server.key).get(f"/checkout_sessions/{session['id']}").is_success


def test_a_killed_server_goes_on_with_its_sessions(tmp_path: Path) -> None:
    with Server(tmp_path) as killed:
        sessions = [ask_for_session(killed) for _ in range(3)]
        key = killed.key
        killed.kill()
    with Server(tmp_path) as server:
        api = server.client(key)
        listed = api.get("/checkout_sessions").json()["data"]
        assert [each["id"] for each in listed] == [each["id"] for each in reversed(sessions)]
        assert api.post(f"/test_helpers/checkout_sessions/{sessions[1]['id']}/pay", json={}).is_success
        assert api.post("/test_helpers/chain/mine", json={"blocks": 20}).is_success
        statuses = [api.get(f"/checkout_sessions/{each['id']}").json()["status"] for each in sessions]
        assert statuses == ["pending", "paid", "pending"]
        next_one = api.post("/checkout_sessions", json=TEN_DOLLARS).json()
        assert next_one["address"] not in {each["address"] for each in sessions}


# --- beside it: the command line -------------------------------------------------------------------------------------


def make_key(folder: Path) -> dict[str, Any]:
    done = command(folder, "keys", "create", "--mode", "test", "--name", "shop", "--json")
    assert done.returncode == 0, done.stderr
    key: dict[str, Any] = json.loads(done.stdout)
    return key


def test_a_key_made_beside_the_running_server_works_at_once(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        assert server.client(make_key(tmp_path)["key"]).get("/checkout_sessions").is_success


def test_a_key_that_a_command_revokes_stops_working(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        key = make_key(tmp_path)
        api = server.client(key["key"])
        revoking = subprocess.Popen(
            [*PROGRAM, "keys", "revoke", key["id"], "--json"],
            cwd=tmp_path,
            env=environment(folder=tmp_path),
            stdout=subprocess.PIPE,
            text=True,
        )
        # Asked all the time meanwhile, so that the server remembers the key when it is revoked.
        server.wait_until(lambda: not api.get("/checkout_sessions").is_success, "refuse the key")
        output, _ = revoking.communicate(timeout=WAIT_SECONDS)
        assert api.get("/checkout_sessions").json()["error"]["code"] == "revoked_api_key"
        assert json.loads(output)["revokedAt"]


@pytest.mark.parametrize("arguments", ["--version", "--help", "serve --help", "demo --help", "keys create --help"])
def test_nothing_heavy_is_imported_to_print_help(arguments: str) -> None:
    program = (
        "import sys\n"
        "from crypto_checkout.cli import main\n"
        f"main({shlex.split(arguments)!r}, standalone_mode=False)\n"
        f"print('imported:', *sorted(set(sys.modules) & {set(HEAVY)!r}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=WAIT_SECONDS, check=True
    )
    assert re.search(r"^imported:$", done.stdout, re.MULTILINE), done.stdout


def test_what_the_start_made_costs_the_garbage_collector_nothing_and_later_cycles_are_still_freed() -> None:
    done = subprocess.run([sys.executable, "-c", CYCLES], capture_output=True, text=True, check=True)
    walked, left = (int(number) for number in done.stdout.split())
    assert walked < 1_000
    assert left < 30_000


@pytest.mark.sqlite
def test_a_database_restored_from_a_copy_gives_no_address_out_again(tmp_path: Path) -> None:
    def ask(server: Server) -> str:
        body = {"amount": {"value": "10.00", "currency": "USD"}}
        address: str = server.api.post("/checkout_sessions", json=body).json()["address"]
        return address

    data = tmp_path / "checkout-data"
    with Server(tmp_path) as server:
        key = server.key
        given = {ask(server)}
    copy = (data / "checkout.db").read_bytes()
    for _ in range(2):
        with Server(tmp_path) as server:
            server.api = server.client(key)
            new = {ask(server) for _ in range(3)}
        assert not new & given
        given |= new
        (data / "checkout.db").write_bytes(copy)
