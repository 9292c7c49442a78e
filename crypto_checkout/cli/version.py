"""`crypto-checkout version`: print the version with its commit, and what it runs on."""

import json
import platform
import shutil
import sqlite3
import subprocess
from pathlib import Path

import click

from crypto_checkout import __version__
from crypto_checkout.cli.support.options import json_option
from crypto_checkout.cli.support.setup import print_json
from crypto_checkout.program import is_one_file

_PACKAGE = Path(__file__).parent.parent
_BUILD = _PACKAGE / "build.json"
"""Made by scripts/build, in the one file only."""

_DESCRIBE = ["describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]


@click.command()
@json_option
def version(as_json: bool) -> None:
    """Print the version and what it runs on.

    Include its output in bug reports.
    """
    known = {
        "version": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "platform": platform.platform(),
        "oneFile": is_one_file(),
    }
    if as_json:
        print_json(known)
        return
    commit = f" (commit {known['commit']})" if known["commit"] else ""
    click.echo(f"crypto-checkout {known['version']}{commit}{', the one file' if known['oneFile'] else ''}")
    click.echo(f"Python {known['python']}, SQLite {known['sqlite']}, {known['platform']}")


def _commit() -> str | None:
    """Return the commit that this program was made of, with `+` after it if files were changed; None if unknown."""
    if _BUILD.is_file():
        commit: str = json.loads(_BUILD.read_text("utf-8"))["commit"]
        return commit or None
    git = shutil.which("git")
    if git is None or not (_PACKAGE.parent / ".git").exists():
        return None  # an installed package, which may lie in somebody else's repository
    command = [git, "-C", str(_PACKAGE.parent), *_DESCRIBE]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no argument of others
    return asked.stdout.strip() or None
