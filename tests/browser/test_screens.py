"""`scripts/screens` takes what it is asked for, and says what it can't take."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def screens(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "scripts.screenshots", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)


def test_without_a_folder_it_says_how_it_is_used() -> None:
    done = screens()
    assert done.returncode == 2
    assert done.stderr.startswith("usage: scripts/screens ")


@pytest.mark.heavy
@pytest.mark.usefixtures("anvil_path", "chromium_path")
def test_it_takes_the_states_that_it_is_given_and_names_a_state_that_is_none(tmp_path: Path) -> None:
    done = screens(str(tmp_path), "dashboard-payment", "waiting", "nonsense")
    assert "Traceback" not in done.stderr
    assert (done.returncode, "There is no state nonsense" in done.stderr) == (1, True)
    names = {path.name for path in tmp_path.glob("*.png")}
    assert names == {
        f"{state}-{width}-{scheme}.png"
        for state in ("dashboard-payment", "waiting")
        for width in (320, 390, 1280)
        for scheme in ("light", "dark")
    }
