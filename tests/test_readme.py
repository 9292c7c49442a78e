"""The README and the guide to operating are true: the commands, files and packages that they name are there."""

import re
import tomllib
from pathlib import Path

import click
import pytest

from crypto_checkout.cli import main
from crypto_checkout.core.checkout.session import Status
from crypto_checkout.http.docs.pages import guide_text

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def test_every_dependency_has_its_reason_and_nothing_else_is_named() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    required = {re.split(r"[<>=;!\s]", line)[0] for line in project["dependencies"]}
    table = README.partition("\n## Dependencies\n")[2]
    rows = re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)[1:]
    named = set(re.findall(r"[a-z][a-z0-9-]+", " ".join(rows)))
    assert named - {"with"} == required


def test_every_status_is_explained() -> None:
    for status in Status:
        assert f"| `{status}` |" in README


def test_the_files_and_scripts_that_it_names_exist() -> None:
    for script in re.findall(r"^\$ (scripts/\w+)", README, re.MULTILINE):
        assert (ROOT / script).stat().st_mode & 0o100, f"{script} can be run"
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("line", re.findall(r"crypto-checkout ([a-z][a-z -]*)", README + guide_text("operate", "")))
def test_the_commands_that_it_names_exist(line: str) -> None:
    command: click.Command = main
    for word in line.split():
        if not isinstance(command, click.Group):
            break
        found = command.get_command(click.Context(command), word)
        assert found is not None, f"crypto-checkout {line}"
        command = found
