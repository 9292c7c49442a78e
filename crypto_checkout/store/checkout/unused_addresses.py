"""The longest row of addresses that were given out and got nothing, among the newest of a wallet."""

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from crypto_checkout.core import moments
from crypto_checkout.store.database import ReadUnit

NEWEST = 500
"""The number of the wallet's newest sessions that are looked at, whatever its age."""


@dataclass(frozen=True, slots=True)
class UnusedAddresses:
    """Addresses in a row without a payment, from `first` to `last`; `since` is the time of the newest one's session.

    `is_cut` if it goes on below `first`, further than was looked.
    """

    wallet_id: str
    first: int
    last: int
    since: datetime
    is_cut: bool

    @property
    def count(self) -> int:
        """The number of addresses."""
        return self.last - self.first + 1


def longest(unit: ReadUnit, livemode: bool) -> UnusedAddresses | None:
    """Return the longest row of the mode's newest wallet; None if there is none. Money of any kind counts as use.

    Of a row that begins further back than is looked, only one that goes on to the newest address is known well enough.
    """
    rows = unit.all(
        """
        SELECT wallet_id, derivation_index, created_at,
            EXISTS (SELECT 1 FROM payments WHERE session_id = sessions.id AND canonical = 1)
            OR EXISTS (SELECT 1 FROM unmatched_payments WHERE address = sessions.address AND canonical = 1) AS is_used
        FROM checkout_sessions AS sessions
        WHERE wallet_id = (
            SELECT wallet_id FROM checkout_sessions WHERE livemode = :livemode ORDER BY seq DESC LIMIT 1
        )
        ORDER BY derivation_index DESC
        LIMIT :limit
        """,
        {"livemode": int(livemode), "limit": NEWEST},
    )
    if not rows:
        return None
    wallet_id, newest, oldest = rows[0]["wallet_id"], rows[0]["derivation_index"], rows[-1]["derivation_index"]
    # Without a session, but with money: given out before a restore.
    unassigned = unit.all(
        """
        SELECT derivation_index FROM unassigned_addresses AS unassigned
        WHERE wallet_id = :wallet_id AND derivation_index BETWEEN :oldest AND :newest
          AND EXISTS (SELECT 1 FROM unmatched_payments WHERE address = unassigned.address AND canonical = 1)
        LIMIT :limit
        """,
        {"wallet_id": wallet_id, "oldest": oldest, "newest": newest, "limit": NEWEST},
    )
    used = {row["derivation_index"] for row in [*unassigned, *(row for row in rows if row["is_used"])]}
    is_cut = len(rows) == NEWEST
    edges = sorted({newest + 1, *used} | ({oldest - 1} if not is_cut or not used else set()))
    before, after = max(pairwise(edges), key=lambda pair: pair[1] - pair[0], default=(0, 0))
    since = next((row["created_at"] for row in rows if before < row["derivation_index"] < after), None)
    if since is None:
        return None
    return UnusedAddresses(wallet_id, before + 1, after - 1, moments.from_text(since), is_cut and not used)
