"""What sessions are found by beside their columns: the values of their metadata, in lower case and cut to a length."""

from crypto_checkout.core.checkout.session import Session
from crypto_checkout.store.database import WriteUnit

LONGEST = 64
"""How much of a value is kept to be found by, in characters."""


def fold(text: str) -> str:
    """Return what two spellings of a value share."""
    return text.lower()[:LONGEST]


def record(unit: WriteUnit, session: Session, seq: int) -> None:
    """Have a new session found by what its metadata says; it never changes afterwards."""
    for name, value in (session.options.metadata or {}).items():
        unit.run(
            """
            INSERT INTO session_metadata (livemode, value, session_seq, name)
            VALUES (:livemode, :value, :session_seq, :name)
            """,
            {"livemode": int(session.livemode), "value": fold(value), "session_seq": seq, "name": name},
        )
