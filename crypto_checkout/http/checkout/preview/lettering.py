"""Letters for link previews: lines of text as rows of grey, put together from drawn letters (`scripts/letters.py`).

There are Latin, Greek and Cyrillic letters. A text with others can't be set in this way: Arabic letters join, and
Chinese has too many.
"""

import json
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path

from . import png

FOLDER = Path(__file__).parent / "letters"

_MOST_PIXELS = 4_000_000
_SPACES = {"\xa0": " ", "\u202f": " ", "\u2009": " "}


@dataclass(frozen=True, slots=True)
class Lettering:
    """One size of the letters: its rows, and the place and width of each letter in them."""

    rows: tuple[bytes, ...]
    places: dict[str, tuple[int, int]]

    @property
    def height(self) -> int:
        """The height of a line in pixels."""
        return len(self.rows)

    def can_set(self, text: str) -> bool:
        """Tell whether every letter is there."""
        return all(letter in self.places for letter in _plain(text))

    def width(self, text: str) -> int:
        """Return the width of a line in pixels."""
        return sum(self.places[letter][1] for letter in _plain(text))

    def line(self, text: str) -> list[bytes]:
        """Return a line as rows of grey; 255 is ink."""
        spans = [self.places[letter] for letter in _plain(text)]
        return [b"".join([row[start : start + width] for start, width in spans]) for row in self.rows]

    def wrapped(self, text: str, width: int, most_lines: int) -> list[str]:
        """Break a text into lines of at most a width; what doesn't fit ends with an ellipsis."""
        lines = [""]
        for word in _plain(text).split():
            longer = f"{lines[-1]} {word}".strip()
            if self.width(longer) <= width or not lines[-1]:
                lines[-1] = longer
            else:
                lines.append(word)
        kept = lines[:most_lines]
        if len(lines) > most_lines:
            kept[-1] += "…"
        return [self._shortened(line, width) for line in kept]

    def _shortened(self, line: str, width: int) -> str:
        while self.width(line) > width:
            line = f"{line.rstrip('…')[:-1].rstrip()}…"
        return line


@cache
def load(size: str) -> Lettering:
    """Load a size: `text` or `amount`."""
    widths: dict[str, int] = json.loads((FOLDER / f"{size}.json").read_text("utf-8"))
    starts = accumulate(widths.values(), initial=0)
    image = png.read((FOLDER / f"{size}.png").read_bytes(), most_pixels=_MOST_PIXELS)
    places = {letter: (start, width) for (letter, width), start in zip(widths.items(), starts, strict=False)}
    return Lettering(tuple(row[::4] for row in image.rows), places)


def _plain(text: str) -> str:
    return "".join(_SPACES.get(letter, letter) for letter in text)
