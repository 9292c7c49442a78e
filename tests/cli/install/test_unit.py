"""The unit for systemd: systemd takes it, rates it, and the guide's way by hand comes to the same."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from crypto_checkout.cli import main
from crypto_checkout.cli.install import plan, service, unit
from crypto_checkout.cli.install.places import CONFIG, DATA, FOLDER, UNIT, USER, Program
from crypto_checkout.config import Config
from crypto_checkout.http.docs.contents import guide_text

PROGRAM = Program(Path("/usr/local/bin/crypto-checkout"), Path("crypto-checkout"))
OK = "20"
"""The exposure that `systemd-analyze security` has to find at most, in tenths; up to 50 it says OK."""


@pytest.fixture
def analyzed(tmp_path: Path) -> Path:
    """Write the unit for a program that is there, and return its file."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze: apt-get install systemd")
    file = tmp_path / UNIT.name
    file.write_text(unit.text(Program(Path(shutil.which("true") or "/bin/true"))), "utf-8")
    return file


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_systemd_finds_no_mistake_in_it(analyzed: Path) -> None:
    done = run("verify", str(analyzed))
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_rates_its_exposure_ok(analyzed: Path) -> None:
    done = run("security", "--offline=true", f"--threshold={OK}", str(analyzed))
    assert done.returncode == 0, done.stdout
    assert " OK " in done.stdout.splitlines()[-1]


def test_a_mistake_in_the_configuration_is_not_started_again() -> None:
    assert "\nRestartPreventExitStatus=2\n" in unit.text(PROGRAM)


def test_it_is_shown_as_it_would_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crypto_checkout.cli.install.find_program", lambda: PROGRAM)
    shown = CliRunner().invoke(main, ["install", "--show-unit"])
    assert shown.output == unit.text(PROGRAM)
    assert f"\nUser={USER}\n" in shown.output
    for key, value in (("WorkingDirectory", FOLDER), ("ReadWritePaths", DATA)):
        assert f"\n{key}={value}\n" in shown.output
    assert f"\nExecStart={PROGRAM.path} --config {CONFIG} serve\n" in shown.output


def test_the_way_by_hand_in_the_guide_has_the_same_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    never = service.ServiceState(is_active=False, is_enabled=False, restarts=0, invocation="", result="")
    monkeypatch.setattr(service, "state", lambda: never)
    database = Config().database.model_copy(update={"path": DATA / "checkout.db"})
    wanted = plan.Installation(PROGRAM, Config().model_copy(update={"database": database}), "")
    shown = {part for step in plan.steps(wanted) for part in step.by_hand.split(" && ")}
    guide = guide_text("go-live", "").partition("\n### By hand\n")[2].partition("\n## ")[0].replace("\\\n    ", "")
    told = set(re.findall(r"^\$ (?:sudo )?(.+)$", guide, re.MULTILINE))
    told = {re.sub(r" \| sudo tee ", " > ", line) for line in told}
    variables = {line for line in shown if "environment" in line}  # the unit does without that file
    rights = {f"chown root:{USER} {CONFIG}", f"chmod 640 {CONFIG}"}  # of what `init` writes as root
    assert shown - variables == told - rights - {f"journalctl -fu {USER}"}
