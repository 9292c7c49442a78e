"""The guide *Reliability*: each row of its table names a file of tests, and has tests in it that are there."""

import ast
import re
from pathlib import Path

import pytest

from crypto_checkout.http.docs.contents import guide_text
from tests.http.docs.test_threat_model import TEST, TESTS

TEXT = guide_text("reliability", "")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("| ") and not line.startswith("| Fault")
]
LISTED = TEXT.partition("\n## The tests\n")[2]
ENTRIES = {
    " ".join(fault.split()): set(TEST.findall(entry))
    for entry in re.split(r"^- ", LISTED, flags=re.MULTILINE)[1:]
    for fault in re.findall(r"\*\*(.+?)\*\*", entry, flags=re.DOTALL)
}


def test_the_table_has_all_its_columns_and_each_fault_its_tests() -> None:
    assert len(ROWS) >= 15
    assert {len(row) for row in ROWS} == {5}
    assert all(cell for row in ROWS for cell in row)
    assert [row[0] for row in ROWS] == list(ENTRIES)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_row_names_the_file_of_one_of_its_tests(row: list[str]) -> None:
    named = row[-1].strip("`")
    assert named in {Path(file).stem for file, _ in ENTRIES[row[0]]}


@pytest.mark.parametrize(("file", "name"), sorted({each for tests in ENTRIES.values() for each in tests}))
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    tree = ast.parse((TESTS / file).read_text("utf-8"))
    assert name in {each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_test_is_named_in_the_form_that_is_checked() -> None:
    assert TEXT.count("::") == len(TEST.findall(TEXT))
