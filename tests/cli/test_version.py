"""`crypto-checkout version`: what a report of a fault should contain."""

import json
import platform
import sqlite3
import subprocess
from pathlib import Path

from crypto_checkout import __version__
from crypto_checkout.program import own_command
from tests.support.server import command


def test_it_tells_the_version_the_commit_and_what_the_program_runs_on(tmp_path: Path) -> None:
    told = json.loads(command(tmp_path, "version", "--json").stdout)
    commit = told.pop("commit")
    assert told == {
        "version": __version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "platform": platform.platform(),
        "oneFile": False,
    }
    shown = command(tmp_path, "version").stdout
    assert f"crypto-checkout {__version__}" in shown
    assert commit is None or f"(commit {commit})" in shown


def test_in_a_clone_the_commit_is_told_with_a_sign_of_changed_files(tmp_path: Path) -> None:
    told = json.loads(command(tmp_path, "version", "--json").stdout)
    is_clone = (Path(__file__).parents[2] / ".git").exists()
    commit = told["commit"] or ""
    assert bool(commit) == is_clone
    assert all(digit in "0123456789abcdef" for digit in commit.removesuffix("+"))


def test_what_it_starts_itself_loads_no_module_of_the_folder_it_is_started_in(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('foreign')\n", "utf-8")
    done = subprocess.run(
        [*own_command(), "version", "--json"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
