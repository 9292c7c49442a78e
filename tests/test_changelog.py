"""The changelog says each thing once: merges of moved sections have brought back what was there before."""

import re
from collections import Counter
from pathlib import Path

UNRELEASED = re.split(r"^## ", (Path(__file__).parent.parent / "CHANGELOG.md").read_text("utf-8"), flags=re.MULTILINE)[
    1
]


def test_no_section_and_no_line_is_there_twice() -> None:
    headings = re.findall(r"^#{3,4} .*", UNRELEASED, re.MULTILINE)
    points = [" ".join(each.split())[:60] for each in re.findall(r"^- (?:.+\n)+?(?=- |\n|#)", UNRELEASED, re.MULTILINE)]
    assert len(points) > 20
    assert [each for each, count in Counter(headings + points).items() if count > 1] == []


def test_no_conflict_was_left() -> None:
    assert not re.search(r"^(<{7}|={7}|>{7})", UNRELEASED, re.MULTILINE)
