"""The guides that go step by step: their blocks are run in order, on a real server, and print what the guides say."""

import inspect
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyrage
import pytest
from markdown_it import MarkdownIt

from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey
from crypto_checkout.cli.demo.scenarios import ENDS
from crypto_checkout.config import example, load
from crypto_checkout.core.upkeep.versions import Release, read_release
from crypto_checkout.http.docs.contents import guide_text
from crypto_checkout.services.reporting import config_snippets
from scripts.benchmarks import orders, requests
from tests.conftest import found
from tests.http.docs.test_pages import STEP_BY_STEP, TEXTS
from tests.support.ports import free_port
from tests.support.server import Server
from tests.support.shop import FRESH_XPUB

SHOPS = {"python": "python shop.py", "javascript": "node shop.mjs"}
SECONDS = 240
END = "--- end of block {} ---"


def blocks(text: str) -> list[tuple[str, str]]:
    """Return the code blocks with their language and file name, in order."""
    return [(token.info, token.content) for token in MarkdownIt("commonmark").parse(text) if token.type == "fence"]


def run(folder: Path, text: str, key: str, **variables: str) -> None:
    """Run the shell blocks of a guide as one session, and hold what each prints against the text after it."""
    found_blocks = blocks(text)
    expected: list[str] = []
    script = ['trap \'[ -z "${SHOP_PID:-}" ] || kill "$SHOP_PID"\' EXIT', "set -eu"]
    for (info, content), (next_info, next_content) in zip(found_blocks, [*found_blocks[1:], ("", "")], strict=True):
        if info == "sh":
            script += [content.replace("export API_KEY=ck_test_…", ""), f"echo '{END.format(len(expected))}'"]
            expected.append(next_content if next_info == "text" else "")
    process = subprocess.Popen(
        ["bash", "-c", 'curl() { command curl --noproxy "*" "$@"; }\n' + "\n".join(script)],
        cwd=folder,
        env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "API_KEY": key, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        said, complaints = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # the shop too
        said, complaints = process.communicate()
        pytest.fail(f"it hung after:\n{said}\n{complaints}")
    parcels = r"^a parcel for cs_\w+\n"
    printed = re.split(r"--- end of block \d+ ---\n", re.sub(parcels, "", said, flags=re.MULTILINE))
    assert process.returncode == 0, f"{said}\n{complaints}"
    assert printed == [*expected, ""], complaints
    sent = re.findall(parcels, said, re.MULTILINE)
    assert len(sent) == len(set(sent)), "a parcel was sent twice"
    assert bool(sent) == bool(variables)


@pytest.mark.parametrize("language", SHOPS)
def test_the_shop_of_the_guide_works_and_every_failure_goes_as_told(tmp_path: Path, language: str) -> None:
    if language == "javascript":
        found("node", shutil.which("node"), "there is no Node.js")
    with Server(tmp_path) as server:
        assert server.key is not None
        text = guide_text("integrate", server.url).replace("8000", str(free_port()))
        for info, content in blocks(text):
            _, _, file = info.partition(" ")
            if file:
                (tmp_path / file).write_text(content, "utf-8")
        run(tmp_path, text, server.key, RUN=SHOPS[language])


def test_the_shop_in_python_is_short() -> None:
    shops = {info: content.split("\n") for info, content in blocks(guide_text("integrate", "")) if " shop." in info}
    sizes = {info: len([line for line in lines if line.strip()]) for info, lines in shops.items()}
    assert sizes["python shop.py"] <= 40
    assert sizes["javascript shop.mjs"] <= 57
    assert max(len(line) for lines in shops.values() for line in lines) <= 103


def test_every_helper_of_test_mode_does_what_the_guide_says(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        assert server.key is not None
        run(tmp_path, guide_text("test-mode", server.url), server.key)


def test_no_block_of_a_guide_is_left_out() -> None:
    """`tests.http.docs.test_pages` runs the rest: shell and Python block by block, and the webhook guide's JavaScript.

    `tests.core.checkout.test_pay_button` compares the HTML with what the product prints, `tests.cli.collect` runs the
    commands that collect, `tests.http.docs.test_monitoring` configures Prometheus, `tests.http.docs.test_standby` has
    two machines, `tests.http.docs.test_past_one_machine` four, `tests.http.docs.test_postgresql` a PostgreSQL server,
    `tests.test_readme` looks up the commands of `operate`, and `tests.http.api.test_refunds` makes the request that
    names a refund's transaction.
    """
    by_guide = {
        "first-payment": {"console", "text"},
        "go-live": {"console", "toml"},
        "commands": {"console"},
        "webhooks": {"javascript"},
        "errors": {"json"},
        "payment-pages": {"html", "toml"},
        "cold-address": {"console", "toml"},
        "collect": {"console", "toml"},
        "refunds": {"console", "toml"},
        "receipts": {"console", "toml"},
        "monitoring": {"yaml"},
        "operate": {"console", "toml", "json"},
        "speed": {"console"},
        "postgresql": {"console", "toml"},
        "past-one-machine": {"console", "text pg_hba.conf", "toml", "nginx upstream", "nginx location"},
        "standby": {"console", "sshd_config", "yaml litestream.yml", "ini litestream.service"},
        "proxies": {"", "nginx", "toml"},
        "wallets": {"javascript ledger.cjs", "javascript keystone.cjs"},
    }
    run_here = {"python shop.py", "javascript shop.mjs", "text", "sh", "python"}
    for name in TEXTS:
        kinds = {info for info, _ in blocks(guide_text(name, ""))}
        assert kinds <= (run_here if name in STEP_BY_STEP else {"sh", "python"} | by_guide.get(name, set())), name


@pytest.mark.parametrize("file", ["ledger.cjs", "keystone.cjs"])
def test_the_scripts_for_hardware_wallets_are_javascript(tmp_path: Path, file: str) -> None:
    node = found("node", shutil.which("node"), "there is no Node.js")
    (tmp_path / file).write_text(dict(blocks(guide_text("wallets", "")))[f"javascript {file}"], "utf-8")
    subprocess.run([node, "--check", tmp_path / file], check=True)


def test_each_spelling_of_a_key_in_the_guide_is_treated_as_told() -> None:
    account = ExtendedPublicKey.parse(FRESH_XPUB)
    taken, refused = guide_text("wallets", "").partition("Accepted are")[2].partition("## ")[0].split("Refused, ")
    verdicts = {text: group is taken for group in (taken, refused) for text in re.findall("`([^`]+)`", group)}
    assert len(verdicts) == 12
    for text, is_told in verdicts.items():
        pasted = text.replace("[…", "[1a2b3c4d").replace("xpub6…", "…").replace("xpub…", "…").replace("…", str(account))
        try:
            is_taken = ExtendedPublicKey.parse(pasted).wallet_id == account.wallet_id
        except ValueError:
            is_taken = False
        assert is_taken == is_told, text


def test_the_configuration_in_the_guides_is_taken(tmp_path: Path) -> None:
    found_blocks = [text for name in TEXTS for info, text in blocks(guide_text(name, "")) if info == "toml"]
    assert found_blocks
    for text in found_blocks:
        path = tmp_path / "checkout.toml"
        path.write_text(text.replace("age1…", str(pyrage.x25519.Identity.generate().to_public())), "utf-8")
        load(path, {})


def test_the_answer_that_names_a_newer_version_is_taken() -> None:
    (answer,) = (json.loads(text) for info, text in blocks(guide_text("operate", "")) if info == "json")
    assert read_release(answer) == Release("1.2.3", "https://example.com/releases/1.2.3", "one line, optional")


def test_the_table_of_chains_is_that_of_the_presets(tmp_path: Path) -> None:
    path = tmp_path / "checkout.toml"
    text = config_snippets.switched_on(example(), config_snippets.presets())
    path.write_text(text.replace('xpub = ""', f'xpub = "{FRESH_XPUB}"'), "utf-8")
    expected = [
        (
            chain.name,
            str(chain.id),
            chain.native_symbol,
            ", ".join(token.symbol for token in chain.tokens),
            f"`{chain.finality}`" if chain.finality != "depth" else f"{chain.confirmations} block",
        )
        for chain in load(path, {}).chains
    ]
    rows = re.findall(
        r"^\| ([\w ]+) \| (\d+) \| (\w+) \| (.+) \| [\d. to]+ s \| (\d+ block|`\w+`)(?:s? deep)? \|",
        guide_text("chains", ""),
        re.MULTILINE,
    )
    assert rows == expected


def test_the_guide_to_speed_names_what_the_benchmarks_measure() -> None:
    text = guide_text("speed", "")
    tables = text.partition("\n## On PostgreSQL\n")
    assert re.findall(r"^\| `([\w-]+)` \|", tables[0], re.MULTILINE) == list(requests.CASES)
    assert set(re.findall(r"^\| `([\w-]+)` \|", tables[2], re.MULTILINE)) <= set(requests.CASES)
    days = re.findall(r"^\| \d \| (\d+) \| ([\d,]+) \|", text, re.MULTILINE)
    assert [int(day.replace(",", "")) for _, day in days] == [orders.a_day(int(second)) for second, _ in days]
    assert len(days) == 3
    parsers = "".join(inspect.getsource(each) for each in (requests, orders))
    assert {option for option in re.findall(r"--\w+", text) if f'"{option}"' not in parsers} == set()
    assert set(re.findall(r"scripts/bench (\w+)", text)) == {"requests", "orders", "processes"}


def test_the_table_of_scenarios_is_right() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| ([\w ]+) \|", guide_text("test-mode", ""), re.MULTILINE)
    assert {scenario: (status, events) for scenario, status, events in rows} == ENDS
