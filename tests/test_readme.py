"""The README is true: what it names is there."""

import re
import tomllib
from pathlib import Path

import click
import pytest

from crypto_checkout.cli import main
from crypto_checkout.core.checkout.session import Status

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def test_every_room_of_the_package_has_its_line() -> None:
    package = ROOT / "crypto_checkout"
    rooms = {f"{path.name}/" for path in package.iterdir() if (path / "__init__.py").exists()}
    modules = {path.name for path in package.glob("*.py") if not path.name.startswith("__")}
    named = set(re.findall(r"`([a-z_]+(?:/|\.py))`", README))
    assert rooms | modules <= named
    assert {name for name in named if name.endswith("/")} <= rooms


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


@pytest.mark.parametrize("line", re.findall(r"crypto-checkout ([a-z][a-z -]*)", README))
def test_the_commands_that_it_names_exist(line: str) -> None:
    command: click.Command = main
    for word in line.split():
        if not isinstance(command, click.Group):
            break
        found = command.get_command(click.Context(command), word)
        assert found is not None, f"crypto-checkout {line}"
        command = found
