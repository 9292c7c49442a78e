"""The README and the guides to the program are true: the commands, files and packages that they name are there."""

import re
import tomllib
from pathlib import Path

import click
import pytest

from crypto_checkout.cli import main
from crypto_checkout.config import Config
from crypto_checkout.core.checkout.session import Status
from crypto_checkout.http.docs.contents import FOLDER, GUIDES, guide_text

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
EVERYTHING = README + "".join(guide_text(name, "") for name in GUIDES)
MOST_WORDS = 1200


def test_the_readme_is_short() -> None:
    """All that is between spaces counts as a word, in code, tables and links too."""
    assert len(README.split()) <= MOST_WORDS


def test_every_dependency_has_its_reason_and_nothing_else_is_named() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["postgresql"]]
    required = {re.split(r"[<>=;!\[\s]", line)[0] for line in lines}
    table = CONTRIBUTING.partition("\n## Dependencies\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)[1:]
    named = set(re.findall(r"[a-z][a-z0-9-]+", " ".join(rows)))
    assert named - {"with"} == required


def test_every_status_is_explained() -> None:
    for status in Status:
        assert f"| `{status}` |" in guide_text("statuses", "")


def test_every_guide_is_in_the_readme() -> None:
    linked = re.findall(r"\]\(crypto_checkout/http/docs/guides/([\w-]+)\.md\)", README)
    assert set(linked) == set(GUIDES)
    assert all((FOLDER / f"{name}.md").exists() for name in linked)


def test_the_files_and_scripts_that_it_names_exist() -> None:
    for script in set(re.findall(r"(?:^\$ |`)(scripts/\w+)", EVERYTHING, re.MULTILINE)):
        assert (ROOT / script).stat().st_mode & 0o100, f"{script} can be run"
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("line", sorted(set(re.findall(r"(?:\$ |`)crypto-checkout ([a-z][a-z -]*)", EVERYTHING))))
def test_the_commands_that_it_names_exist(line: str) -> None:
    command: click.Command = main
    for word in line.split():
        if not isinstance(command, click.Group):
            break
        found = command.get_command(click.Context(command), word)
        assert found is not None, f"crypto-checkout {line}"
        command = found


def test_the_guide_to_the_configuration_has_every_section() -> None:
    listed = re.findall(r"^\| `\[+(\w+)\]+` \|", guide_text("configuration", ""), re.MULTILINE)
    assert sorted(listed) == sorted(Config.model_fields.keys() - {"path", "notes"})


def commands(group: click.Group, before: str = "") -> set[str]:
    """Return the names of all commands, as they are typed; those that only the program types are hidden."""
    return {
        name
        for each in group.commands.values()
        if not each.hidden
        for name in (
            commands(each, f"{before}{each.name} ") if isinstance(each, click.Group) else {f"{before}{each.name}"}
        )
    }


def test_the_guide_lists_every_command_once() -> None:
    listed = re.findall(r"^\| `([a-z -]+)` \|", guide_text("commands", ""), re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == commands(main)
