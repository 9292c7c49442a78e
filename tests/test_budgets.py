"""The budgets of `scripts/check`: what they count, and what they let through."""

import subprocess
import sys
from pathlib import Path

import pytest

from scripts import budgets

HANDLER = "try:\n    work()\n{handler}\n    pass\n"


def function(lines: int, docstring: str = "") -> str:
    body = [f"    {docstring}"] if docstring else []
    return "\n".join(["def long():", *body, *["    work()"] * (lines - 1)]) + "\n"


def test_a_module_may_have_400_lines_and_no_more() -> None:
    assert list(budgets.complaints("work()\n" * 400)) == []
    assert list(budgets.complaints("work()\n" * 401)) == ["401: the module has 401 lines; 400 are allowed"]


def test_a_function_may_have_40_lines_and_no_more() -> None:
    assert list(budgets.complaints(function(40))) == []
    assert list(budgets.complaints("\n" + function(41))) == ["2: long() has 41 lines; 40 are allowed"]
    assert list(budgets.complaints("async " + function(41))) == ["1: long() has 41 lines; 40 are allowed"]


def test_a_docstring_is_not_counted() -> None:
    docstring = '"""Explain.\n\n    At length.\n    """'
    assert list(budgets.complaints(function(40, docstring))) == []
    assert list(budgets.complaints(function(41, docstring))) == ["1: long() has 41 lines; 40 are allowed"]


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
    (tmp_path / "good.py").write_text(function(40))
    command = [sys.executable, "-m", "scripts.budgets", str(tmp_path)]
    root = Path(__file__).parent.parent
    assert subprocess.run(command, cwd=root, capture_output=True, check=False).returncode == 0
    (tmp_path / "bad.py").write_text(function(41))
    failed = subprocess.run(command, cwd=root, capture_output=True, check=False, text=True)
    assert failed.returncode == 1
    assert failed.stdout == f"{tmp_path}/bad.py:1: long() has 41 lines; 40 are allowed\n"
