"""Metadata as lines of text, one entry each: `sku = moby-dick`."""

import re
from collections.abc import Mapping

from crypto_checkout.core.metadata import LONGEST_KEY, LONGEST_VALUE, MOST_KEYS
from crypto_checkout.http.dashboard.frame.forms import Form

_LINE = re.compile(r"((?:[^\\=]|\\.)*)=(.*)")
_ESCAPED = re.compile(r"\\(.)")
_PLAIN = {"n": "\n", "r": "\r", "t": "\t"}
_MOST_CHARACTERS = 2 * MOST_KEYS * (LONGEST_KEY + LONGEST_VALUE)


def to_lines(metadata: Mapping[str, str] | None) -> str:
    """Format metadata for a form, escaping line breaks and the like with a backslash."""
    return "\n".join(f"{_escaped(key, '=')} = {_escaped(value)}" for key, value in (metadata or {}).items())


def read(form: Form, name: str, before: Mapping[str, str] | None = None) -> Mapping[str, str] | None:
    """Parse a form's field as metadata, None if it is empty, adding an error for an invalid line.

    An unchanged field returns `before`, to the last space.
    """
    text = form.text(name, _MOST_CHARACTERS, optional=True, lines=True)
    if text == to_lines(before).strip():
        return before
    notes: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.split("\n"))):
        found = _LINE.fullmatch(line)
        key, value = (_unescaped(part.strip()) for part in found.groups()) if found else ("", "")
        error = _error(line, key, value, notes)
        if error:
            form.errors[name] = error
            return None
        notes[key] = value
    if len(notes) > MOST_KEYS:
        form.errors[name] = f"At most {MOST_KEYS} entries are allowed; there are {len(notes)}."
    return notes or None


def _error(line: str, key: str, value: str, others: Mapping[str, str]) -> str:
    shown = line[:LONGEST_KEY]
    if not key:
        return f"“{shown}” is not an entry: write a name, = and a value."
    if len(key) > LONGEST_KEY or not key.isprintable():
        return f"A name has at most {LONGEST_KEY} printable characters; “{shown}” doesn't fit."
    if len(value) > LONGEST_VALUE:
        return f"A value has at most {LONGEST_VALUE} characters; “{key}” has {len(value)}."
    if key in others:
        return f"“{key}” is listed twice."
    return ""


def _escaped(text: str, also: str = "") -> str:
    letters = {plain: letter for letter, plain in _PLAIN.items()}
    return "".join(f"\\{letters.get(each, each)}" if each in letters or each in f"\\{also}" else each for each in text)


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: _PLAIN.get(found[1], found[1]), text)
