"""The guides' commands, for tests that run them as they are printed."""

import re
from textwrap import dedent


def commands(guide: str, heading: str) -> list[str]:
    """Return the commands of a guide's section, in order."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", guide, re.DOTALL | re.MULTILINE)
    found_blocks = re.findall(r"^ *```console\n(.*?)^ *```", section, re.DOTALL | re.MULTILINE)
    return [line for block in found_blocks for line in dedent(block).splitlines()]
