"""Search in the documentation: the sections of guides and reference, ranked the same way here and in `docs.js`.

A word of the query counts where a word begins with it; inside a word it counts less. All words have to be found. The
title of a page weighs more than the heading of a section, and a heading more than text.
"""

import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from markupsafe import Markup, escape

MOST_RESULTS = 20
MOST_WORDS = 8

_WEIGHTS = {"title": 12.0, "heading": 6.0, "page": 2.0, "text": 1.0}
_BEFORE, _LENGTH = 60, 200
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Passage:
    """A heading with the text below it; that of a page's title has the title as its heading."""

    url: str
    page: str
    heading: str
    text: str

    @property
    def is_title(self) -> bool:
        """True for the passage that begins its page."""
        return self.heading == self.page


@dataclass(frozen=True, slots=True)
class Result:
    """A section that was found, with the matches marked."""

    url: str
    page: str
    heading: Markup
    excerpt: Markup


def words(query: str) -> list[str]:
    """Return the words that are searched for."""
    found = dict.fromkeys(_WORD.findall(query.lower()))
    return list(found)[:MOST_WORDS]


def search(sections: Iterable[Passage], query: str) -> list[Result]:
    """Return the best matches, best first; sections that match equally well stay in their order."""
    wanted = words(query)
    scored = [(_score(section, wanted), section) for section in sections] if wanted else []
    best = sorted((each for each in scored if each[0] > 0), key=lambda each: -each[0])[:MOST_RESULTS]
    return [
        Result(section.url, section.page, _marked(section.heading, wanted), _marked(_excerpt(section, wanted), wanted))
        for _, section in best
    ]


def to_json(sections: Sequence[Passage]) -> bytes:
    """Return the index for `docs.js`: an array of `[url, page, heading, text]`."""
    rows = [[section.url, section.page, section.heading, section.text] for section in sections]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()


def _score(section: Passage, wanted: Sequence[str]) -> float:
    total = 0.0
    for word in wanted:
        found = _match(word, section.heading) * _WEIGHTS["title" if section.is_title else "heading"]
        found += 0.0 if section.is_title else _match(word, section.page) * _WEIGHTS["page"]
        in_text = _match(word, section.text) * _WEIGHTS["text"]
        if found + in_text == 0:
            return 0.0
        total += found + in_text
    return total


def _match(word: str, text: str) -> float:
    """Return how well a word is found in a text: as a word, at the beginning of one, inside one, or not at all (0)."""
    indexed = _indexed(text)
    place = bisect_left(indexed.words, word)
    nearest = indexed.words[place] if place < len(indexed.words) else ""
    if nearest == word:
        return 1.25
    if nearest.startswith(word):
        return 1.0
    return 0.25 if word in indexed.lowered else 0.0


@dataclass(frozen=True, slots=True)
class _IndexedText:
    """A text in lower case, and its words in their order."""

    lowered: str
    words: Sequence[str]


@cache  # of the sections' own texts: anybody may search, as often as they like
def _indexed(text: str) -> _IndexedText:
    lowered = text.lower()
    return _IndexedText(lowered, sorted(set(_WORD.findall(lowered))))


def _excerpt(section: Passage, wanted: Sequence[str]) -> str:
    lowered = section.text.lower()
    places = [place for place in (_place(word, lowered) for word in wanted) if place >= 0]
    begin = max(0, min(places, default=0) - _BEFORE)
    if begin:
        begin = lowered.find(" ", begin) + 1
    cut = section.text[begin : begin + _LENGTH]
    if begin + _LENGTH < len(section.text):
        cut = cut.rpartition(" ")[0] + " …"
    return f"… {cut}" if begin else cut


def _place(word: str, text: str) -> int:
    found = re.search(rf"(?<![^\W_]){re.escape(word)}", text)
    return found.start() if found else text.find(word)


def _marked(text: str, wanted: Sequence[str]) -> Markup:
    """Mark the searched words wherever they are."""
    either = "|".join(map(re.escape, sorted(wanted, key=len, reverse=True)))
    parts = re.split(f"({either})", text, flags=re.IGNORECASE)
    return Markup().join(
        Markup("<mark>{}</mark>").format(part) if number % 2 else escape(part) for number, part in enumerate(parts)
    )
