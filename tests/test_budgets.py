"""The budgets of `scripts/check`: what they count, and what they let through."""

import subprocess
import sys
from pathlib import Path

import pytest

from scripts import budgets

HANDLER = "try:\n    work()\n{handler}\n    pass\n"


def function(statements: int, docstring: str = "") -> str:
    body = [f"    {docstring}"] if docstring else []
    return "\n".join(["def long():", *body, *["    work()"] * statements]) + "\n"


def test_a_module_may_have_400_lines_and_no_more() -> None:
    assert list(budgets.complaints("work()\n" * 400)) == []
    assert list(budgets.complaints("work()\n" * 401)) == ["401: the module has 401 lines; 400 are allowed"]


def test_a_function_may_have_35_statements_and_no_more() -> None:
    assert list(budgets.complaints(function(35))) == []
    assert list(budgets.complaints("\n" + function(36))) == ["2: long() has 36 statements; 35 are allowed"]
    assert list(budgets.complaints("async " + function(36))) == ["1: long() has 36 statements; 35 are allowed"]


def test_the_lines_of_a_mapping_are_one_statement() -> None:
    fields = "".join(f'        "field{number}": {number},\n' for number in range(100))
    assert list(budgets.complaints(f"def listed():\n    return {{\n{fields}    }}\n")) == []


def test_a_docstring_is_not_counted() -> None:
    docstring = '"""Explain.\n\n    At length.\n    """'
    assert list(budgets.complaints(function(35, docstring))) == []
    assert list(budgets.complaints(function(36, docstring))) == ["1: long() has 36 statements; 35 are allowed"]


def test_a_folder_may_have_14_modules_and_no_more_unless_it_is_a_flat_list() -> None:
    def modules(folder: str, count: int) -> list[Path]:
        return [Path(folder, "__init__.py"), *(Path(folder, f"module{number}.py") for number in range(count))]

    assert budgets.crowded(modules("package/core", 14)) == []
    assert budgets.crowded(modules("package/core", 15)) == ["package/core: the folder has 15 modules; 14 are allowed"]
    assert budgets.crowded(modules("package/http/dashboard/pages", 30)) == []


@pytest.mark.parametrize(
    "handler",
    ["except:", "except Exception:", "except BaseException as error:", "except (ValueError, Exception):"],
)
def test_a_broad_except_needs_a_loops_boundary(handler: str) -> None:
    complaint = "3: a broad except, and the line doesn't say \"# a loop's boundary\""
    assert list(budgets.complaints(HANDLER.format(handler=handler))) == [complaint]
    assert list(budgets.complaints(HANDLER.format(handler=handler + "  # a loop's boundary"))) == []


def test_suppressing_everything_is_a_broad_except() -> None:
    assert len(list(budgets.complaints("with contextlib.suppress(Exception):\n    work()\n"))) == 1
    assert list(budgets.complaints("with suppress(OSError):\n    work()\n")) == []


def test_a_narrow_except_needs_no_excuse() -> None:
    assert list(budgets.complaints(HANDLER.format(handler="except (ValueError, OSError):"))) == []


def test_the_command_names_file_and_line_and_fails(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(function(35))
    command = [sys.executable, "-m", "scripts.budgets", str(tmp_path)]
    root = Path(__file__).parent.parent
    assert subprocess.run(command, cwd=root, capture_output=True, check=False).returncode == 0
    (tmp_path / "bad.py").write_text(function(36))
    failed = subprocess.run(command, cwd=root, capture_output=True, check=False, text=True)
    assert failed.returncode == 1
    assert failed.stdout == f"{tmp_path}/bad.py:1: long() has 36 statements; 35 are allowed\n"


def test_two_modules_may_not_name_a_class_alike(tmp_path: Path) -> None:
    files = [tmp_path / "one.py", tmp_path / "two.py"]
    for file in files:
        file.write_text("class Sender:\n    pass\n", "utf-8")
    assert budgets.ambiguous(files) == [f"{files[1]}: Sender is the name of a class in {files[0]} too"]
    files[1].write_text("class PlanSender:\n    pass\n", "utf-8")
    assert budgets.ambiguous(files) == []
