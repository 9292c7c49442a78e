"""The guide *Threat model*: each party has all its parts, and each claim a test that is there."""

import ast
import re
from pathlib import Path

import pytest

from crypto_checkout.http.docs.contents import guide_text

TESTS = Path(__file__).parents[2]
PARTIES = (
    "The payer",
    "A leaked test key",
    "A leaked live key with one scope",
    "The thief of a dashboard session",
    "A malicious shop page",
    "A malicious RPC provider",
    "The thief of a backup",
    "The thief of the server",
)
CAN, CANNOT = "**It can**", "**It can't**"
TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")

SECTIONS = {
    part.partition("\n")[0]: part.partition("\n")[2] for part in guide_text("threat-model", "").split("\n## ")[1:]
}


def points(text: str) -> list[str]:
    """Return the points of the first list in a text."""
    before_next_paragraph = re.split(r"\n\n(?=\S)", text)[0]
    return [" ".join(each.split()) for each in re.split(r"^- ", before_next_paragraph, flags=re.MULTILINE)[1:]]


def test_the_parties_are_those_of_the_guide() -> None:
    assert tuple(SECTIONS) == PARTIES


@pytest.mark.parametrize("party", PARTIES)
def test_a_party_can_do_something_and_each_thing_that_it_can_not_has_a_test(party: str) -> None:
    _, found, rest = SECTIONS[party].partition(f"{CAN}\n\n")
    can, also_found, cannot = rest.partition(f"{CANNOT}\n\n")
    assert found
    assert also_found
    assert len(points(can)) >= 3
    assert len(points(cannot)) >= 3
    assert [point for point in points(cannot) if not TEST.search(point)] == []


@pytest.mark.parametrize(("file", "name"), sorted(set(TEST.findall(guide_text("threat-model", "")))))
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    tree = ast.parse((TESTS / file).read_text("utf-8"))
    assert name in {each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_test_is_named_in_the_form_that_is_checked() -> None:
    text = guide_text("threat-model", "")
    assert text.count("::") == len(TEST.findall(text))
