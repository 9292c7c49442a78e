"""The unit for systemd: systemd takes it, rates it, and finds nothing in it that isn't in the guide."""

import shutil
import subprocess
from pathlib import Path

import pytest

from crypto_checkout.http.docs.contents import guide_text

ROOT = Path(__file__).parent.parent
UNIT = (ROOT / "scripts" / "crypto-checkout.service").read_text("utf-8")
FOLDER = "/srv/crypto-checkout"
OK = "50"
"""The exposure below which `systemd-analyze security` says OK, in tenths."""


@pytest.fixture
def analyze(tmp_path: Path) -> Path:
    """Write the unit as it is for this folder, and return its file."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze: apt-get install systemd")
    file = tmp_path / "crypto-checkout.service"
    file.write_text(UNIT.replace(FOLDER, str(ROOT)), "utf-8")
    return file


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_systemd_finds_no_mistake_in_it(analyze: Path) -> None:
    done = run("verify", str(analyze))
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_rates_its_exposure_ok(analyze: Path) -> None:
    done = run("security", "--offline=true", f"--threshold={OK}", str(analyze))
    assert done.returncode == 0, done.stdout
    assert " OK " in done.stdout.splitlines()[-1]


def test_a_mistake_in_the_configuration_is_not_started_again() -> None:
    assert "\nRestartPreventExitStatus=2\n" in UNIT


def test_the_guide_makes_its_user_and_its_folder() -> None:
    guide = guide_text("go-live", "")
    lines = [line.removeprefix("$ sudo ") for line in guide.splitlines() if line.startswith("$ sudo ")]
    assert [line.split()[0] for line in lines] == ["useradd", "cp", "chown", "cp", "systemctl", "journalctl"]
    assert lines[0].endswith(" checkout")
    assert "\nUser=checkout\n" in UNIT
    for key in ("WorkingDirectory", "ReadWritePaths"):
        assert f"\n{key}={FOLDER}\n" in UNIT
    assert f"\nExecStart={FOLDER}/scripts/serve\n" in UNIT
    assert all(FOLDER in line for line in lines[1:3])
