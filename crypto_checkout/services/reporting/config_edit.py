"""Edits of a configuration file, proposed and never made: the lines to paste, and what they change in the file.

The diff is made line by line, so that comments and the order of the file stay as they are, and it is checked: what the
new text means must be the old meaning with the change, or there is no diff.
"""

import copy
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from crypto_checkout.services.reporting import config_masks
from crypto_checkout.services.reporting.config_extents import after, header_of, key_of

_CONTEXT_LINES = 3
_MOST_BYTES = 1 << 20


class NotEditable(Exception):
    """The file is written in a way that this module doesn't edit."""


class Mark(StrEnum):
    """The marks of a diff's lines; GAP stands for lines that are left out."""

    SAME = " "
    ADDED = "+"
    REMOVED = "-"
    GAP = "…"


@dataclass(frozen=True, slots=True)
class DiffLine:
    """A line of a diff, with its secrets masked."""

    mark: Mark
    text: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """Lines to paste, and the difference that they make to the file; None where that can't be told."""

    lines: str
    diff: tuple[DiffLine, ...] | None


class Edit(Protocol):
    """A change of the configuration."""

    @property
    def lines(self) -> str:
        """The lines to paste."""

    def applied(self, text: str) -> str:
        """Return the file's text with the change, or raise NotEditable."""

    def expected(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return the file's meaning with the change."""


@dataclass(frozen=True, slots=True)
class SetValues:
    """Keys of a section, each with its value as TOML writes it."""

    section: str
    values: Mapping[str, str]

    @property
    def lines(self) -> str:
        """The lines to paste."""
        return "\n".join([f"[{self.section}]", *(f"{key} = {value}" for key, value in self.values.items())])

    def applied(self, text: str) -> str:
        """Return the text with each key replaced where it stands, or added to its section."""
        lines = text.splitlines()
        start = next((place for place, line in enumerate(lines) if header_of(line) == f"[{self.section}]"), None)
        if start is None:
            gap = [""] if lines and lines[-1].strip() else []
            return _joined([*lines, *gap, *self.lines.split("\n")])
        for key, value in self.values.items():
            _set(lines, start, key, value)
        return _joined(lines)

    def expected(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return the meaning with the change."""
        values = tomllib.loads("\n".join(f"{key} = {value}" for key, value in self.values.items()))
        return {**data, self.section: {**data.get(self.section, {}), **values}}


@dataclass(frozen=True, slots=True)
class SetSections:
    """Keys of several sections."""

    parts: tuple[SetValues, ...]

    @property
    def lines(self) -> str:
        """The lines to paste."""
        return "\n\n".join(part.lines for part in self.parts)

    def applied(self, text: str) -> str:
        """Return the text with the keys of each section set."""
        for part in self.parts:
            text = part.applied(text)
        return text

    def expected(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return the meaning with the change."""
        for part in self.parts:
            data = part.expected(data)
        return data


@dataclass(frozen=True, slots=True)
class SetChain:
    """A chain by its id: the URLs of one that is there, or the whole block of another."""

    chain_id: int
    lines: str
    urls: str

    def applied(self, text: str) -> str:
        """Return the text with the chain's URLs replaced, or with its block at the end."""
        lines = text.splitlines()
        for start in [place for place, line in enumerate(lines) if header_of(line) == "[[chains]]"]:
            own = next((place for place in _keys(lines, start, "id")), None)
            if own is not None and tomllib.loads(lines[own]) == {"id": self.chain_id}:
                _set(lines, start, "rpc_urls", self.urls)
                return _joined(lines)
        gap = [""] if lines and lines[-1].strip() else []
        return _joined([*lines, *gap, *self.lines.split("\n")])

    def expected(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return the meaning with the change."""
        chains = copy.deepcopy(data.get("chains", []))
        own = next((chain for chain in chains if chain.get("id") == self.chain_id), None)
        if own is None:
            chains += tomllib.loads(self.lines)["chains"]
        else:
            own |= tomllib.loads(f"rpc_urls = {self.urls}")
        return {**data, "chains": chains}


def propose(file: str | None, edit: Edit) -> Proposal:
    """Return the lines of an edit with their difference to the file as it is now. Reads it, and never writes it."""
    if file is None:
        return Proposal(edit.lines, None)
    try:
        with Path(file).open(encoding="utf-8") as opened:
            text = opened.read(_MOST_BYTES)
        return Proposal(edit.lines, tuple(difference(text, checked(text, edit))))
    except (OSError, ValueError, NotEditable):  # ValueError: no UTF-8, or no TOML
        return Proposal(edit.lines, None)


def checked(text: str, edit: Edit) -> str:
    """Return a text with an edit applied. Raises NotEditable unless it means what it should."""
    after_it = edit.applied(text)
    if tomllib.loads(after_it) != edit.expected(tomllib.loads(text)):
        raise NotEditable
    return after_it


def difference(before: str, after_it: str) -> Iterator[DiffLine]:
    """Yield the lines of a unified diff, with the secrets of both texts masked."""
    olds, news = before.splitlines(), after_it.splitlines()
    shown_olds, shown_news = config_masks.masked(olds), config_masks.masked(news)
    groups = SequenceMatcher(None, olds, news, autojunk=False).get_grouped_opcodes(_CONTEXT_LINES)
    for number, group in enumerate(groups):
        if number:
            yield DiffLine(Mark.GAP, "")
        for tag, first, last, new_first, new_last in group:
            if tag == "equal":
                yield from (DiffLine(Mark.SAME, line) for line in shown_olds[first:last])
                continue
            yield from (DiffLine(Mark.REMOVED, line) for line in shown_olds[first:last])
            yield from (DiffLine(Mark.ADDED, line) for line in shown_news[new_first:new_last])


def _set(lines: list[str], start: int, key: str, value: str) -> None:
    """Replace a key below the header at `start`, or add it after the last key there."""
    written = [f"{key} = {value}"]
    found = next(iter(_keys(lines, start, key)), None)
    if found is not None:
        lines[found : after(lines, found)] = written
        return
    last = max(_keys(lines, start, None), default=None)
    place = start + 1 if last is None else after(lines, last)
    lines[place:place] = written


def _keys(lines: Sequence[str], start: int, wanted: str | None) -> Iterator[int]:
    """Yield the places of a key in the section that begins at `start`, or of all its keys."""
    place = start + 1
    while place < len(lines) and header_of(lines[place]) is None:
        key = key_of(lines[place])
        if key is not None and wanted in {None, key}:
            yield place
        place = after(lines, place) if key is not None else place + 1


def _joined(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"
