"""`crypto-checkout init`: what it writes, what it refuses, and what happens on a real terminal."""

import os
import pty
import re
import select
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey
from crypto_checkout.cli import init as room
from crypto_checkout.cli.init import init
from crypto_checkout.cli.support.options import Options
from crypto_checkout.config import example, load
from crypto_checkout.core.address import checksum
from tests.support.waiting import WAIT_SECONDS
from tests.support.wallets import xpub_of

COLD = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
XPUB = xpub_of("test test test test test test test test test test test junk")
PRIVATE = (
    "xprv9z4pot5VBttmtdRTWfWQmoH1taj2axGVzFqSb8C9xaxKymcFzXBDptWmT7FwuEzG3ryjH4ktypQSAewRiNMjANTtpgP4mLTj34bhnZX7UiM"
)

Run = Callable[..., Result]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "checkout.toml"


@pytest.fixture
def run(target: Path) -> Run:
    def run_init(*arguments: str, config: Path | None = target) -> Result:
        return CliRunner().invoke(init, arguments, obj=Options(config, {}))

    return run_init


def folder_of(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


# --- without a terminal ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [(), ("--no-wallet",)])
def test_without_a_terminal_and_without_flags_the_plain_example_is_written(
    run: Run, target: Path, arguments: tuple[str, ...]
) -> None:
    result = run(*arguments)

    assert result.exit_code == 0
    assert target.read_text() == example()
    assert "set [wallet] cold_address or xpub" in result.output
    assert f"--config {target} serve" in result.output
    assert folder_of(target) == ["checkout.toml"]


def test_the_file_is_readable_by_its_owner_alone(run: Run, target: Path) -> None:
    run()

    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_known_xpub_is_written_and_the_file_loads(run: Run, target: Path) -> None:
    result = run("--xpub", f" {XPUB}\n")

    assert result.exit_code == 0
    assert load(target, {}).wallet.xpub == XPUB
    assert "Compare them" in result.output
    assert "  0  0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266\n" in result.output  # anvil's own first account
    assert "uncomment a [[chains]] block" in result.output


@pytest.mark.parametrize(
    ("text", "why"), [(PRIVATE, "never put it on a server"), ("", "it is empty"), (XPUB[:-1], "checksum")]
)
def test_a_wrong_xpub_is_refused_without_being_repeated(run: Run, target: Path, text: str, why: str) -> None:
    result = run("--xpub", text)

    assert result.exit_code == 2
    assert why in result.output.replace("\n", " ")
    assert PRIVATE[10:20] not in result.output
    assert folder_of(target) == []


def test_chains_are_switched_on_by_name_or_id_and_the_rest_stays_as_it_is(run: Run, target: Path) -> None:
    result = run("--xpub", XPUB, "--chain", "base", "--chain", "1", "--chain", "Arb")

    assert result.exit_code == 0
    config = load(target, {})
    assert [chain.id for chain in config.chains] == [1, 8453, 42161]
    assert [token.symbol for token in config.chains[1].tokens] == ["USDC", "EURC"]
    assert config.chains[0].confirmation_tiers == ()
    assert "Base, Ethereum, Arbitrum One: enabled" in result.output.replace("\n", " ")
    changed = zip(example().splitlines(), target.read_text().splitlines(), strict=True)
    assert all(new in {old, old[1:], f'xpub = "{XPUB}"'} for old, new in changed)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--xpub", XPUB, "--chain", "Dogecoin"), "no preset is named 'Dogecoin'; there are Ethereum (1)"),
        (("--xpub", XPUB, "--chain", ""), "no preset is named ''"),
        (("--xpub", XPUB, "--chain", "b"), "several presets begin 'b'"),
        (("--chain", "base"), "A chain needs a wallet"),
        (("--no-wallet", "--chain", "base"), "A chain needs a wallet"),
    ],
)
def test_a_chain_that_cannot_be_switched_on_leaves_no_file(
    run: Run, target: Path, arguments: tuple[str, ...], why: str
) -> None:
    result = run(*arguments)

    assert result.exit_code == 2
    assert why in " ".join(result.output.split())
    assert folder_of(target) == []


def test_a_cold_address_is_written_with_the_chains(run: Run, target: Path) -> None:
    result = run("--cold-address", COLD, "--chain", "base")
    assert result.exit_code == 0, result.output
    config = load(target, {})
    assert (config.wallet.cold_address, config.wallet.xpub) == (COLD.lower(), "")
    assert [chain.id for chain in config.chains] == [8453]


def test_a_public_url_is_written_with_the_proxy_that_has_its_certificate(run: Run, target: Path) -> None:
    result = run("--cold-address", COLD, "--chain", "base", "--public-url", "https://Pay.example.com/")
    assert result.exit_code == 0, result.output
    server = load(target, {}).server
    assert server.public_url == "https://pay.example.com"
    assert [str(each) for each in server.trusted_proxies] == ["127.0.0.1/32"]
    assert "set [server] public_url" not in result.output


@pytest.mark.parametrize("url", ["http://pay.example.com", "https://pay.example.com/shop", "pay.example.com"])
def test_a_public_url_that_the_server_would_refuse_leaves_no_file(run: Run, target: Path, url: str) -> None:
    result = run("--public-url", url)
    assert result.exit_code == 2
    assert "--public-url" in result.output
    assert folder_of(target) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
def test_a_file_that_root_replaces_stays_readable_for_those_who_read_the_old_one(run: Run, target: Path) -> None:
    run()
    os.chown(target, 0, 65534)
    target.chmod(0o640)
    assert run("--force").exit_code == 0
    status = target.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (0, 65534, 0o640)


def test_a_cold_address_whose_words_everybody_knows_is_warned_of(run: Run) -> None:
    assert "public test wallet" in run("--cold-address", "0x70997970C51812dc3A010C7d01b50e0d17dc79C8").output
    assert "public test wallet" not in run("--cold-address", COLD, "--force").output


@pytest.mark.parametrize("other", [("--wallet",), ("--no-wallet",), ("--xpub", XPUB)])
def test_a_cold_address_says_which_wallet_already(run: Run, other: tuple[str, ...]) -> None:
    result = run("--cold-address", COLD, *other)
    assert result.exit_code == 2
    assert "--cold-address already chooses the wallet" in result.output


@pytest.mark.parametrize("flag", ["--wallet", "--no-wallet"])
def test_two_answers_to_which_wallet_are_refused(run: Run, flag: str) -> None:
    result = run("--xpub", XPUB, flag)

    assert result.exit_code == 2
    assert "--xpub already chooses the wallet" in result.output


def words_in(output: str) -> list[str]:
    found = re.findall(r"(\d+)\. ([a-z]+)", output)
    assert [int(number) for number, _ in found] == list(range(1, 13))
    return [word for _, word in found]


def test_a_new_wallet_shows_its_words_once_and_the_file_has_only_the_xpub(run: Run, target: Path) -> None:
    result = run("--wallet")
    words = words_in(result.stdout)
    xpub = load(target, {}).wallet.xpub

    assert result.exit_code == 0
    assert xpub == xpub_of(" ".join(words))
    # Two of them may stand beside each other by chance: "private key" and "once more" are among the file's own words.
    assert not any(
        f" {' '.join(three)} " in target.read_text() for three in zip(words, words[1:], words[2:], strict=False)
    )
    key = ExtendedPublicKey.parse(xpub)
    for index in range(3):
        assert checksum(key.address(index)) in result.stdout
    for claim in ("Write them on paper", "not stored anywhere", "Anyone who has them has your money"):
        assert claim in result.stdout


def test_two_wallets_are_not_the_same(run: Run) -> None:
    first = words_in(run("--wallet").stdout)
    second = words_in(run("--wallet", "--force").stdout)

    assert first != second


# --- files that are there --------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="there is no folder in which not even root may write")
def test_where_the_file_can_not_be_written_no_wallet_is_shown(run: Run) -> None:
    result = run("--wallet", config=Path("/proc/checkout.toml"))

    assert result.exit_code == 1
    assert "/proc/checkout.toml can't be written" in result.output.replace("\n", " ")
    assert "12 words" not in result.output


def test_an_existing_file_stays_as_it_is_and_no_wallet_is_shown(run: Run, target: Path) -> None:
    target.write_text("mine")

    result = run("--wallet")

    assert result.exit_code == 1
    assert target.read_text() == "mine"
    assert "already exists and was not changed" in result.output
    assert "--force" in result.output
    assert "12 words" not in result.output


def test_force_keeps_the_old_file_beside_the_new_one(run: Run, target: Path) -> None:
    target.write_text("mine")

    result = run("--force")

    assert result.exit_code == 0
    assert target.read_text() == example()
    assert Path(f"{target}.old").read_text() == "mine"
    assert "checkout.toml.old" in result.output
    assert folder_of(target) == ["checkout.toml", "checkout.toml.old"]


def test_force_never_loses_the_file_it_kept_before(run: Run, target: Path) -> None:
    target.write_text("mine")
    Path(f"{target}.old").write_text("older")

    result = run("--force")

    assert result.exit_code == 1
    assert "move it away first" in result.output
    assert target.read_text() == "mine"
    assert Path(f"{target}.old").read_text() == "older"


def test_a_link_and_a_folder_are_not_replaced(run: Run, target: Path) -> None:
    target.symlink_to("nowhere")
    assert run().exit_code == 1
    assert "not an ordinary file" in run("--force").output
    target.unlink()
    target.mkdir()
    assert "not an ordinary file" in run("--force").output


def test_a_file_that_appears_meanwhile_is_not_overwritten(run: Run, target: Path) -> None:
    target.write_text("mine")

    with pytest.raises(click.ClickException, match="already exists"):
        room._write(target, "ours", force=False)

    assert target.read_text() == "mine"
    assert folder_of(target) == ["checkout.toml"]
    assert run().exit_code == 1


def test_a_file_system_without_links_is_no_obstacle(run: Run, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")  # what Linux says on FAT

    monkeypatch.setattr(Path, "hardlink_to", refuse)

    assert run().exit_code == 0
    assert run().exit_code == 1
    assert run("--force", "--xpub", XPUB).exit_code == 0
    assert load(target, {}).wallet.xpub == XPUB
    assert Path(f"{target}.old").read_text() == example()
    assert folder_of(target) == ["checkout.toml", "checkout.toml.old"]
    with pytest.raises(click.ClickException, match="already exists"):
        room._write(target, "ours", force=False)


def test_a_folder_that_is_not_there_is_named(run: Run, tmp_path: Path) -> None:
    result = run(config=tmp_path / "none" / "checkout.toml")

    assert result.exit_code == 1
    assert "create it first" in result.output


def test_the_environment_names_the_file_when_the_option_does_not(tmp_path: Path) -> None:
    target = tmp_path / "shop.toml"

    result = CliRunner().invoke(init, [], obj=Options(None, {"CHECKOUT_CONFIG": str(target)}))

    assert result.exit_code == 0
    assert target.exists()


def test_importing_the_command_imports_nothing_heavy() -> None:
    program = (
        "import sys, crypto_checkout.cli.init\n"
        "heavy = {'pydantic', 'web3', 'eth_account', 'coincurve', 'Crypto', 'starlette', 'aiosqlite'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )

    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


# --- on a terminal ---------------------------------------------------------------------------------------------------

PROGRAM = (
    "import os, sys; from pathlib import Path; from crypto_checkout.cli.init import init\n"
    "from crypto_checkout.cli.support.options import Options\n"
    "init(sys.argv[2:], obj=Options(Path(sys.argv[1]), os.environ))\n"
)


class Terminal:
    """The other end of a pseudo-terminal on which `init` runs."""

    def __init__(self, process: subprocess.Popen[bytes], end: int) -> None:
        self.process, self.end, self.seen = process, end, ""

    def read_until(self, text: str) -> str:
        """Wait for a text; give what was shown up to it since the last call."""
        deadline = time.monotonic() + WAIT_SECONDS
        while text not in self.seen:
            ready, _, _ = select.select([self.end], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{text!r} did not come, but {self.seen!r}"
            try:
                more = os.read(self.end, 4096)
            except OSError:  # the program closed its end
                more = b""
            assert more, f"{text!r} did not come, but {self.seen!r}"
            self.seen += more.decode()
        before, found, self.seen = self.seen.partition(text)
        return before + found

    def type(self, text: str) -> None:
        os.write(self.end, text.encode())


@contextmanager
def on_terminal(target: Path, *arguments: str) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", PROGRAM, str(target), *arguments]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"}, start_new_session=True
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait(timeout=WAIT_SECONDS)
        os.close(ours)


def answer(terminal: Terminal, words: list[str]) -> None:
    for _ in range(2):
        number = int(re.findall(r"Word number (\d+)$", terminal.read_until(": ").rstrip(": "))[0])
        terminal.type(f"{words[number - 1].upper()}\n")


def test_on_a_terminal_the_file_comes_only_after_two_words_were_read_back(target: Path) -> None:
    with on_terminal(target) as terminal:
        terminal.read_until("Create a new wallet for the money now? [y/N]: ")
        terminal.type("y\n")
        words = words_in(terminal.read_until("Press Enter when you have written them down: "))
        assert not target.exists()
        terminal.type("\n")
        terminal.read_until("\x1b[2J")  # the words are wiped off the screen before they are asked for
        answer(terminal, words)
        shown = terminal.read_until("serve")
        assert terminal.process.wait(timeout=WAIT_SECONDS) == 0

    assert load(target, {}).wallet.xpub == xpub_of(" ".join(words))
    assert "Close this window" in shown
    assert not any(f". {word}" in shown for word in words)


def test_wrong_words_write_nothing(target: Path) -> None:
    with on_terminal(target, "--wallet") as terminal:
        terminal.read_until("written them down: ")
        terminal.type("\n")
        for _ in range(3):
            terminal.read_until("Word number")
            terminal.type("wrong\n")
        terminal.read_until("Nothing was written")
        assert terminal.process.wait(timeout=WAIT_SECONDS) == 1

    assert folder_of(target) == []


def test_an_interruption_writes_nothing(target: Path) -> None:
    with on_terminal(target, "--wallet") as terminal:
        terminal.read_until("written them down: ")
        terminal.type("\x04")
        terminal.read_until("Aborted!")
        assert terminal.process.wait(timeout=WAIT_SECONDS) == 1

    assert folder_of(target) == []


def test_an_own_wallet_is_asked_for_until_its_key_is_right(target: Path) -> None:
    with on_terminal(target) as terminal:
        terminal.read_until("[y/N]: ")
        terminal.type("\n")
        terminal.read_until("Address or xpub (Enter to skip): ")
        terminal.type(f"{XPUB[:-1]}\n")
        terminal.read_until("checksum")
        terminal.read_until("Address or xpub (Enter to skip): ")
        terminal.type(f"{XPUB}\n")
        terminal.read_until("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
        terminal.read_until("serve")
        assert terminal.process.wait(timeout=WAIT_SECONDS) == 0

    assert load(target, {}).wallet.xpub == XPUB


def test_one_address_is_taken_in_the_place_of_a_key(target: Path) -> None:
    with on_terminal(target) as terminal:
        terminal.read_until("[y/N]: ")
        terminal.type("\n")
        terminal.read_until("Address or xpub (Enter to skip): ")
        terminal.type(f"{COLD.lower()}\n")
        terminal.read_until("EIP-55")
        terminal.read_until("Address or xpub (Enter to skip): ")
        terminal.type(f"{COLD}\n")
        terminal.read_until(f"Everything will go to {COLD}")
        terminal.read_until("collect setup")
        assert terminal.process.wait(timeout=WAIT_SECONDS) == 0

    assert load(target, {}).wallet.cold_address == COLD.lower()


def test_the_wallet_can_come_later(target: Path) -> None:
    with on_terminal(target) as terminal:
        terminal.read_until("[y/N]: ")
        terminal.type("n\n")
        terminal.read_until("Address or xpub (Enter to skip): ")
        terminal.type("\n")
        terminal.read_until("set [wallet] cold_address or xpub")
        assert terminal.process.wait(timeout=WAIT_SECONDS) == 0

    assert target.read_text() == example()
