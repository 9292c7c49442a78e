"""`crypto-checkout doctor` names each thing that is wrong, and what to do; secrets of URLs stay secret."""

import json
import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from crypto_checkout.app import doctor
from crypto_checkout.chain.sandbox.chain import XPUB
from crypto_checkout.config import Config
from crypto_checkout.core import moments
from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.assets import Asset, TokenFacts
from crypto_checkout.core.diagnosis.checks import Severity
from crypto_checkout.core.diagnosis.rpc_usage import RpcUsage
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.upkeep.versions import Release
from crypto_checkout.encryption import KEY_BYTES, SECOND_FACTOR, Cipher
from crypto_checkout.services.diagnosis import checks as check_up
from crypto_checkout.services.ledger.token_check import ConfiguredToken
from crypto_checkout.store import rpc_usage
from crypto_checkout.store.data_folder import last_backup
from crypto_checkout.store.database import Database
from crypto_checkout.store.migrate import migrate
from crypto_checkout.store.rpc_usage import DailyUsage
from crypto_checkout.store.upkeep import newest_version
from crypto_checkout.store.upkeep.newest_version import LastLook
from tests.support.anvil import Anvil
from tests.support.collecting import COLD, deploy_contracts
from tests.support.nodes import Error, answering, forwarding, running, running_beside
from tests.support.server import PROGRAM, Server, command, environment
from tests.support.shop import ANVIL_CHAIN_ID, FRESH_XPUB
from tests.support.solidity import Compiler, deploy

Nodes = Callable[..., Anvil]
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECRET = "s3cr3t-access-key"


def examine(folder: Path, **environ: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Run it; return its exit code and the checks by name."""
    done = command(folder, "doctor", "--json", environ=environ)
    assert SECRET not in done.stdout + done.stderr
    checks = json.loads(done.stdout)["checks"]
    assert all((each["mark"] == "ok") == (each["advice"] is None) for each in checks), "what is wrong has its advice"
    return done.returncode, {each["name"]: each for each in checks}


def configuration(*urls: str, xpub: str = FRESH_XPUB, token: str = "") -> str:
    listed = ", ".join(f'"{url}"' for url in urls)
    return (
        f'[wallet]\nxpub = "{xpub}"\n[prices]\nsources = ["chainlink"]\nfixed = {{"ETH/USD" = "3000"}}\n'
        f'[[chains]]\nid = {ANVIL_CHAIN_ID}\nname = "Anvil"\nrpc_urls = [{listed}]\npoll_seconds = 0.05\n{token}'
    )


def of_token(address: str, decimals: int, symbol: str = "USDC") -> str:
    return f'[[chains.tokens]]\nsymbol = "{symbol}"\naddress = "{address}"\ndecimals = {decimals}\n'


@pytest.mark.sqlite
def test_a_server_without_anything_wrong_passes_beside_it(anvil: Nodes, solc: Compiler, tmp_path: Path) -> None:
    node = anvil()
    usdc = deploy(node, solc, "Token")
    with Server(tmp_path, configuration(node.url, token=of_token(usdc.address, 6))) as server:
        assert command(tmp_path, "backup", "copy.db").returncode == 0
        node.mine()
        server.wait_until(
            lambda: server.client(None).get(f"{server.url}/readyz").status_code == 200, "process the first block"
        )
        code, checks = examine(tmp_path)
        assert code == 0
        assert "in the last minute" in checks.pop("event loop")["what"], "how long it was depends on this machine"
        assert {name: each["mark"] for name, each in checks.items() if each["mark"] != "ok"} == {
            "price chainlink": "warn",  # it is not on this chain
            "public_url": "warn",  # it leads to this machine only
            "wallet": "warn",  # nobody has compared its addresses
        }
        host = f"127.0.0.1:{node.port}"
        assert {"database", "server", "backup", "Anvil: USDC", f"Anvil: {host}", "Anvil: processed"} <= checks.keys()
        assert checks["Anvil: USDC"]["what"] == "USDC, 6 decimals"
    code, checks = examine(tmp_path)
    assert checks["server"]["mark"] == "warn"
    assert "calls" in checks[f"Anvil: use of {host}"]["what"], "the server wrote down what it asked when it ended"


@pytest.mark.sqlite
def test_the_disk_and_a_newer_version_that_the_server_heard_of_are_told(tmp_path: Path) -> None:
    path, url = tmp_path / "checkout-data" / "checkout.db", "https://localhost:1/latest"
    path.parent.mkdir(mode=0o700)
    migrate(path)
    assert "updates" not in examine(tmp_path)[1]
    release = Release("99.0.0", "https://example.com/99.0.0")
    newest_version.note(path.parent, LastLook(url, NOW, NOW + timedelta(days=1), release))
    _, checks = examine(tmp_path, CHECKOUT__UPDATES__CHECK_URL=url)
    assert checks["updates"]["mark"] == "warn"
    assert checks["updates"]["what"].startswith("99.0.0 is available, this is ")
    assert re.fullmatch(
        r"[\d,.]+ .B of [\d,.]+ .B free; there will be a forecast from [\d-]{10}", checks["disk"]["what"]
    )


def test_each_provider_is_tried_by_itself_and_its_key_stays_secret(anvil: Nodes, tmp_path: Path) -> None:
    node, other = anvil(), anvil(arguments=["--chain-id", "5"])
    urls = (f"http://127.0.0.1:1/{SECRET}", f"{other.url}/?key={SECRET}", node.url)
    (tmp_path / "checkout.toml").write_text(configuration(*urls), "utf-8")
    code, checks = examine(tmp_path)
    assert code == 1
    assert checks[f"Anvil: 127.0.0.1:{node.port}"]["mark"] == "ok"
    dead, wrong = checks["Anvil: 127.0.0.1:1"], checks[f"Anvil: 127.0.0.1:{other.port}"]
    assert (dead["mark"], "can't connect" in dead["what"]) == ("fail", True)
    assert (wrong["mark"], "serves chain 5, not 31337" in wrong["what"]) == ("fail", True)
    assert "chains[0].rpc_urls[1]" in wrong["advice"]


def test_a_provider_gets_the_key_that_its_header_takes_from_the_environment(tmp_path: Path) -> None:
    provider = '[[chains.providers]]\nurl = "{url}"\nheaders = {{ Authorization = "Bearer ${{NODE_KEY}}" }}\n'
    heads: list[str] = []
    results = {"eth_chainId": Error(f"the key {SECRET} is over")}
    with running_beside(answering(results), heard=heads.append) as url:
        text = configuration("http://127.0.0.1:1", token=provider.format(url=url))
        (tmp_path / "checkout.toml").write_text(text, "utf-8")
        _, checks = examine(tmp_path, NODE_KEY=SECRET)
    assert f"Bearer {SECRET}" in heads[0]
    told = checks[f"Anvil: {url.removeprefix('http://')}"]
    assert told["what"] == "refused: the key … is over"
    assert "chains[0].providers[0]" in told["advice"]


async def test_a_provider_that_lacks_what_is_needed_fails_and_without_traces_it_does_not(
    anvil: Nodes, tmp_path: Path
) -> None:
    node = anvil()
    node.send(node.accounts[0], node.accounts[1], 1)
    cases = (
        (["eth_getLogs"], "fail", "eth_getLogs by block hash"),
        (["eth_call", "eth_getBalance"], "fail", "for balances"),
        (["eth_call"], "ok", "without eth_call of code without a contract: each balance is a call of its own"),
        (["debug_traceBlockByHash"], "ok", "without debug_traceBlockByHash"),
        (["eth_getBlockReceipts"], "ok", "block 1 in"),
        (["eth_getBlockReceipts", "eth_getTransactionReceipt"], "fail", "proofs of its blocks (refused"),
    )
    async with AsyncExitStack() as stack:
        fronts = []
        for lacking, _, _ in cases:
            refusal = dict.fromkeys(lacking, Error("the method is not available on your plan", -32601))
            fronts.append(await stack.enter_async_context(running(forwarding(node.url, refusal))))
        (tmp_path / "checkout.toml").write_text(configuration(*(front.url for front in fronts)), "utf-8")
        checks = await _doctor(tmp_path)
    for front, (_, mark, words) in zip(fronts, cases, strict=True):
        check = checks[f"Anvil: 127.0.0.1:{front.port}"]
        assert (check["mark"], words in check["what"]) == (mark, True), check


async def test_a_provider_that_does_not_know_the_configured_finality_is_named(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil()

    def block(number: str, full: bool) -> Any:
        tagless = Error("invalid argument 0: hex string without 0x prefix")
        return tagless if number == "finalized" else node.rpc("eth_getBlockByNumber", number, full)

    async with running(forwarding(node.url, {"eth_getBlockByNumber": block})) as front:
        text = configuration(front.url).replace("poll_seconds", 'finality = "finalized"\npoll_seconds')
        (tmp_path / "checkout.toml").write_text(text, "utf-8")
        check = (await _doctor(tmp_path))["Anvil: finality"]
    assert check["mark"] == "warn"
    assert "doesn't know the block tag 'finalized': payments count by depth instead" in check["what"]


async def _doctor(folder: Path) -> dict[str, dict[str, Any]]:
    """Run it while this process answers as a node."""
    arguments = [*PROGRAM, "doctor", "--json"]
    done = await anyio.run_process(arguments, cwd=folder, env=environment(folder=folder), check=False)
    return {each["name"]: each for each in json.loads(done.stdout)["checks"]}


async def test_providers_that_show_different_chains_are_named(anvil: Nodes, tmp_path: Path) -> None:
    first, second = anvil(mining="manual"), anvil(mining="manual")
    first.mine(3)
    second.rpc("evm_increaseTime", 5)
    second.mine(3)
    (tmp_path / "checkout.toml").write_text(configuration(first.url, second.url), "utf-8")
    code, checks = examine(tmp_path)
    assert (code, checks["Anvil: agreement"]["mark"]) == (1, "fail")
    assert str(second.port) in checks["Anvil: agreement"]["what"]


def test_a_token_with_wrong_decimals_and_the_public_test_wallet_fail(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil()
    usdc = deploy(node, solc, "Token")
    text = configuration(node.url, xpub=XPUB, token=of_token(usdc.address, 18))
    (tmp_path / "checkout.toml").write_text(text, "utf-8")
    code, checks = examine(tmp_path)
    assert code == 1
    assert (checks["Anvil: USDC"]["mark"], checks["wallet"]["mark"]) == ("fail", "fail")
    assert "chains[0].tokens[0].decimals is 18" in checks["Anvil: USDC"]["what"]


def test_collecting_is_checked_on_each_chain_where_there_is_a_cold_address(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil()
    text = configuration(node.url, xpub="").replace("[wallet]", f'[wallet]\ncold_address = "{checksum(COLD)}"')
    (tmp_path / "checkout.toml").write_text(text, "utf-8")
    code, checks = examine(tmp_path)
    assert code == 1
    assert "crypto-checkout collect setup" in checks["Anvil: collecting"]["what"]
    assert checks["wallet"]["what"] == f"everything goes to {checksum(COLD)}"
    deploy_contracts(node)
    _, checks = examine(tmp_path)
    assert checks["Anvil: collecting"]["mark"] == "ok"
    (tmp_path / "checkout.toml").write_text(text.replace(checksum(COLD), checksum(Address(node.accounts[3]))), "utf-8")
    _, checks = examine(tmp_path)
    assert checks["wallet"]["mark"] == "fail"
    assert "[wallet] cold_address is the public test wallet" in checks["wallet"]["what"]
    assert "Use your own address" in checks["wallet"]["advice"]


def test_the_first_addresses_are_shown_to_be_compared(tmp_path: Path) -> None:
    (tmp_path / "checkout.toml").write_text(configuration("http://127.0.0.1:1/"), "utf-8")
    _, checks = examine(tmp_path)
    assert checks["wallet"]["what"].count("0x") == 3


@pytest.mark.sqlite
def test_a_wrong_configuration_and_a_damaged_database_fail_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "checkout.toml").write_text('[log]\nlevel = "loud"\n', "utf-8")
    code, checks = examine(tmp_path)
    assert (code, [*checks]) == (1, ["configuration"])
    assert "log.level" in checks["configuration"]["what"]
    (tmp_path / "checkout.toml").unlink()
    path = tmp_path / "checkout-data" / "checkout.db"
    migrate(path)
    assert examine(tmp_path)[1]["database"]["mark"] == "ok"
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 6] = b"\x5a" * (4096 * 3)
    path.write_bytes(content)
    code, checks = examine(tmp_path)
    assert (code, checks["database"]["mark"]) == (1, "fail")
    assert "restore" in checks["database"]["advice"]


def test_a_database_of_before_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "checkout-data" / "checkout.db"
    migrate(path)
    connection = sqlite3.connect(path)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version = {version - 1}")
    connection.close()
    code, checks = examine(tmp_path)
    assert (code, checks["database"]["mark"]) == (0, "warn")
    assert "migrate" in checks["database"]["advice"]
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (version - 1,)
    connection.close()


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_can_not_be_written_fails(tmp_path: Path) -> None:
    (tmp_path / "checkout-data").mkdir(mode=0o500)
    assert examine(tmp_path)[1]["data folder"]["mark"] == "fail"


@pytest.mark.parametrize(
    ("mode", "mark"), [(0o700, "ok"), (0o750, "warn"), (0o755, "fail"), (0o701, "fail"), (0o704, "fail")]
)
def test_a_folder_that_others_may_read_fails(tmp_path: Path, mode: int, mark: str) -> None:
    folder = tmp_path / "checkout-data"
    migrate(folder / "checkout.db")
    folder.chmod(mode)
    code, checks = examine(tmp_path)
    rights = checks["data folder permissions"]
    assert (code, rights["mark"]) == (int(mark == "fail"), mark)
    assert mark == "ok" or rights["advice"].endswith(f"chmod 700 {folder}")


def test_a_proxy_that_is_not_trusted_is_named_until_a_start_with_it(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        client = server.client(None)
        for _ in range(3):
            client.get(f"{server.url}/healthz", headers={"X-Forwarded-For": "203.0.113.9:1234"})
        check = examine(tmp_path)[1]["trusted_proxies"]
        assert (check["mark"], "127.0.0.1 sends" in check["what"]) == ("warn", True)
        assert server.log.count("trusted_proxies") == 1
    with Server(tmp_path, '[server]\ntrusted_proxies = ["127.0.0.1"]\n') as server:
        server.client(None).get(f"{server.url}/healthz", headers={"X-Forwarded-For": "203.0.113.9:1234"})
        check = examine(tmp_path)[1]["trusted_proxies"]
        assert (check["mark"], check["what"]) == ("ok", "127.0.0.1/32")
        assert "trusted_proxies" not in server.log
    (tmp_path / "checkout.toml").write_text('[server]\npublic_url = "https://pay.example.com"\n', "utf-8")
    assert examine(tmp_path)[1]["trusted_proxies"]["mark"] == "warn", "whoever has the certificate hides the visitors"


@pytest.mark.sqlite
def test_the_age_of_the_last_backup_is_known(tmp_path: Path) -> None:
    path = tmp_path / "checkout-data" / "checkout.db"
    migrate(path)
    none = examine(tmp_path)[1]["backup"]
    assert (none["mark"], none["what"]) == ("warn", "none yet")
    assert "The server makes the first one" in none["advice"]
    last_backup.note(path.parent, datetime.now(UTC) - timedelta(days=30, hours=1), tmp_path / "gone.db")
    backup = examine(tmp_path)[1]["backup"]
    assert (backup["mark"], "30 days" in backup["what"], "no longer there" in backup["what"]) == ("warn", True, True)


@pytest.mark.sqlite
def test_the_words_are_one_line_for_each_check(tmp_path: Path) -> None:
    done = command(tmp_path, "doctor")
    assert done.returncode == 0
    head, *_, last = done.stdout.splitlines()
    assert head.startswith("ok    configuration: ")
    assert last == "7 checks: 0 fail, 1 warn."
    assert list(tmp_path.iterdir()) == [], "nothing was written"


def test_each_mistake_of_a_configuration_has_a_line_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "checkout.toml").write_text("[server]\nhosst = 'x'\n[sessions]\nttl_seconds = 5\n", "utf-8")
    done = command(tmp_path, "doctor")
    assert done.returncode == 1
    head, first, second, *_, last = done.stdout.splitlines()
    assert head.endswith("checkout.toml has 2 mistakes:")
    assert (first[:22], second[:30]) == ("      - server.hosst: ", "      - sessions.ttl_seconds: ")
    assert last == "1 check: 1 fail, 0 warn."


# --- what can't be had from a node on this machine ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead", "mark"),
    [(-5, Severity.OK), (10, Severity.OK), (60, Severity.FAIL), (-200, Severity.OK), (-3600, Severity.WARN)],
)
def test_a_clock_that_the_chain_contradicts_is_named(ahead: int, mark: Severity) -> None:
    head = Header(5, "0x" + "00" * 32, "", NOW + timedelta(seconds=ahead))
    assert check_up.of_clock("Anvil", head, NOW).mark is mark


@pytest.mark.parametrize(("ids", "warned"), [((1, 84532), 1), ((11155111, 84532), 0), ((1, 8453), 0), ((), 0)])
def test_a_test_network_beside_real_money_is_a_warning(ids: tuple[int, ...], warned: int) -> None:
    found = check_up.of_networks({chain_id: f"Chain {chain_id}" for chain_id in ids})
    assert len(found) == warned
    for check in found:
        assert (check.mark, "Chain 84532 beside" in check.what) == (Severity.WARN, True)


def test_a_symbol_that_differs_is_a_warning() -> None:
    asset = Asset(1, "USDC", 6, Address("0x" + "aa" * 20))
    token = ConfiguredToken(asset, "chains[0].tokens[0]")
    for symbol, mark in (("USDC", Severity.OK), ("USDT", Severity.WARN), (None, Severity.WARN)):
        assert check_up.of_token("Anvil", token, TokenFacts(True, 6, symbol)).mark is mark


async def test_the_budget_of_a_provider_is_shown_for_today_and_for_a_month(tmp_path: Path) -> None:
    path = tmp_path / "checkout.db"
    migrate(path)
    async with await Database.open(path, lambda: NOW) as db:
        for days_ago, calls in ((0, 5), (1, 100), (2, 300)):
            row = DailyUsage(
                (NOW - timedelta(days=days_ago)).date(), 1, "node.example", RpcUsage(calls, 0, calls * 10**6)
            )
            await db.write(lambda unit, row=row: rpc_usage.add(unit, row))  # type: ignore[misc]
        (found,) = await db.read(lambda unit: check_up.of_usage(unit, {1: "Ethereum"}))
    assert found.name == "Ethereum: use of node.example"
    assert found.what == (
        "today 5 calls, 5.0 MB; at most 300 calls a day; 6,000 calls, 6,000.0 MB a month: compare that with your plan"
    )


def test_an_endpoint_that_the_configuration_no_longer_allows_is_found(tmp_path: Path) -> None:
    with Server(tmp_path, None) as server:
        body = {"url": "http://127.0.0.1:18999/hooks", "events": ["session.paid"]}
        name = f"webhook {server.api.post('/webhook_endpoints', json=body).json()['id']}"
    _, checks = examine(tmp_path)
    assert checks[name]["mark"] == "ok", "without a file, webhooks may go to this machine"
    (tmp_path / "checkout.toml").write_text("", "utf-8")
    _, checks = examine(tmp_path)
    assert checks[name]["mark"] == "warn"
    assert "127.0.0.1 is a loopback address, where webhooks are not sent" in checks[name]["what"]
    tried = command(tmp_path, "webhooks", "test", name.removeprefix("webhook ")).stdout
    assert tried.startswith("Nothing was sent. 127.0.0.1 is a loopback address, where webhooks are not sent"), tried
    _, checks = examine(tmp_path, CHECKOUT__WEBHOOKS__ALLOW_PRIVATE_NETWORKS="true")
    assert checks[name]["mark"] == "ok"


def test_a_lost_key_and_a_dashboard_without_a_password_that_others_reach_are_found_before_a_start(
    tmp_path: Path,
) -> None:
    with Server(tmp_path) as server:
        body = {"url": "https://shop.example/hooks", "events": ["session.paid"]}
        endpoint = server.api.post("/webhook_endpoints", json=body).json()
    name = f"webhook {endpoint['id']}"
    _, checks = examine(tmp_path)
    assert {each: checks[each]["mark"] for each in (name, "dashboard")} == {name: "ok", "dashboard": "ok"}
    (tmp_path / "checkout-data" / "secret.key").unlink()
    code, checks = examine(tmp_path, CHECKOUT__SERVER__HOST="0.0.0.0")  # noqa: S104 - nothing is bound
    assert (code, checks[name]["mark"]) == (1, "fail")
    assert "can't be read without its secret.key" in checks[name]["what"]
    assert not (tmp_path / "checkout-data" / "secret.key").exists(), "nothing is changed"
    assert checks["dashboard"]["mark"] == "warn"
    assert "[server] host is 0.0" in checks["dashboard"]["what"]
    _, checks = examine(tmp_path, CHECKOUT__SERVER__PUBLIC_URL="https://pay.example.com")
    assert "https://pay.example.com" in checks["dashboard"]["what"]
    with closing(sqlite3.connect(tmp_path / "checkout-data" / "checkout.db")) as connection, connection:
        connection.execute(
            "INSERT INTO admin (only_row, password_hash, totp_secret, password_set_at, created_at)"
            " VALUES (1, 'x', ?, ?, ?)",
            (Cipher([b"k" * KEY_BYTES]).encrypt("secret", SECOND_FACTOR), *[moments.to_text(NOW)] * 2),
        )
    _, checks = examine(tmp_path)
    assert checks["dashboard"]["mark"] == "fail"
    assert "second factor" in checks["dashboard"]["what"]


@pytest.mark.parametrize(("seconds", "mark"), [(0.004, Severity.OK), (0.9, Severity.OK), (2.5, Severity.WARN)])
def test_a_server_that_keeps_everybody_waiting_is_a_warning(seconds: float, mark: Severity) -> None:
    assert check_up.of_stall(seconds).mark is mark


async def test_why_an_address_can_not_be_reached_is_said_in_words() -> None:
    config = Config()
    (refused,) = await doctor.public_url(config, "http://127.0.0.1:1", is_served=True)
    assert "nothing listens there" in refused.what
    (nowhere,) = await doctor.public_url(config, "http://shop.invalid", is_served=True)
    assert "its name leads to no address" in nowhere.what
    async with running(answering({})) as node:
        (untrusted,) = await doctor.public_url(config, node.url.replace("http:", "https:"), is_served=True)
    assert "doesn't speak TLS" in untrusted.what
