"""Terms to find sessions by: the values of their metadata, in lower case and truncated."""

from crypto_checkout.core.checkout.session import Session
from crypto_checkout.store.database import WriteUnit

LONGEST = 64
"""The length at which values are truncated, in characters."""


def fold(text: str) -> str:
    """Return the form of a value that is compared."""
    return text.lower()[:LONGEST]


def record(unit: WriteUnit, session: Session, seq: int) -> None:
    """Store the terms of a new session. Metadata never changes, so they don't either."""
    for name, value in (session.options.metadata or {}).items():
        unit.run(
            """
            INSERT INTO session_metadata (livemode, value, session_seq, name)
            VALUES (:livemode, :value, :session_seq, :name)
            """,
            {"livemode": int(session.livemode), "value": fold(value), "session_seq": seq, "name": name},
        )
