"""ARCHITECTURE.md and CONTRIBUTING.md are true: the places, scripts and numbers that they name are there."""

import re
from pathlib import Path

import pytest

from scripts import budgets

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "crypto_checkout"
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
ROOMS = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
NAMED = set(re.findall(r"`([^`\n]+)`", ARCHITECTURE + CONTRIBUTING))


def is_there(name: str) -> bool:
    """Find a path below the package or the root, or a dotted name of a module or of something in one."""
    if "/" in name or name.endswith((".py", ".md")):
        return any((place / name).exists() for place in (PACKAGE, ROOT))
    *module, last = name.split(".")
    file = PACKAGE.joinpath(*module, last)
    if file.is_dir() or file.with_suffix(".py").exists():
        return True
    source = PACKAGE.joinpath(*module).with_suffix(".py")
    return (
        source.exists()
        and re.search(rf"^(?:class |def |async def )?{last}\b", source.read_text("utf-8"), re.MULTILINE) is not None
    )


@pytest.mark.parametrize(
    "name", sorted(name for name in NAMED if re.fullmatch(r"[a-z_]+(?:[./][A-Za-z_]+)+(?:\.py|/)?", name))
)
def test_the_places_that_are_named_exist(name: str) -> None:
    known = name.split(".", maxsplit=1)[0] in ROOMS | {"unit"} or "/" in name or name.endswith(".py")
    if known and not name.startswith(("unit.", "db.")):
        assert is_there(name), name


def test_every_room_and_every_module_beside_them_is_on_a_floor() -> None:
    floors = ARCHITECTURE.partition("\n## Floors\n")[2].partition("\n## ")[0]
    assert ROOMS - set(re.findall(r"`(\w+)/`", floors)) == set()
    modules = {path.name for path in PACKAGE.glob("*.py") if not path.name.startswith("__")}
    assert modules - set(re.findall(r"`(\w+\.py)`", floors)) == set()


def test_every_area_that_rooms_share_is_explained() -> None:
    areas = ARCHITECTURE.partition("\n## Areas\n")[2].partition("\n## ")[0]
    found = {
        path.name for room in ("core", "store", "services") for path in (PACKAGE / room).iterdir() if path.is_dir()
    }
    assert found - {"migrations", "__pycache__"} - set(re.findall(r"`(\w+)`", areas)) == set()


def test_the_budgets_are_those_of_the_check() -> None:
    for text in (ARCHITECTURE, CONTRIBUTING):
        assert f"{budgets.FOLDER_MODULES} modules" in text
        assert str(budgets.MODULE_LINES) in text
        assert f"{budgets.FUNCTION_STATEMENTS} statements" in text


def test_they_stay_short() -> None:
    assert len(ARCHITECTURE.splitlines()) <= 250
    assert len(CONTRIBUTING.partition("\n## Dependencies\n")[0].splitlines()) <= 60


def test_the_scripts_and_files_that_they_name_exist() -> None:
    for script in re.findall(r"`(scripts/\w+)", ARCHITECTURE + CONTRIBUTING):
        assert (ROOT / script).exists(), script
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", ARCHITECTURE + CONTRIBUTING):
        assert (ROOT / target).exists(), target
