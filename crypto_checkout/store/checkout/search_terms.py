"""Terms to find sessions by: the values of their metadata, and the payer's name and note, in lower case and truncated.

A name and a note can be found as a whole and by their words.
"""

import re
from collections.abc import Collection

from crypto_checkout.core.checkout.session import Session
from crypto_checkout.store.database import WriteUnit

LONGEST = 64
"""The length at which values are truncated, in characters."""

_MOST_WORDS = 30
_SHORTEST_WORD = 2
_WORD = re.compile(r"\w+")

SearchTerm = tuple[str, str]


def fold(text: str) -> str:
    """Return the form of a value that is compared."""
    return text.lower()[:LONGEST]


def record(unit: WriteUnit, session: Session, terms: Collection[SearchTerm]) -> None:
    """Store terms of a stored session."""
    for value, name in terms:
        unit.put_row(
            """
            INSERT INTO session_metadata (livemode, value, session_seq, name)
            SELECT livemode, :value, seq, :name FROM checkout_sessions WHERE id = :session_id
            """,
            {"value": value, "name": name, "session_id": session.id},
            table="session_metadata",
        )


def replace(unit: WriteUnit, before: Session, session: Session, seq: int) -> None:
    """Store the terms of a session that has changed in place of those it had."""
    old, new = of(before), of(session)
    for value, name in old.keys() - new.keys():
        unit.put(
            """
            DELETE FROM session_metadata
            WHERE livemode = :livemode AND value = :value AND session_seq = :session_seq AND name = :name
            """,
            {"livemode": int(session.livemode), "value": value, "session_seq": seq, "name": name},
        )
    record(unit, session, [each for each in new if each not in old])


def of(session: Session) -> dict[SearchTerm, None]:
    """Return the terms of a session, each with the name of what has it."""
    terms = [(fold(value), name) for name, value in (session.options.metadata or {}).items()]
    for name, text in (("customerName", session.options.customer_name), ("customerNote", session.customer_note)):
        if text is not None:
            words = [each for each in _WORD.findall(text) if len(each) >= _SHORTEST_WORD]
            terms += [(fold(each), name) for each in (text, *words[:_MOST_WORDS])]
    return dict.fromkeys(terms)
