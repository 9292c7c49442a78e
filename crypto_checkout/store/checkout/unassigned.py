"""Unassigned addresses: those below a wallet's next index that no session has.

They are watched for good, except those that the owner had used before the server gave out its first one.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from crypto_checkout.core.address import Address
from crypto_checkout.core.checkout.unassigned_address import UnassignedAddress
from crypto_checkout.store.checkout import wallets
from crypto_checkout.store.database import ReadUnit, WriteUnit, batched, placeholders
from crypto_checkout.store.table import Table

_UNASSIGNED = Table("unassigned_addresses", UnassignedAddress)
_INSERT = f"{_UNASSIGNED.insert_with('created_at')} ON CONFLICT DO NOTHING"
_IN_RANGE = "wallet_id = :wallet_id AND derivation_index >= 0 AND derivation_index < :end"
_KNOWN_INDEXES = f"""
    SELECT derivation_index FROM checkout_sessions WHERE {_IN_RANGE}
    UNION ALL
    SELECT derivation_index FROM unassigned_addresses WHERE {_IN_RANGE}
"""  # noqa: S608 - the condition above


@dataclass(frozen=True, slots=True)
class WatchedPlace:
    """A watched unassigned address with its `seq`, its place in the order of all."""

    seq: int
    address: UnassignedAddress


def insert(unit: WriteUnit, addresses: Iterable[UnassignedAddress]) -> int:
    """Store addresses, except for known ones; return how many were new."""
    return sum(unit.run(_INSERT, {**_UNASSIGNED.values(each), "created_at": unit.now_text}) for each in addresses)


def missing(unit: ReadUnit, wallet_id: str) -> Sequence[int]:
    """Return the indexes below the wallet's next one that neither a session nor this table has, in order."""
    end = wallets.next_index(unit, wallet_id)
    counted = unit.one(f"SELECT COUNT(*) FROM ({_KNOWN_INDEXES}) AS known", {"wallet_id": wallet_id, "end": end})  # noqa: S608 - as above
    if counted is not None and counted[0] == end:
        return []
    known = {row[0] for row in unit.all(_KNOWN_INDEXES, {"wallet_id": wallet_id, "end": end})}
    return [index for index in range(end) if index not in known]


def is_unused(unit: ReadUnit, wallet_id: str) -> bool:
    """Tell whether no address of a wallet was ever given out, as far as the database knows."""
    row = unit.one(
        """
        SELECT 1 FROM checkout_sessions WHERE wallet_id = :wallet_id
        UNION ALL
        SELECT 1 FROM unassigned_addresses WHERE wallet_id = :wallet_id AND used_before = 0
        LIMIT 1
        """,
        {"wallet_id": wallet_id},
    )
    return row is None


def at_addresses(unit: ReadUnit, addresses: Collection[Address]) -> dict[Address, UnassignedAddress]:
    """Return those of the addresses that are unassigned."""
    found: dict[Address, UnassignedAddress] = {}
    for part in batched(addresses):
        names, parameters = placeholders(part)
        found |= {each.address: each for each in _UNASSIGNED.all(unit, f"WHERE address IN ({names})", parameters)}
    return found


def watched(unit: ReadUnit, livemode: bool, after: int, limit: int) -> list[WatchedPlace]:
    """Return watched addresses of a mode in the order in which they were stored, after a place (0: from the first)."""
    rows = unit.all(
        f"""
        SELECT {_UNASSIGNED.listed}, seq FROM unassigned_addresses
        WHERE livemode = :livemode AND seq > :after AND used_before = 0
        ORDER BY seq
        LIMIT :limit
        """,  # noqa: S608 - the columns above
        {"livemode": int(livemode), "after": after, "limit": limit},
    )
    return [WatchedPlace(row["seq"], _UNASSIGNED.read(row)) for row in rows]


def report(unit: WriteUnit, wallet_id: str) -> Sequence[int]:
    """Return the watched indexes of a wallet that weren't returned before, in order."""
    rows = unit.all(
        """
        UPDATE unassigned_addresses
        SET reported = 1
        WHERE wallet_id = :wallet_id AND reported = 0 AND used_before = 0
        RETURNING derivation_index
        """,
        {"wallet_id": wallet_id},
    )
    return sorted(row["derivation_index"] for row in rows)


def count(unit: ReadUnit, livemode: bool) -> int:
    """Return how many addresses of a mode are watched."""
    row = unit.one(
        "SELECT COUNT(*) FROM unassigned_addresses WHERE livemode = :livemode AND used_before = 0",
        {"livemode": int(livemode)},
    )
    assert row is not None, "a count is always answered"
    return int(row[0])
