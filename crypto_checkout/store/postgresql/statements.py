"""Statements as PostgreSQL takes them: every statement is written once, as SQLite takes it, and translated here.

The two agree in all but a few spellings: parameters (`:name` is `$1`), `IS :value`, hints to SQLite's planner
(`+column`), and the names of functions.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from crypto_checkout.store.units import Value

_TOKEN = re.compile(
    r"""
    '(?:[^']|'')*'                                  # a text, which stays
    | --[^\n]*                                      # a comment
    | ::
    | (?P<absent>:[a-z_][a-z0-9_]*)(?=\s+IS\s+(?:NOT\s+)?NULL\b)   # has no type but the one it is given
    | (?P<name>:[a-z_][a-z0-9_]*)                   # a parameter by name
    | (?P<place>\?)                                 # a parameter by position
    | (?P<distinct>\bIS\s+NOT)\s+(?=:)              # compares with a parameter that may be null
    | (?P<same>\bIS)\s+(?=:)
    | (?P<hint>(?<=[\s(])\+(?=[a-z]))               # keeps SQLite from an index
    | \b(?P<position>instr)(?=\()
    | \b(?P<array>json_array)(?=\()
    | \b(?P<cross>CROSS)\s+(?=JOIN\s+\w+(?:\s+AS\s+\w+)?\s+ON\b)  # keeps to an order of tables
    """,
    re.VERBOSE,
)
_SPELLINGS = {
    "distinct": "IS DISTINCT FROM ",
    "same": "IS NOT DISTINCT FROM ",
    "hint": "",
    "cross": "",
    "position": "strpos",
    "array": "json_build_array",
}
_OWN_SPELLINGS = {
    "PRAGMA page_size": "SELECT 1",
    "PRAGMA page_count": "SELECT pg_database_size(current_database())",
    "PRAGMA freelist_count": "SELECT 0",
    "PRAGMA defer_foreign_keys = ON": "SET CONSTRAINTS ALL DEFERRED",
    "PRAGMA defer_foreign_keys = OFF": "SET CONSTRAINTS ALL IMMEDIATE",
    "PRAGMA user_version": "SELECT number FROM schema_version",
    "UPDATE sqlite_sequence SET seq = seq + :gap": (
        "SELECT setval(CAST(quote_ident(schemaname) || '.' || quote_ident(sequencename) AS regclass), "
        "COALESCE(last_value, 0) + :gap) FROM pg_sequences "
        "WHERE schemaname = current_schema() AND sequencename LIKE '%_seq_seq'"
    ),
}
"""What has another name on each engine. A server's database has bytes where a file has pages."""

_TOUCH = re.compile(r"PRAGMA user_version = (\d+)")


@dataclass(frozen=True, slots=True)
class Statement:
    """A translated statement, and the names of its parameters in their order; None if they are by position."""

    text: bytes
    names: Sequence[str] | None

    def values(self, parameters: Mapping[str, Value] | Sequence[Value]) -> list[bytes | None]:
        """Return the parameters as the server reads them: texts, whose types follow from where they are."""
        given: Any = parameters
        ordered = given if self.names is None else [given[name] for name in self.names]
        return [
            value.encode() if type(value) is str and "\0" not in value else None if value is None else _text(value)
            for value in ordered
        ]


@lru_cache(maxsize=4096)
def translate(sql: str) -> Statement:
    """Translate a statement. An INSERT by position, but no upsert, returns the `seq` of its row, as SQLite tells it."""
    names: list[str] = []
    places = 0

    def replacement(found: re.Match[str]) -> str:
        nonlocal places
        kind, text = found.lastgroup, found[0]
        if kind == "place":
            places += 1
            return f"${places}"
        if kind in {"name", "absent"}:
            names.append(text[1:])  # each on its own: its type follows from where it is
            return f"${len(names)}" if kind == "name" else f"CAST(${len(names)} AS TEXT)"
        return _SPELLINGS.get(kind or "", text)

    own = _TOUCH.sub(r"UPDATE schema_version SET number = \1", _OWN_SPELLINGS.get(sql, sql))
    text = _TOKEN.sub(replacement, own)
    if places and "RETURNING" not in text and "ON CONFLICT" not in text:
        text += " RETURNING seq"
    return Statement(text.encode(), None if places else tuple(names))


def _text(value: str | int | bytes) -> bytes:
    """Return a value as text. PostgreSQL's texts can't hold the character NUL: its replacement is stored."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode()
    if isinstance(value, bytes):
        return b"\\x" + value.hex().encode()
    return b"%d" % value
