"""The addresses that were given out to sessions, in the order in which they were."""

from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.core.address import Address
from crypto_checkout.core.checkout.session import Session
from crypto_checkout.store.data_folder.skipping import BUSIEST_HOUR
from crypto_checkout.store.database import ReadUnit


@dataclass(frozen=True, slots=True)
class IssuedAddress:
    """An address given out to a session; `seq` is the session's place in the order of all.

    Its `address_path` in the wallet is None if it isn't known.
    """

    seq: int
    session_id: str
    address: Address
    derivation_index: int
    address_path: str | None


def listed(
    unit: ReadUnit, livemode: bool, after: int, limit: int, ending_after: datetime | None = None
) -> list[IssuedAddress]:
    """Return addresses that a mode has given out, oldest first, from those after a `seq` (0 for all).

    With `ending_after`, return only those of sessions whose grace period ends later.
    """
    rows = unit.all(
        """
        SELECT seq, id, address, derivation_index, address_path
        FROM checkout_sessions
        WHERE livemode = :livemode AND seq > :after AND +grace_until > :ending_after
        ORDER BY seq
        LIMIT :limit
        """,
        {
            "livemode": int(livemode),
            "after": after,
            "limit": limit,
            "ending_after": moments.to_optional_text(ending_after) or "",
        },
    )
    return [IssuedAddress(row[0], row[1], Address(row[2]), row[3], row[4]) for row in rows]


def of_session(session: Session) -> IssuedAddress:
    """Return the address of a session on its own, without a place in the order."""
    return IssuedAddress(0, session.id, session.address, session.derivation_index, session.address_path)


def first_index(unit: ReadUnit, wallet_id: str) -> int:
    """Return the lowest index of a wallet that a session has; 0 where it has none."""
    row = unit.one(
        "SELECT MIN(derivation_index) FROM checkout_sessions WHERE wallet_id = :wallet_id", {"wallet_id": wallet_id}
    )
    return 0 if row is None or row[0] is None else int(row[0])


def busiest_hour(unit: ReadUnit) -> int:
    """Return the most sessions that were made within an hour; this reads an index as a whole."""
    row = unit.one(BUSIEST_HOUR)
    return 0 if row is None or row[0] is None else int(row[0])
