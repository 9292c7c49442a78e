"""Collecting by hand: planned beside the server, signed at a terminal, sent; and no word is left anywhere."""

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from crypto_checkout.core.address import checksum
from crypto_checkout.core.collect import plan_file
from crypto_checkout.core.collect.plan import Way
from crypto_checkout.http.docs.contents import guide_text
from tests.support.anvil import Anvil
from tests.support.collecting import deploy_contracts
from tests.support.live_server import COIN, LiveServer
from tests.support.plans import DESTINATION, WORDS, a_plan
from tests.support.server import PROGRAM, command, environment
from tests.support.shop import ANVIL_CHAIN_ID
from tests.support.terminals import typed_at
from tests.support.wallets import xpub_of

TO = checksum(DESTINATION)
SIGN = ("collect", "sign", "plan.json", "--out", "signed.json")
QUESTIONS = ("ID of the chain", "The full destination", "Recovery phrase", "Passphrase")


def answers(*, chain: str = str(ANVIL_CHAIN_ID), to: str = TO, words: str = WORDS) -> list[tuple[str, str]]:
    return list(zip(QUESTIONS, (chain, to, words, ""), strict=True))


def guide_commands() -> list[list[str]]:
    """Return the commands of the guide, for the chain and the destination of the tests."""
    text = guide_text("collect", "").replace("--chain 1 ", f"--chain {ANVIL_CHAIN_ID} ").replace("0xYourAddress", TO)
    return [shlex.split(line)[1:] for line in re.findall(r"^\$ (crypto-checkout .*)$", text, re.MULTILINE)]


@pytest.fixture
def planned(tmp_path: Path) -> Path:
    """A folder with a plan."""
    (tmp_path / "plan.json").write_text(plan_file.plan_text(a_plan(Way.EIP_7702)))
    return tmp_path


@pytest.mark.anvil
@pytest.mark.process
def test_paid_sessions_are_planned_signed_and_sent(anvil: Callable[..., Anvil], tmp_path: Path) -> None:
    node = anvil()
    deploy_contracts(node)
    live = LiveServer(tmp_path, node, xpub=xpub_of(WORDS))
    with live.server:
        sessions = [live.sell() for _ in range(2)]
        for session in sessions:
            live.pay(session)
        node.mine(2)
        for session in sessions:
            live.wait_for(session, "paid")

        plan, sign, send, _ = guide_commands()
        planned = command(tmp_path, *plan)
        assert planned.returncode == 0, planned.stderr
        fuel = json.loads((tmp_path / "plan.json").read_text())["fuel"]
        assert "Send it" in planned.stdout
        assert fuel["address"] in planned.stdout
        node.send(node.accounts[8], fuel["address"], int(fuel["units"]))
        code, screen = typed_at(tmp_path, sign, answers())
        assert code == 0, screen
        sent = command(tmp_path, *send)
        assert sent.returncode == 0, sent.stderr
        again = command(tmp_path, "collect", "send", "signed.json", "--json")

        assert node.balance(TO) == 2 * COIN
        assert json.loads(again.stdout)["moved"] == 2
        assert {live.status(session) for session in sessions} == {"paid"}
    word = WORDS.split()[5]
    assert word not in screen
    left = [path for path in tmp_path.rglob("*") if path.is_file() and word.encode() in path.read_bytes()]
    assert left == []


@pytest.mark.process
@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"chain": "1"}, "The plan is for chain 31337, not 1"),
        ({"to": "0x" + "11" * 20}, "not the address you pasted"),
        ({"to": TO[:-4]}, "an address has 40 hexadecimal digits"),
        ({"words": "hello there"}, "no recovery phrase"),
        ({"words": "test test test test test test test test test test test junk"}, "another wallet"),
    ],
)
def test_a_wrong_answer_signs_nothing(planned: Path, changed: dict[str, str], reason: str) -> None:
    code, screen = typed_at(planned, SIGN, answers(**changed))

    assert code == 1
    assert reason in " ".join(screen.split())
    assert not (planned / "signed.json").exists()


@pytest.mark.process
def test_secrets_are_not_read_from_a_pipe(planned: Path) -> None:
    refused = subprocess.run(
        [*PROGRAM, *SIGN],
        cwd=planned,
        env=environment(folder=planned),
        input=f"{ANVIL_CHAIN_ID}\n{TO}\n{WORDS}\n\n",
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )

    assert refused.returncode == 1
    assert "on a terminal" in refused.stderr


@pytest.mark.process
def test_high_fees_and_used_names_are_refused_before_a_word_is_typed(planned: Path) -> None:
    dear = command(planned, *SIGN, "--max-fee", "0.0001")
    (planned / "signed.json").write_text("mine")
    used = command(planned, *SIGN)

    assert "more than --max-fee 0.0001. Nothing was signed." in dear.stderr
    assert "signed.json already exists" in used.stderr
    assert (planned / "signed.json").read_text() == "mine"
